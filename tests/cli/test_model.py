"""What a conversation looks like, decided without a screen."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from client import DeviceId, Message, MessageId, Problem, RoomChanged, RoomId, UserId
from client.cli.model import (
    Bubble,
    Day,
    Form,
    NewFrom,
    Notice,
    Page,
    Tick,
    Unsent,
    conversation,
    last_words,
    made_at,
    tick_of,
    typing_words,
)  # fmt: skip
from client.cli.render import lines_of
from client.protocol.ids import message_id
from tests.cli.test_text import ANYTHING, HARD, is_harmless

ME, BOB, CAROL = UserId("u-me"), UserId("u-bob"), UserId("u-carol")
NAMES = {ME: "alice", BOB: "bob", CAROL: "carol"}
ROOM = RoomId("room")
NOON = int(datetime(2026, 11, 23, 12, 0, tzinfo=UTC).timestamp() * 1000)
MINUTE, DAY = 60_000, 86_400_000


def message(seq: int, sender: UserId = BOB, body: bytes | None = b"hello", at: int = NOON, **fields) -> Message:
    refused, reason = fields.pop("refused", False), fields.pop("reason", None)
    made = Message(seq, MessageId(f"m{seq}"), ROOM, sender, DeviceId("d"), at, at, body, refused, reason)
    return replace(made, **fields) if fields else made


def shown(*messages: Message, **fields) -> list:
    return conversation(Page(me=ME, names=NAMES, messages=messages, **fields), NOON, UTC)


def bubbles(rows: list) -> list[Bubble]:
    return [row for row in rows if isinstance(row, Bubble)]


def test_messages_stand_by_seq_whatever_the_clocks_say():
    rows = shown(message(3, body=b"c"), message(1, body=b"a"), message(2, body=b"b", at=NOON - DAY * 400))
    assert [row.text for row in bubbles(rows)] == ["a", "b", "c"]


def test_a_day_begins_with_its_name():
    rows = shown(message(1, at=NOON - 2 * DAY), message(2, at=NOON - DAY), message(3, at=NOON), message(4, at=NOON))
    assert [row.words for row in rows if isinstance(row, Day)] == ["Saturday, 21 November", "Yesterday", "Today"]


def test_who_goes_on_within_five_minutes_is_not_named_again():
    rows = shown(
        message(1),
        message(2, at=NOON + MINUTE),
        message(3, ME, at=NOON + MINUTE),
        message(4, at=NOON + 2 * MINUTE),
        message(5, at=NOON + 8 * MINUTE),
    )
    assert [row.heads for row in bubbles(rows)] == [True, False, True, True, True]


def test_the_line_before_what_is_new_counts_what_others_wrote():
    rows = shown(message(1), message(2, ME), message(3), message(4, ME), message(5), message(6), new=(2, 5))
    (mark,) = [row for row in rows if isinstance(row, NewFrom)]
    assert mark.count == 2
    assert rows[rows.index(mark) + 1].seq == 3


@pytest.mark.parametrize(
    ("receipts", "others", "tick"),
    [
        ({}, {BOB}, Tick.SENT),
        ({BOB: "delivered"}, {BOB}, Tick.DELIVERED),
        ({BOB: "read"}, {BOB}, Tick.READ),
        ({BOB: "read"}, {BOB, CAROL}, Tick.SENT),
        ({BOB: "read", CAROL: "delivered"}, {BOB, CAROL}, Tick.DELIVERED),
        ({BOB: "read", CAROL: "read"}, {BOB, CAROL}, Tick.READ),
        ({CAROL: "read"}, {BOB}, Tick.SENT),
        ({}, set(), Tick.SENT),
    ],
)
def test_ticks_go_by_the_slowest_of_those_who_are_there(receipts, others, tick):
    assert tick_of(receipts, frozenset(others), direct=True)[0] is tick


def test_a_group_says_how_many_have_read():
    assert tick_of({BOB: "read", CAROL: "delivered"}, frozenset({BOB, CAROL}), direct=False)[1] == "✓✓ 1/2"


def test_only_ones_own_messages_have_ticks():
    theirs, mine = bubbles(shown(message(1), message(2, ME), others=frozenset({BOB}), receipts={"m2": {BOB: "read"}}))
    assert (theirs.tick, mine.tick, mine.tick_words) == (None, Tick.READ, "✓✓ read")


def test_what_waits_and_what_failed_comes_last_with_its_reason():
    first, second = MessageId(message_id(NOON, 1)), MessageId(message_id(NOON + MINUTE, 1))
    refused = Unsent(first, b"no", Problem("blocked", 403, more={"by": "peer"}))
    rows = bubbles(shown(message(1), unsent=[Unsent(second, b"later"), refused]))
    assert [(row.text, row.tick) for row in rows[1:]] == [("no", Tick.FAILED), ("later", Tick.WAITING)]
    assert rows[1].trouble == "Not sent: this user blocks you."
    assert (rows[1].can_resend, rows[1].can_discard) == (True, True)
    assert (rows[2].can_resend, rows[2].can_discard) == (False, True)
    assert made_at(first) == NOON


def test_what_was_just_committed_is_sent_until_its_entry_comes():
    (row,) = bubbles(shown(unsent=[Unsent(MessageId(message_id(NOON, 1)), b"hi", committed=True)]))
    assert (row.tick, row.can_discard) == (Tick.SENT, False)


def test_a_late_message_of_another_is_never_text():
    (row,) = bubbles(shown(message(1, body=b"secret plan", refused=True, reason="late")))
    assert row.form is Form.LATE
    assert "secret plan" not in "".join(text for line in lines_of(row, 60) for text, _ in line)
    assert "came too late" in row.text


def test_ones_own_late_message_says_who_refused_it_and_may_be_sent_again():
    (row,) = bubbles(shown(message(1, ME, b"hi"), rejections={"m1": {BOB: "late"}}))
    assert (row.tick, row.trouble, row.can_resend) == (Tick.FAILED, "Refused by bob: it came too late.", True)


def test_what_a_block_stopped_on_its_way_is_not_delivered():
    (row,) = bubbles(shown(message(1, ME, b"hi", refused=True, reason="blocked")))
    assert (row.tick, row.can_resend) == (Tick.FAILED, False)
    assert "blocks" in row.trouble


def test_what_cannot_be_read_says_so():
    (row,) = bubbles(shown(message(1, body=None)))
    assert (row.form, row.text) == (Form.UNREADABLE, "This message cannot be read.")


def test_changes_of_the_room_stand_between_the_messages():
    change = RoomChanged(2, ROOM, "added", BOB, (CAROL,), None)
    rows = shown(message(1), message(3), changes=[change])
    assert [type(row) for row in rows] == [Day, Bubble, Notice, Bubble]
    assert rows[2].words == "bob added carol"
    assert rows[3].heads


def test_the_newest_in_a_line():
    page = Page(ME, NAMES, others=frozenset({BOB}), receipts={"m1": {BOB: "read"}})
    assert last_words(message(1, ME, b"two\nlines"), None, page, direct=True) == "✓✓ two lines"
    assert last_words(message(1), None, page, direct=True) == "hello"
    assert last_words(message(1), None, page, direct=False) == "bob: hello"
    assert (
        last_words(message(1, refused=True), None, page, direct=False)
        == "A message of bob came too late and was refused."
    )
    assert last_words(message(1), Unsent(MessageId("m2"), b"wait"), page, direct=True) == "… wait"
    assert last_words(None, None, page, direct=True) == ""


def test_who_is_writing():
    assert [typing_words(names) for names in ([], ["bob"], ["bob", "carol"], ["a", "b", "c"])] == [
        "", "bob is writing…", "bob and carol are writing…", "3 people are writing…",
    ]  # fmt: skip


@given(
    st.lists(st.tuples(ANYTHING | HARD, st.booleans(), st.booleans(), st.integers(0, 2**45)), max_size=5),
    ANYTHING | HARD,
    st.integers(1, 90),
)
def test_no_row_breaks_the_screen(said, problem, width):
    """Whatever is written, at whatever time, every line is harmless, in one line, and not wider than the screen."""
    messages = [
        message(seq, ME if mine else BOB, text.encode("utf-8", "surrogatepass"), at, refused=refused)
        for seq, (text, mine, refused, at) in enumerate(said, 1)
    ]
    unsent = [Unsent(MessageId(message_id(NOON, 1)), b"x", Problem("odd", 400, detail=problem))]
    for row in shown(*messages, unsent=unsent, new=(0, 9)):
        for line in lines_of(row, width):
            whole = "".join(text for text, _ in line)
            assert is_harmless(whole) and "\n" not in whole
            assert cell_len(whole) <= max(width, 12)
