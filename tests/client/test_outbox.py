"""What leaves: in order per room, repeated until it is accepted or refused for good (docs/protocol.md §4.4.4)."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from client.protocol.frames import FRAME_BYTES, Send, encode
from client.protocol.outbox import IN_FLIGHT, Outbox, Verdict
from client.protocol.problems import Problem
from tests.client.shapes import GARDEN, KITCHEN, outgoing

BUSY = Problem("unavailable", 503)
HELD = Problem("earlier_send_refused", 503)
NO = Problem("forbidden", 403)


def an_outbox(*numbers: int, room=KITCHEN) -> Outbox:
    outbox = Outbox(chance=lambda: 0.5)
    for number in numbers:
        outbox.add(number, outgoing(number, room))
    return outbox


def numbers(messages) -> list[int]:
    return [message.sent_at for message in messages]


def test_it_sends_many_at_once_in_order():
    assert numbers(an_outbox(1, 2, 3).take(0)) == [1, 2, 3]


def test_a_frame_takes_a_hundred_messages():
    outbox = an_outbox(*range(1, 151))

    assert numbers(outbox.take(0)) == list(range(1, 101))
    assert numbers(outbox.take(0)) == list(range(101, 151))


@given(st.lists(st.integers(1, 32_768), min_size=1, max_size=30))
def test_a_frame_is_never_larger_than_the_server_takes(sizes):
    outbox = Outbox()
    for number, size in enumerate(sizes):
        outbox.add(number, outgoing(number, size=size))

    seen = []
    while batch := outbox.take(0):
        assert len(encode(Send("1", tuple(batch)))) <= FRAME_BYTES
        seen += numbers(batch)
    assert seen == list(range(len(sizes)))


def test_what_is_on_the_way_is_bounded():
    outbox = an_outbox(*range(IN_FLIGHT + 50))
    sent = []
    while batch := outbox.take(0):
        sent += batch

    assert len(sent) == IN_FLIGHT
    outbox.accepted(sent[0].id)
    assert len(outbox.take(0)) == 1


def test_too_much_makes_it_send_less_at_once_until_it_is_taken_again():
    outbox = an_outbox(*range(3 * IN_FLIGHT))
    first = [message for _ in range(4) for message in outbox.take(0)]
    for message in first:
        outbox.refused(message.id, Problem("rate_limited", 429, retry_after=1), now=0)

    again = [message for _ in range(4) for message in outbox.take(60)]
    assert numbers(again) == list(range(IN_FLIGHT // 2))
    for message in again:
        outbox.accepted(message.id)
    more = [message for _ in range(9) for message in outbox.take(60)]
    assert len(more) == IN_FLIGHT


class TestARefusalForTheTimeBeing:
    def test_the_later_ones_wait_for_it(self):
        outbox = an_outbox(1, 2, 3)
        first, second, third = outbox.take(0)

        assert outbox.refused(first.id, BUSY, now=0) is Verdict.REPEAT
        outbox.add(4, outgoing(4))
        assert outbox.take(100) == []  # not before the other two are answered
        outbox.refused(second.id, HELD, now=0)
        outbox.refused(third.id, HELD, now=0)

        assert outbox.take(0.2) == []  # 0.25 s is the back-off at this chance
        assert numbers(outbox.take(0.25)) == [1, 2, 3, 4]

    def test_other_rooms_go_on(self):
        outbox = an_outbox(1)
        outbox.add(2, outgoing(2, GARDEN))
        first, second = outbox.take(0)
        outbox.refused(first.id, BUSY, now=0)
        outbox.accepted(second.id)
        outbox.add(3, outgoing(3, GARDEN))

        assert numbers(outbox.take(0.1)) == [3]

    def test_a_rate_limit_holds_everything_for_as_long_as_the_server_says(self):
        outbox = an_outbox(1)
        outbox.add(2, outgoing(2, GARDEN))
        first, second = outbox.take(0)
        outbox.accepted(second.id)
        outbox.add(3, outgoing(3, GARDEN))

        outbox.refused(first.id, Problem("rate_limited", 429, retry_after=7), now=0)

        assert outbox.take(6.9) == []
        assert outbox.next_at(0) == 7.25
        assert sorted(numbers(outbox.take(7.25))) == [1, 3]

    def test_it_waits_longer_each_time_and_forgets_that_after_a_success(self):
        outbox = an_outbox(1)
        waits, now = [], 0.0
        for _ in range(9):
            (message,) = outbox.take(now)
            outbox.refused(message.id, BUSY, now)
            waits.append(outbox.next_at(now) - now)
            now = outbox.next_at(now)
        assert waits == [0.25, 0.5, 1, 2, 4, 8, 15, 15, 15]

        (message,) = outbox.take(now)
        outbox.accepted(message.id)
        outbox.add(2, outgoing(2))
        (message,) = outbox.take(now)
        outbox.refused(message.id, BUSY, now)
        assert outbox.next_at(now) == now + 0.25


class TestARefusalOfAnIdsTime:
    TOO_FAR = Problem("invalid", 400, more={"field": "id", "server_time": 5})

    def test_it_asks_for_another_id_if_the_server_cannot_have_the_message(self):
        outbox = an_outbox(1, 2)
        first, second = outbox.take(0)

        assert outbox.refused(first.id, self.TOO_FAR, now=0) is Verdict.RENEW
        assert outbox.accepted(second.id)
        assert len(outbox) == 0

    def test_it_is_one_for_good_if_the_answer_to_an_earlier_attempt_may_be_what_was_lost(self):
        outbox = an_outbox(1)
        outbox.take(0)
        outbox.disconnected()
        (again,) = outbox.take(0)
        assert outbox.refused(again.id, self.TOO_FAR, now=0) is Verdict.FAILED

        outbox.add(2, outgoing(2))
        (busy,) = outbox.take(0)
        outbox.refused(busy.id, BUSY, now=0)
        outbox.take(60)
        assert outbox.refused(busy.id, self.TOO_FAR, now=60) is Verdict.FAILED

        outbox.add(3, outgoing(3), was_sent=True)  # by an earlier process
        (known,) = outbox.take(60)
        assert outbox.refused(known.id, self.TOO_FAR, now=60) is Verdict.FAILED

    def test_it_stops_the_message_with_its_room(self):
        outbox = an_outbox(1)
        (first,) = outbox.take(0)
        outbox.stop(KITCHEN)

        assert outbox.refused(first.id, self.TOO_FAR, now=0) is Verdict.STOPPED
        assert not outbox.is_stuck


class TestARefusalForGood:
    def test_it_ends_that_message_alone(self):
        outbox = an_outbox(1, 2)
        first, second = outbox.take(0)

        assert outbox.refused(first.id, NO, now=0) is Verdict.FAILED
        assert outbox.accepted(second.id)
        assert len(outbox) == 0

    def test_a_conflict_with_the_own_earlier_form_counts_as_accepted(self):
        outbox = an_outbox(1)
        (message,) = outbox.take(0)

        assert outbox.refused(message.id, Problem("id_conflict", 409, more={"accepted_at": 5}), 0) is Verdict.ACCEPTED

    def test_a_conflict_with_somebody_elses_does_not(self):
        outbox = an_outbox(1)
        (message,) = outbox.take(0)

        assert outbox.refused(message.id, Problem("id_conflict", 409), 0) is Verdict.FAILED


def test_a_stale_epoch_keeps_the_place_and_the_id():
    outbox = an_outbox(1, 2)
    first, second = outbox.take(0)
    stale = Problem("epoch_stale", 409, more={"epoch": 1})

    assert outbox.refused(first.id, stale, now=0) is Verdict.RESEAL
    assert outbox.refused(second.id, stale, now=0) is Verdict.RESEAL
    outbox.replace(KITCHEN, [outgoing(1, size=9)])

    again = outbox.take(0)
    assert numbers(again) == [1, 2]
    assert len(again[0].ciphertext) == 9


def test_what_is_not_sealed_yet_waits_in_its_place_and_other_rooms_go_on():
    outbox = an_outbox(1)
    outbox.add(2, outgoing(2).unsealed())
    outbox.add(3, outgoing(3))
    outbox.add(4, outgoing(4, GARDEN))

    assert numbers(outbox.take(0)) == [1, 4]
    assert outbox.next_at(0) == float("inf")
    assert outbox.unsealed_in(KITCHEN) == [outgoing(2).unsealed()]
    outbox.replace(KITCHEN, [outgoing(2)])
    assert outbox.next_at(5) == 5
    assert numbers(outbox.take(0)) == [2, 3]


def test_a_message_of_another_epoch_does_not_overtake_those_on_the_way():
    """If the server has outdated the earlier epoch, they are refused; this one would be taken before them."""
    outbox = an_outbox(1, 2)
    outbox.add(3, replace(outgoing(3), epoch=1))
    first, second = outbox.take(0)
    assert outbox.next_at(0) == float("inf")

    stale = Problem("epoch_stale", 409, more={"epoch": 1})
    assert outbox.accepted(first.id)
    assert outbox.take(0) == []
    assert outbox.refused(second.id, stale, now=0) is Verdict.RESEAL
    assert numbers(outbox.take(0)) == [2]
    outbox.accepted(second.id)
    assert numbers(outbox.take(0)) == [3]


def test_what_cannot_be_sealed_is_given_up_and_nothing_else():
    outbox = an_outbox(1, 2)
    outbox.replace(KITCHEN, [outgoing(2).unsealed()])
    outbox.add(3, outgoing(3, GARDEN).unsealed())

    assert outbox.give_up(KITCHEN) == [outgoing(2).id]
    assert numbers(outbox.take(0)) == [1]
    assert outgoing(3).id in outbox


def test_after_a_break_everything_without_an_answer_goes_again():
    outbox = an_outbox(1, 2, 3)
    first, _, _ = outbox.take(0)
    outbox.accepted(first.id)

    outbox.disconnected()

    assert numbers(outbox.take(0)) == [2, 3]


def test_a_message_that_was_sent_cannot_be_taken_back():
    outbox = an_outbox(1)
    (sent,) = outbox.take(0)
    outbox.add(2, outgoing(2))

    assert not outbox.discard(sent.id)
    outbox.disconnected()
    assert not outbox.discard(sent.id)
    assert outbox.discard(outgoing(2).id)
    assert numbers(outbox.take(0)) == [1]


def test_silence_is_noticed():
    outbox = an_outbox(1)
    outbox.take(0)

    assert not outbox.overdue(30)
    assert outbox.overdue(31)


@settings(deadline=None)
@given(st.data())
def test_no_message_overtakes_another_of_its_room_and_none_is_lost(data):
    """Random refusals, breaks and pauses against a server that follows the protocol."""
    rooms = [KITCHEN, GARDEN]
    outbox = Outbox(chance=lambda: 0.5)
    accepted: dict[str, list[int]] = {room: [] for room in rooms}
    doomed = data.draw(st.sets(st.integers(0, 11), max_size=3), label="refused for good")
    failed: set[int] = set()
    added: list[tuple[str, int]] = []
    blocked: dict[str, int] = {}  # the server's memory: room → the refused message that must come first
    now = 0.0

    def serve(message, calm: bool) -> Problem | None:
        number, room = message.sent_at, message.room
        if number in accepted[room]:
            return None  # the same id again is answered as the first time
        if room in blocked and blocked[room] != number:
            return HELD
        fate = "ok" if calm else data.draw(st.sampled_from(["ok", "ok", "busy", "rate"]), label="fate")
        if fate == "ok":
            blocked.pop(room, None)
            if number in doomed:
                return NO
            accepted[room].append(number)
            return None
        blocked[room] = number
        return BUSY if fate == "busy" else Problem("rate_limited", 429, retry_after=2)

    def step(calm: bool) -> None:
        nonlocal now
        batch = outbox.take(now)
        answers = [(message, serve(message, calm)) for message in batch]
        if not calm and data.draw(st.integers(0, 5), label="break") == 0:
            answers = answers[: data.draw(st.integers(0, len(answers)), label="answers that arrive")]
        for message, problem in answers:
            if problem is None:
                outbox.accepted(message.id)
            elif outbox.refused(message.id, problem, now) is Verdict.FAILED:
                failed.add(message.sent_at)
        if len(answers) < len(batch):
            outbox.disconnected()
            blocked.clear()  # what the server remembers is the socket's
        now += 0.5 if calm or data.draw(st.booleans(), label="pause") else 0.0

    for number in range(data.draw(st.integers(1, 12), label="messages")):
        room = data.draw(st.sampled_from(rooms), label="room")
        added.append((room, number))
        outbox.add(number, outgoing(number, room))
        step(calm=False)
    for _ in range(300):
        if not len(outbox):
            break
        step(calm=True)

    assert not len(outbox)
    assert failed == doomed & {number for _, number in added}
    for room in rooms:
        mine = [number for where, number in added if where == room and number not in doomed]
        assert accepted[room] == mine
