"""What arrives: in order, each once, acknowledged when stored (docs/protocol.md §4.4)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.errors import MailboxDiverged
from client.protocol.entries import Entry, HiddenEntry
from client.protocol.inbox import Inbox
from tests.client.shapes import ALICE, BOB, message_entry, welcome


def an_inbox(stored: int = 0, **welcomed: int) -> Inbox:
    inbox = Inbox(me=BOB, stored=stored, marks={})
    inbox.welcomed(welcome(**{"acknowledged": stored, "last_seq": 1_000, **welcomed}))
    return inbox


def entries(first: int, last: int) -> list[Entry]:
    return [HiddenEntry(seq) for seq in range(first, last + 1)]


def keep(inbox: Inbox, arrived: list[Entry], now: float = 0.0) -> list[int]:
    arrival = inbox.received(arrived, now)
    if arrival.entries:
        inbox.stored_up_to(arrival.entries[-1].seq)
    return [entry.seq for entry in arrival.entries]


def test_entries_come_in_order():
    inbox = an_inbox()

    assert keep(inbox, entries(1, 3)) == [1, 2, 3]
    assert keep(inbox, entries(4, 4)) == [4]


def test_what_is_stored_already_is_dropped():
    inbox = an_inbox(stored=5, acknowledged=2)

    assert keep(inbox, entries(3, 7)) == [6, 7]


def test_a_gap_keeps_what_came_before_it():
    inbox = an_inbox()

    arrival = inbox.received([*entries(1, 2), *entries(4, 5)], 0)

    assert [entry.seq for entry in arrival.entries] == [1, 2]
    assert arrival.gap


class TestAcknowledging:
    def test_it_waits_for_the_store(self):
        inbox = an_inbox()
        inbox.received(entries(1, 3), now=0)

        assert inbox.ack_due(now=1) is None
        inbox.stored_up_to(3)
        assert inbox.ack_due(now=1) == 3

    def test_it_gathers_for_50_ms(self):
        inbox = an_inbox()
        keep(inbox, entries(1, 2), now=10.0)

        assert inbox.ack_due(now=10.04) is None
        assert inbox.ack_at() == pytest.approx(10.05)
        assert inbox.ack_due(now=10.06) == 2
        assert inbox.ack_due(now=99) is None

    def test_it_does_not_wait_with_a_quarter_of_the_window(self):
        inbox = an_inbox(window=8)
        keep(inbox, entries(1, 2), now=0)

        assert inbox.ack_due(now=0) == 2

    def test_it_acknowledges_doubles_again_but_nothing_beyond_what_this_socket_sent(self):
        inbox = an_inbox(stored=5, acknowledged=2)

        keep(inbox, entries(3, 4), now=0)
        assert inbox.ack_due(now=1) == 4


class TestLateMessages:
    def test_a_late_one_is_refused_when_live(self):
        inbox = an_inbox()
        inbox.drained()

        arrival = inbox.received([message_entry(1, sent_at=9), message_entry(2, sent_at=5)], 0)

        assert arrival.late == {"m2": "m1"}
        assert len(arrival.entries) == 2

    def test_it_is_shown_when_catching_up(self):
        inbox = an_inbox()

        assert not inbox.received([message_entry(1, sent_at=9), message_entry(2, sent_at=5)], 0).late

    def test_what_came_while_catching_up_counts(self):
        inbox = an_inbox()
        inbox.received([message_entry(1, sent_at=9)], 0)
        inbox.drained()

        assert inbox.received([message_entry(2, sent_at=5)], 0).late == {"m2": "m1"}

    def test_nobody_refuses_what_came_from_the_own_other_device(self):
        inbox = Inbox(me=ALICE, stored=0, marks={})
        inbox.welcomed(welcome(user=ALICE, last_seq=2))
        inbox.drained()

        assert not inbox.received([message_entry(1, sent_at=9), message_entry(2, sent_at=5)], 0).late


class TestWelcome:
    def test_a_store_behind_the_cursor_is_filled_first(self):
        inbox = Inbox(me=BOB, stored=3, marks={})

        assert inbox.welcomed(welcome(acknowledged=7, last_seq=9))

        assert [entry.seq for entry in inbox.backfilled(entries(3, 8)).entries] == [4, 5, 6, 7, 8]
        inbox.stored_up_to(8)
        assert keep(inbox, entries(8, 9)) == [9]

    def test_another_users_mailbox_is_not_mixed_in(self):
        with pytest.raises(MailboxDiverged):
            Inbox(me=BOB, stored=0, marks={}).welcomed(welcome(user=ALICE))

    def test_a_mailbox_that_shrank_is_not_ours(self):
        with pytest.raises(MailboxDiverged):
            Inbox(me=BOB, stored=10, marks={}).welcomed(welcome(acknowledged=0, last_seq=4))


@given(st.data())
def test_whatever_is_lost_doubled_or_cut_each_entry_is_kept_once_and_in_order(data):
    """A server that follows the protocol, over a network that breaks, and a process that dies between two commits."""
    newest = data.draw(st.integers(0, 40), label="newest")
    window = data.draw(st.integers(1, 12), label="window")
    kept: list[int] = []
    cursor = 0  # the server's, moved by acknowledgements
    for _ in range(data.draw(st.integers(1, 6), label="connections")):
        inbox = Inbox(me=BOB, stored=len(kept), marks={})
        inbox.welcomed(welcome(acknowledged=cursor, last_seq=newest, window=window))
        sent = cursor
        for now in range(data.draw(st.integers(0, 12), label="frames")):
            size = data.draw(st.integers(1, 5), label="size")
            last = min(sent + size, newest, cursor + window)
            match data.draw(st.sampled_from(["whole", "whole", "lost", "doubled", "reordered"]), label="fate"):
                case "whole":
                    frames = [entries(sent + 1, last)]
                case "lost":
                    frames = []
                case "doubled":
                    frames = [entries(sent + 1, last)] * 2
                case _:
                    frames = [entries(last + 1, min(last + 2, newest)), entries(sent + 1, last)]
            sent = last
            broken = False
            for frame in frames:
                arrival = inbox.received(frame, now)
                kept += [entry.seq for entry in arrival.entries]
                inbox.stored_up_to(len(kept))
                broken = broken or arrival.gap
            due = inbox.ack_due(now + 1)
            if due is not None:
                assert cursor < due <= len(kept)
                cursor = due if data.draw(st.booleans(), label="ack arrives") else cursor
            if broken:
                break
    assert kept == list(range(1, len(kept) + 1))
    assert cursor <= len(kept) <= newest
