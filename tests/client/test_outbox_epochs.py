"""The outbox while a room's epoch changes at any moment: nothing overtakes, nothing is lost, nothing goes under an old epoch."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from client.protocol.ids import MessageId
from client.protocol.outbox import Outbox, Verdict
from client.protocol.problems import Problem
from tests.client.shapes import KITCHEN, outgoing


class Epochs:
    """A room whose epochs come and go, a server that takes the newest only, and a client that learns of them later."""

    def __init__(self) -> None:
        self.outbox = Outbox(chance=lambda: 0.0)
        self.newest, self.known = 1, 1
        self.stale = False  # somebody left: nothing is taken before there is another epoch
        self.at_hand = True  # whether the client can seal now
        self.wire: list = []  # sent and not yet seen by the server
        self.answers: list = []  # given and not yet seen by the client
        self.accepted: list[int] = []
        self.added, self.now = 0, 0.0

    def writes(self) -> None:
        message = outgoing(self.added)
        self.outbox.add(self.added, self.sealed(message) if self.at_hand else message.unsealed())
        self.added += 1

    def sealed(self, message):
        return replace(message, epoch=self.known, ciphertext=outgoing(0).ciphertext)

    def takes(self) -> None:
        self.wire += self.outbox.take(self.now)

    def serves(self) -> None:
        if self.wire:
            message = self.wire.pop(0)
            fine = message.sent_at in self.accepted or (message.epoch == self.newest and not self.stale)
            if fine and message.sent_at not in self.accepted:
                self.accepted.append(message.sent_at)
            problem = None if fine else Problem("epoch_stale", 409, more={"epoch": self.newest})
            self.answers.append((message.id, problem))

    def hears(self) -> None:
        if self.answers:
            id_, problem = self.answers.pop(0)
            if problem is None:
                self.outbox.accepted(id_)
            elif self.outbox.refused(id_, problem, self.now) is Verdict.RESEAL:
                self.at_hand = False
                self.reseals()

    def outdates(self) -> None:
        self.stale = True

    def renews(self) -> None:
        self.newest += 1
        self.stale = False

    def learns(self) -> None:
        """The client gets the newest epoch, or makes it."""
        if self.stale:
            self.renews()
        self.known, self.at_hand = self.newest, True
        self.reseals()

    def reseals(self) -> None:
        """As `Sender.reseal` and `Sender.seal_waiting` do."""
        waiting = self.outbox.waiting_in(KITCHEN)
        if self.at_hand:
            self.replaces(
                [self.sealed(message) for message in waiting if message.epoch != self.known or not message.is_sealed]
            )
        else:
            self.replaces([message.unsealed() for message in waiting])

    def replaces(self, messages) -> None:
        if messages:
            self.outbox.replace(KITCHEN, messages)

    def breaks(self) -> None:
        self.wire.clear()
        self.answers.clear()
        self.outbox.disconnected()

    def waits(self) -> None:
        self.now += 31


@settings(max_examples=400, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            ["writes"] * 4 + ["takes", "serves", "hears"] * 3 + ["outdates", "renews", "learns", "breaks", "waits"]
        ),
        max_size=80,
    )
)
def test_whenever_the_epoch_changes_the_order_is_kept(steps):
    room = Epochs()
    for step in steps:
        getattr(room, step)()
    for _ in range(4 * room.added + 8):
        room.learns()
        room.waits()
        room.takes()
        while room.wire:
            room.serves()
        while room.answers:
            room.hears()

    assert room.accepted == list(range(room.added))
    assert len(room.outbox) == 0


def test_giving_up_concerns_what_waits_unsealed_alone():
    outbox = Outbox()
    outbox.add(1, outgoing(1))
    outbox.add(2, outgoing(2).unsealed())

    assert outbox.give_up(KITCHEN) == [MessageId(outgoing(2).id)]
    assert len(outbox) == 1
