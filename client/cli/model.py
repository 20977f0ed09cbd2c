"""What the screen shows, without a screen: the rows of a conversation and the lines of the room list.

    the client's store | `conversation` | rows, in the order in which they are shown | `client.cli.render` | lines of text

Nothing here asks anybody or keeps anything.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import tzinfo
from enum import Enum
from typing import Literal

from client import EpochChanged, Message, MessageId, Problem, RoomChanged, RoomId, UserId
from client.cli import words
from client.cli.text import clean, decoded, one_line

GROUP_MS = 5 * 60 * 1000

Entry = Message | RoomChanged | EpochChanged
Receipts = Mapping[UserId, Literal["delivered", "read"]]


class Tick(Enum):
    """How far one of the user's own messages has come."""

    WAITING = "…"  # in the outbox of this device
    SENT = "✓"  # the server has committed it
    DELIVERED = "✓✓"  # a device of every other member has it
    READ = "✓✓ read"  # every other member has read it
    FAILED = "✗"  # it will not get there; the row says why


class Form(Enum):
    """What can be shown of a message. Only TEXT shows what was written."""

    TEXT = "text"
    LATE = "late"  # of somebody else, refused by this user's client (protocol §3.3)
    LOCKED = "locked"  # this device's keys are locked
    NO_KEY = "no key"  # this device was never given the key, or not yet
    NOT_VERIFIED = "not verified"  # nobody can say that it is the sender's
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class Bubble:
    """A message. `heads`: it begins a group of its author's, and shows name and time. `trouble`: why it failed."""

    key: str
    id: MessageId
    seq: int | None
    author: str
    user: UserId
    mine: bool
    at_ms: int
    clock: str
    form: Form
    text: str = field(repr=False)
    heads: bool = True
    tick: Tick | None = None
    tick_words: str = ""
    trouble: str = ""
    can_resend: bool = False
    can_discard: bool = False


@dataclass(frozen=True, slots=True)
class Day:
    """The line before the first message of a day."""

    key: str
    words: str


@dataclass(frozen=True, slots=True)
class NewFrom:
    """The line before the first unread message."""

    key: str
    count: int


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that happened in the room and is no message."""

    key: str
    words: str


Row = Bubble | Day | NewFrom | Notice


@dataclass(frozen=True, slots=True)
class Unsent:
    """A message of this device that is not in the mailbox: waiting, refused for good with the `problem`, or just `committed`."""

    id: MessageId
    body: bytes = field(repr=False)
    problem: Problem | None = None
    committed: bool = False

    @property
    def tick(self) -> Tick:
        """How far it has come."""
        if self.problem is not None:
            return Tick.FAILED
        return Tick.SENT if self.committed else Tick.WAITING


@dataclass(frozen=True, slots=True)
class Page:
    """What is known of one room. `messages` and `changes` in any order; `others`: the present members beside the user.

    `new`: what came after the first of these seqs, up to the second, is new to the user.
    """

    me: UserId
    names: Mapping[UserId, str]
    direct: bool = True
    messages: Sequence[Message] = ()
    changes: Sequence[RoomChanged | EpochChanged] = ()
    unsent: Sequence[Unsent] = ()
    others: frozenset[UserId] = frozenset()
    receipts: Mapping[MessageId, Receipts] = field(default_factory=dict)
    rejections: Mapping[MessageId, Mapping[UserId, str]] = field(default_factory=dict)
    new: tuple[int, int] | None = None


def conversation(page: Page, now_ms: int, zone: tzinfo | None = None) -> list[Row]:
    """The rows of a room, oldest first: by seq, whatever the clocks say; what is not sent yet comes last."""
    entries: list[Entry] = sorted([*page.messages, *page.changes], key=lambda entry: entry.seq)
    unread = sum(_is_new(entry, page) for entry in entries)
    rows: list[Row] = []
    last: Bubble | None = None
    told_new = False
    for entry in entries:
        if not isinstance(entry, Message):
            said = words.of_change(entry, page.names, page.me)
            if said:
                rows.append(Notice(f"change:{entry.seq}", said))
                last = None
            continue
        bubble = _bubble(entry, page, zone)
        if not told_new and _is_new(entry, page):
            told_new, last = True, None
            rows.extend(_day_before(bubble, rows, now_ms, zone))
            rows.append(NewFrom("new", unread))
        else:
            rows.extend(_day_before(bubble, rows, now_ms, zone))
        last = _append(rows, bubble, last)
    for unsent in sorted(page.unsent, key=lambda unsent: unsent.id):
        bubble = _unsent_bubble(unsent, page, zone)
        rows.extend(_day_before(bubble, rows, now_ms, zone))
        last = _append(rows, bubble, last)
    return rows


def _is_new(entry: Entry, page: Page) -> bool:
    if not isinstance(entry, Message) or page.new is None or entry.sender == page.me or entry.refused:
        return False
    return page.new[0] < entry.seq <= page.new[1]


def _append(rows: list[Row], bubble: Bubble, last: Bubble | None) -> Bubble:
    follows = last is not None and rows and rows[-1] is last and _belong_together(last, bubble)
    row = replace(bubble, heads=False) if follows else bubble
    rows.append(row)
    return row


def _belong_together(one: Bubble, other: Bubble) -> bool:
    return one.user == other.user and abs(other.at_ms - one.at_ms) < GROUP_MS


def _day_before(bubble: Bubble, rows: Sequence[Row], now_ms: int, zone: tzinfo | None) -> Iterator[Day]:
    before = next((row for row in reversed(rows) if isinstance(row, Bubble)), None)
    day = words.at(bubble.at_ms, zone).date()
    if before is None or words.at(before.at_ms, zone).date() != day:
        yield Day(f"day:{bubble.key}", words.day(bubble.at_ms, now_ms, zone))


def _bubble(message: Message, page: Page, zone: tzinfo | None) -> Bubble:
    mine = message.sender == page.me
    form = form_of(message, mine=mine)
    tick, tick_words = (
        tick_of(page.receipts.get(message.id, {}), page.others, direct=page.direct) if mine else (None, "")
    )
    trouble, again = _refusal(message, page) if mine else ("", False)
    if trouble:
        tick, tick_words = Tick.FAILED, Tick.FAILED.value
    author = page.names[message.sender]
    return Bubble(
        key=message.id, id=message.id, seq=message.seq, author="you" if mine else author, user=message.sender, mine=mine,
        at_ms=message.accepted_at, clock=f"{words.at(message.accepted_at, zone):%H:%M}", form=form,
        text=clean(decoded(message.body)) if form is Form.TEXT and message.body is not None else instead(form, author),
        tick=tick, tick_words=tick_words, trouble=trouble, can_resend=again and form is Form.TEXT,
    )  # fmt: skip


def form_of(message: Message, *, mine: bool) -> Form:
    """What can be shown of a message. One that this user's client refused is never text, though its body is there."""
    if message.refused and not mine:
        return Form.LATE
    if message.problem is None and message.body is not None:
        return Form.TEXT
    known = {"locked": Form.LOCKED, "no_key": Form.NO_KEY, "not_verified": Form.NOT_VERIFIED}
    return known.get(message.problem or "", Form.UNREADABLE)


def instead(form: Form, author: str) -> str:
    """What stands in the place of a text that is not shown."""
    return {
        Form.TEXT: "",
        Form.LATE: f"A message of {author} came too late and was refused.",
        Form.LOCKED: "Locked: /unlock opens your keys, then it can be read.",
        Form.NO_KEY: "This device has no key for this message.",
        Form.NOT_VERIFIED: f"It cannot be verified that {author} wrote this: not shown.",
        Form.UNREADABLE: "This message cannot be read.",
    }[form]


def tick_of(receipts: Receipts, others: frozenset[UserId], *, direct: bool) -> tuple[Tick, str]:
    """How far a committed message has come, and how to say it; in a group as far as everybody."""
    present = [receipts[user] for user in others if user in receipts]
    read = present.count("read")
    if others and read == len(others):
        return Tick.READ, Tick.READ.value
    reached = Tick.DELIVERED if others and len(present) == len(others) else Tick.SENT
    return reached, reached.value if direct or not read else f"{reached.value} {read}/{len(others)}"


def _refusal(message: Message, page: Page) -> tuple[str, bool]:
    """Why one of the user's own messages did not get through, and whether it may be sent again."""
    if message.refused and message.reason == "blocked":
        return "Not delivered: one of you blocks the other.", False
    late = [page.names[user] for user, reason in page.rejections.get(message.id, {}).items() if reason == "late"]
    if not late:
        return "", False
    return f"Refused by {', '.join(late)}: it came too late.", True


def _unsent_bubble(unsent: Unsent, page: Page, zone: tzinfo | None) -> Bubble:
    at_ms = made_at(unsent.id)
    return Bubble(
        key=unsent.id, id=unsent.id, seq=None, author="you", user=page.me, mine=True, at_ms=at_ms,
        clock=f"{words.at(at_ms, zone):%H:%M}", form=Form.TEXT, text=clean(decoded(unsent.body)), tick=unsent.tick,
        tick_words=unsent.tick.value, trouble="" if unsent.problem is None else f"Not sent: {words.of_problem(unsent.problem)}.",
        can_resend=unsent.problem is not None, can_discard=not unsent.committed,
    )  # fmt: skip


def made_at(message: MessageId) -> int:
    """When a message was made, in milliseconds since 1970: the time in its id (RFC 9562 §5.7)."""
    return int(message.replace("-", "")[:12], 16)


@dataclass(frozen=True, slots=True)
class RoomLine:
    """A room in the list. `people`: the others; `badge`: a mark beside them; `last`: the newest thing that was said."""

    id: RoomId
    people: tuple[str, ...]
    unread: int
    last: str
    at_ms: int
    clock: str
    badge: str = ""
    typing: bool = False
    direct: bool = True


def last_words(message: Message | None, unsent: Unsent | None, page: Page, *, direct: bool) -> str:
    """The newest of a room in one line: who said it, unless that goes without saying, and how far it has come."""
    if unsent is not None:
        return f"{unsent.tick.value} {one_line(decoded(unsent.body))}"
    if message is None:
        return ""
    mine = message.sender == page.me
    form = form_of(message, mine=mine)
    author = page.names[message.sender]
    said = one_line(decoded(message.body)) if form is Form.TEXT and message.body else instead(form, author)
    if mine:
        tick, _ = tick_of(page.receipts.get(message.id, {}), page.others, direct=direct)
        return f"{tick.value.split()[0]} {said}"
    return said if direct or form is not Form.TEXT else f"{author}: {said}"


def typing_words(typing: Sequence[str]) -> str:
    """Who is writing."""
    match typing:
        case []:
            return ""
        case [one]:
            return f"{one} is writing…"
        case [one, other]:
            return f"{one} and {other} are writing…"
        case _:
            return f"{len(typing)} people are writing…"
