"""What becomes of messages that wait when a block comes: they stop there, and everything else goes on in its order."""

from hypothesis import given, settings
from hypothesis import strategies as st

from client.protocol.outbox import Outbox, Verdict
from client.protocol.problems import Problem
from tests.client.shapes import GARDEN, KITCHEN, outgoing

BUSY, STALE = Problem("unavailable", 503), Problem("epoch_stale", 409, more={"epoch": 1})


def numbers(messages) -> list[int]:
    return [message.sent_at for message in messages]


def an_outbox(*numbers: int, room=KITCHEN) -> Outbox:
    outbox = Outbox(chance=lambda: 0.5)
    for number in numbers:
        outbox.add(number, outgoing(number, room))
    return outbox


def test_what_waits_leaves_in_order_and_other_rooms_go_on():
    outbox = an_outbox(1, 2)
    outbox.add(3, outgoing(3, GARDEN))
    outbox.stop(KITCHEN)

    assert outbox.leave_stopped() == [outgoing(1).id, outgoing(2).id]
    assert numbers(outbox.take(0)) == [3]
    assert outbox.leave_stopped() == []


def test_what_is_on_the_way_is_answered_and_not_repeated():
    outbox = an_outbox(1, 2, 3)
    first, second, third = outbox.take(0)
    outbox.stop(KITCHEN)

    assert outbox.leave_stopped() == []
    assert outbox.accepted(first.id)
    assert outbox.refused(second.id, STALE, now=0) is Verdict.STOPPED
    assert not outbox.is_stuck
    # The server waits for its repeat before it takes a later one on this connection.
    assert outbox.refused(third.id, BUSY, now=0) is Verdict.STOPPED
    assert outbox.is_stuck
    outbox.disconnected()
    assert not outbox.is_stuck
    assert len(outbox) == 0


def test_after_a_break_what_had_no_answer_is_not_sent_again():
    outbox = an_outbox(1, 2)
    outbox.take(0)
    outbox.stop(KITCHEN)
    outbox.disconnected()

    assert outbox.take(0) == []
    assert outbox.next_at(0) == float("inf")
    assert outbox.leave_stopped() == [outgoing(1).id, outgoing(2).id]


def test_what_was_turned_away_before_the_block_leaves_the_server_waiting():
    outbox = an_outbox(1)
    (message,) = outbox.take(0)
    outbox.refused(message.id, BUSY, now=0)
    outbox.stop(KITCHEN)
    outbox.leave_stopped()

    assert outbox.is_stuck


def test_when_the_block_is_lifted_new_messages_go():
    outbox = an_outbox(1)
    outbox.stop(KITCHEN)
    outbox.leave_stopped()
    outbox.stop(KITCHEN, stopped=False)
    outbox.add(2, outgoing(2))

    assert numbers(outbox.take(0)) == [2]


@settings(deadline=None)
@given(st.data())
def test_nothing_goes_to_a_stopped_room_and_each_message_has_one_end(data):
    """Blocks that come and go, refusals and breaks in between, against a server that takes what it is sent."""
    outbox = Outbox(chance=lambda: 0.5)
    stopped, ended, on_the_way, sent = set(), {}, [], {KITCHEN: [], GARDEN: []}
    now = number = 0

    def leave():
        for id_ in outbox.leave_stopped():
            assert id_ not in ended
            ended[id_] = "stopped"

    def queue():
        nonlocal number
        room = data.draw(st.sampled_from([KITCHEN, GARDEN]), label="room")
        if room not in stopped:
            outbox.stop(room, stopped=False)
            outbox.add(number, outgoing(number, room))
            number += 1

    def block():
        room = data.draw(st.sampled_from([KITCHEN, GARDEN]), label="blocked")
        stopped.add(room)
        outbox.stop(room)
        leave()

    def lift():
        for room in data.draw(st.sets(st.sampled_from([KITCHEN, GARDEN])), label="lifted"):
            stopped.discard(room)
            outbox.stop(room, stopped=False)

    def send():
        for message in outbox.take(now):
            assert message.room not in stopped
            on_the_way.append(message)

    def answer():
        if not on_the_way:
            return
        message = on_the_way.pop(0)
        if data.draw(st.booleans(), label="accepted"):
            assert outbox.accepted(message.id)
            assert ended.setdefault(message.id, "accepted") == "accepted"
            sent[message.room].append(message.sent_at)
            return
        verdict = outbox.refused(message.id, BUSY, now)
        assert verdict is (Verdict.STOPPED if message.room in stopped else Verdict.REPEAT)
        if verdict is Verdict.STOPPED:
            ended[message.id] = "stopped"
        # What came behind it is turned away with it.
        for later in [m for m in on_the_way if m.room == message.room]:
            on_the_way.remove(later)
            if outbox.refused(later.id, Problem("earlier_send_refused", 503), now) is Verdict.STOPPED:
                ended[later.id] = "stopped"

    def break_():
        on_the_way.clear()
        outbox.disconnected()
        leave()

    for _ in range(data.draw(st.integers(1, 40), label="steps")):
        now += 40
        data.draw(st.sampled_from([queue, queue, send, answer, answer, block, lift, break_]), label="step")()
    lift_all = list(stopped)
    for room in lift_all:
        outbox.stop(room, stopped=False)
    stopped.clear()
    break_()
    while len(outbox):
        now += 40
        for message in outbox.take(now):
            outbox.accepted(message.id)
            ended[message.id] = "accepted"
            sent[message.room].append(message.sent_at)

    assert set(ended) == {outgoing(n).id for n in range(number)}
    for arrived in sent.values():
        assert arrived == sorted(arrived)
