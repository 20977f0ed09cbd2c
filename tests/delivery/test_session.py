"""What one socket owes its device, held against a mailbox that grows and a network that does what it likes."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from delivery.frames import CloseCode
from delivery.session import Acknowledge, Close, Drained, ReadPage, SendEntries, Session
from kernel.entries import Entry, Origin
from kernel.errors import AckBeyondSent
from kernel.limits import (
    BODY_BYTES,
    FIRST_PAGE_ENTRIES,
    PAGE_ENTRIES,
    PUSHED_BYTES,
    UNSENT_BYTES,
    UNSENT_MOST_BYTES,
    WINDOW_FULL_S,
)
from messages.log import PAGE_BYTES

WINDOW = 6
PAGE = 4
WINDOW_BYTES = 400


def entry(seq, size=20):
    """Message `seq`, from one of three devices."""
    return Entry(seq, "x" * size, Origin("room", f"device {seq % 3}", f"message {seq}", "alice"))


def opened(*, acknowledged=0, newest=0, **limits):
    session = Session(acknowledged=acknowledged, newest=newest, **limits)
    return session, session.opened()


def seqs(effects):
    return [entry.seq for effect in effects if isinstance(effect, SendEntries) for entry in effect.entries]


class TestCatchingUp:
    def test_a_device_that_has_everything_is_told_so_at_once(self):
        session, effects = opened(acknowledged=7, newest=7)

        assert effects == [Drained(7)]
        assert session.is_live

    def test_a_device_gets_what_it_lacks_and_is_then_told_that_this_was_all(self):
        session, effects = opened(acknowledged=40, newest=42)
        assert effects == [ReadPage(40, FIRST_PAGE_ENTRIES)]

        assert session.page([entry(41), entry(42)]) == [SendEntries([entry(41), entry(42)]), Drained(42)]

    def test_pages_are_read_one_after_the_other(self):
        session, effects = opened(newest=6, page_entries=4)
        assert effects == [ReadPage(0, 4)]
        effects = session.page([entry(seq) for seq in (1, 2, 3, 4)])
        assert effects[1:] == [ReadPage(4, 4)]
        assert session.page([entry(5), entry(6)])[1:] == [Drained(6)]

    def test_a_push_that_comes_while_a_page_is_read_is_read_too(self):
        session, _ = opened(newest=2)

        assert session.pushed([entry(3)]) == []
        assert session.page([entry(1), entry(2)])[1:] == [ReadPage(2, FIRST_PAGE_ENTRIES)]
        assert session.page([entry(3)]) == [SendEntries([entry(3)]), Drained(3)]

    def test_a_page_that_could_not_be_read_is_asked_for_at_the_next_look(self):
        session, _ = opened(newest=2)

        assert session.failed() == []
        assert session.known(2) == [ReadPage(0, FIRST_PAGE_ENTRIES)]

    def test_a_page_without_what_was_promised_does_not_make_it_spin(self):
        session, _ = opened(newest=2)

        assert session.page([]) == [Drained(0)]
        assert session.known(2) == [ReadPage(0, FIRST_PAGE_ENTRIES)]


class TestPushes:
    def test_the_next_one_is_sent(self):
        session, _ = opened(acknowledged=2, newest=2)

        assert session.pushed([entry(3)]) == [SendEntries([entry(3)])]

    def test_an_old_one_is_ignored(self):
        session, _ = opened(acknowledged=2, newest=2)
        session.pushed([entry(3)])

        assert session.pushed([entry(2), entry(3)]) == []

    def test_of_a_batch_only_what_is_new_is_sent(self):
        session, _ = opened(acknowledged=2, newest=2)
        session.pushed([entry(3)])

        assert seqs(session.pushed([entry(2), entry(3), entry(4), entry(5)])) == [4, 5]

    def test_a_gap_is_read_from_the_mailbox(self):
        session, _ = opened(acknowledged=2, newest=2)

        assert session.pushed([entry(4)]) == [ReadPage(2, FIRST_PAGE_ENTRIES)]
        assert seqs(session.page([entry(3), entry(4)])) == [3, 4]

    def test_the_last_push_before_a_silence_is_found_by_the_regular_look(self):
        session, _ = opened(acknowledged=2, newest=2)

        assert session.known(2) == []
        assert session.known(3) == [ReadPage(2, FIRST_PAGE_ENTRIES)]

    def test_drained_is_said_once(self):
        session, _ = opened(acknowledged=2, newest=2)

        session.pushed([entry(4)])
        assert session.page([entry(3), entry(4)]) == [SendEntries([entry(3), entry(4)])]


class TestTheWindow:
    def test_more_than_the_window_waits_for_acknowledgements(self):
        session, _ = opened(window=3)

        assert seqs(session.pushed([entry(seq) for seq in range(1, 6)])) == [1, 2, 3]
        assert session.pushed([entry(6)]) == []
        assert session.known(6) == []
        assert session.acked(2)[1:] == [ReadPage(3, 2)]

    def test_large_entries_fill_it_as_well(self):
        session, _ = opened(window_bytes=1_000)

        session.pushed([entry(1, size=1_200)])
        assert session.pushed([entry(2)]) == []
        assert session.acked(1)[1:] == [ReadPage(1, 500)]

    def test_what_was_not_sent_cannot_be_acknowledged(self):
        session, _ = opened(acknowledged=2, newest=2)

        with pytest.raises(AckBeyondSent) as refused:
            session.acked(3)

        assert refused.value.fields == {"sent": 2}
        assert session.acked(2) == []

    def test_an_acknowledgement_names_the_newest_message_of_each_device(self):
        session, _ = opened()
        session.pushed([entry(seq) for seq in (1, 2, 3, 4)])

        (acknowledged,) = session.acked(4)

        assert acknowledged == Acknowledge(4, [entry(4).origin, entry(2).origin, entry(3).origin])
        assert session.acked(4) == []

    def test_what_another_device_has_had_is_not_told_again(self):
        session, _ = opened(delivered=3)
        session.pushed([entry(seq) for seq in (1, 2, 3, 4)])

        assert session.acked(4) == [Acknowledge(4, [entry(4).origin])]

    def test_one_that_stays_full_for_too_long_ends_the_socket(self):
        session, _ = opened(window=1)
        session.pushed([entry(1)])

        assert session.ticked(100.0) == []
        assert session.ticked(100.0 + WINDOW_FULL_S - 0.1) == []
        assert session.ticked(100.0 + WINDOW_FULL_S) == [Close(CloseCode.TOO_SLOW)]

    def test_an_acknowledgement_starts_the_time_again(self):
        session, _ = opened(window=2)
        session.pushed([entry(1), entry(2)])
        session.ticked(100.0)

        session.acked(1)
        session.pushed([entry(3)])

        assert session.ticked(100.0 + WINDOW_FULL_S) == []
        assert session.ticked(100.0 + 2 * WINDOW_FULL_S) == [Close(CloseCode.TOO_SLOW)]


class TestWhoeverDoesNotRead:
    def test_nothing_more_is_given_to_a_choked_socket_and_everything_when_it_reads_again(self):
        session, _ = opened()
        assert seqs(session.pushed([entry(1)])) == [1]

        session.is_choked = True
        assert session.pushed([entry(2)]) == []
        assert session.known(3) == []
        assert session.ticked(100.0) == []

        session.is_choked = False
        assert session.ticked(101.0) == [ReadPage(1, FIRST_PAGE_ENTRIES)]
        assert session.ticked(102.0) == [], "it has looked"
        assert seqs(session.page([entry(2), entry(3)])) == [2, 3]

    def test_an_acknowledgement_is_enough_to_go_on(self):
        session, _ = opened()
        session.pushed([entry(1)])
        session.is_choked = True
        session.pushed([entry(2)])

        session.is_choked = False
        assert session.acked(1)[1:] == [ReadPage(1, 500)]

    def test_a_page_that_comes_when_it_has_stopped_reading_is_read_again_later(self):
        session, _ = opened(newest=2)

        session.is_choked = True
        assert session.page([entry(1), entry(2)]) == []

        session.is_choked = False
        assert session.ticked(100.0) == [ReadPage(0, FIRST_PAGE_ENTRIES)]

    def test_one_that_stays_choked_for_too_long_is_ended(self):
        session, _ = opened()
        session.is_choked = True
        session.pushed([entry(1)])

        assert session.ticked(100.0) == []
        assert session.ticked(100.0 + WINDOW_FULL_S) == [Close(CloseCode.TOO_SLOW)]

    def test_until_it_has_acknowledged_anything_it_gets_little_at_a_time(self):
        session, _ = opened(newest=4)
        large = [entry(seq, size=UNSENT_BYTES) for seq in (1, 2, 3, 4)]

        effects = session.page(large)
        assert seqs(effects) == [1]
        assert effects[1:] == [ReadPage(1, FIRST_PAGE_ENTRIES)]

        session.acked(1)
        assert seqs(session.page(large)) == [2, 3, 4]


class AnySocket(RuleBasedStateMachine):
    """A mailbox grows; pushes are lost, doubled and come in any order; pages come late or never; acks come as they like.

    The client sees 1, 2, 3, … behind its cursor without gap or double, never more than the window unacknowledged;
    `drained` is said once and only when all that was known is sent; and after a look at the truth everything arrives.
    """

    @initialize(stored=st.integers(0, 12), acknowledged=st.integers(0, 12))
    def open(self, stored, acknowledged):
        self.last_seq = stored
        self.cursor = self.acked = min(acknowledged, stored)
        self.got = []
        self.network = []
        self.page = None
        self.drained_at = None
        self.owed = []
        self.session = Session(
            acknowledged=self.cursor, newest=stored, window=WINDOW, window_bytes=WINDOW_BYTES, page_entries=PAGE
        )
        self.perform(self.session.opened())

    def perform(self, effects):
        for effect in effects:
            match effect:
                case SendEntries(batch):
                    assert batch
                    self.got += [entry.seq for entry in batch]
                case ReadPage(after, limit):
                    assert self.page is None, "a second page was asked for"
                    assert limit >= 1
                    self.page = (after, limit)
                case Drained(seq):
                    assert self.drained_at is None, "drained was said twice"
                    assert seq == self.cursor + len(self.got)
                    self.drained_at = seq
                case Acknowledge(seq, origins):
                    assert seq > self.acked
                    self.acked = seq
                    self.owed += origins

    def entry(self, seq):
        # A few are large, so that the window's bytes matter too.
        return entry(seq, size=150 if seq % 5 == 0 else 20)

    @rule(count=st.integers(1, 9), fate=st.sampled_from(["pushed", "pushed in two", "doubled", "lost"]))
    def stored(self, count, fate):
        batch = [self.entry(seq) for seq in range(self.last_seq + 1, self.last_seq + count + 1)]
        self.last_seq += count
        match fate:
            case "pushed":
                self.network.append(batch)
            case "pushed in two":
                self.network += [batch[: count // 2], batch[count // 2 :]]
            case "doubled":
                self.network += [batch, batch]

    @precondition(lambda self: self.network)
    @rule(data=st.data())
    def push_arrives(self, data):
        place = data.draw(st.integers(0, len(self.network) - 1))
        batch = self.network.pop(place)
        if batch:
            self.perform(self.session.pushed(batch))

    @precondition(lambda self: self.page)
    @rule(short=st.booleans(), is_read=st.sampled_from([True, True, True, False]))
    def page_arrives(self, short, is_read):
        (after, limit), self.page = self.page, None
        if not is_read:
            self.perform(self.session.failed())
            return
        found = [self.entry(seq) for seq in range(after + 1, min(after + limit, self.last_seq) + 1)]
        # The log may answer fewer, when they are large; one at least.
        self.perform(self.session.page(found[: max(1, len(found) // 2)] if short else found))

    @rule(behind=st.integers(0, 8))
    def acknowledges(self, behind):
        seq = self.cursor + len(self.got) - behind
        if seq >= 0:
            self.perform(self.session.acked(seq))

    @rule(ahead=st.integers(1, 3))
    def acknowledges_too_much(self, ahead):
        with pytest.raises(AckBeyondSent):
            self.session.acked(self.cursor + len(self.got) + ahead)

    @rule(is_choked=st.booleans())
    def reads_or_not(self, is_choked):
        self.session.is_choked = is_choked

    @rule()
    def a_second_passes(self):
        self.perform(self.session.ticked(0.0))

    @rule()
    def compared(self):
        self.perform(self.session.known(self.last_seq))

    @rule(behind=st.integers(0, 5))
    def compared_with_an_old_answer(self, behind):
        self.perform(self.session.known(max(0, self.last_seq - behind)))

    @rule()
    def in_the_end_everything_arrives(self):
        """From any state: nothing more is pushed, the pages come, the client acknowledges, the host looks regularly."""
        self.network.clear()
        self.session.is_choked = False
        for _ in range(200):
            self.perform(self.session.known(self.last_seq))
            if self.page:
                self.page_arrives(short=False, is_read=True)
            self.acknowledges(behind=0)
            if self.cursor + len(self.got) == self.last_seq:
                break
        assert self.got == list(range(self.cursor + 1, self.last_seq + 1))
        assert self.drained_at is not None
        assert self.acked == self.last_seq

    @invariant()
    def nothing_is_lost_or_doubled_or_reordered(self):
        assert self.got == list(range(self.cursor + 1, self.cursor + len(self.got) + 1))
        assert self.cursor + len(self.got) <= self.last_seq

    @invariant()
    def the_window_is_kept(self):
        sent = self.cursor + len(self.got)
        assert sent - self.acked <= WINDOW
        waiting = [len(self.entry(seq).text) for seq in range(self.acked + 1, sent + 1)]
        # A push or a page is taken whole or to the window's end; the byte bound is passed by one of them at most.
        assert sum(waiting) <= WINDOW_BYTES + WINDOW * 150

    @invariant()
    def receipts_are_owed_for_what_was_acknowledged_only(self):
        for device in range(3):
            covered = [seq for seq in range(self.cursor + 1, self.acked + 1) if seq % 3 == device]
            owed = [origin.message for origin in self.owed if origin.device == f"device {device}"]
            assert (owed[-1:] or None) == ([f"message {covered[-1]}"] if covered else None)


TestAnySocket = AnySocket.TestCase
TestAnySocket.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)


class TestWhatIsGivenAtATime:
    def test_a_push_of_many_bytes_is_given_in_part_and_the_rest_is_read(self):
        session, _ = opened()
        half = PUSHED_BYTES // 2

        effects = session.pushed([entry(seq, half) for seq in (1, 2, 3)])

        assert seqs(effects) == [1, 2]
        assert isinstance(effects[-1], ReadPage)
        assert effects[-1].after == 2

    def test_who_reads_slowly_is_not_hung_up_for_what_it_was_given_at_once(self):
        """That is a push and a page behind what was unread when they were asked for; only answers may add to it."""
        entry_with_a_body = BODY_BYTES * 4 // 3 + 500
        page = (PAGE_BYTES + BODY_BYTES) * 4 // 3 + PAGE_ENTRIES * 350
        assert UNSENT_BYTES + PUSHED_BYTES + entry_with_a_body + page < UNSENT_MOST_BYTES
