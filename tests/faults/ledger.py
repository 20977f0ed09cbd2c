"""The ledger of a run under faults, and the checker that holds it against the database. Pure: no clock, no I/O.

The clients write down what they tried, what they were answered and every entry they got, doubles included (`Ledger`).
The database says at the end what is stored and what lies in every mailbox (`Truth`). `check` names all that must not be.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple


class Message(NamedTuple):
    """A message as its sender composed it, or as it is stored. `number` counts what one device sends in one room, from 1."""

    id: str
    room: str
    user: str
    device: str
    number: int


class Got(NamedTuple):
    """One entry as a device got it; `message` is None for what is no message."""

    seq: int
    message: Message | None


class Ack(NamedTuple):
    """A device told the server that it has everything up to `seq`; `at` orders the events of all clients."""

    at: int
    seq: int


class Read(NamedTuple):
    """A device told the server that its user has read a room up to `seq`."""

    at: int
    user: str
    room: str
    seq: int


class Receipt(NamedTuple):
    """The server told a device of `sender` that `user` has (`read`: has read) the message and all earlier ones of its device and room."""

    at: int
    sender: str
    user: str
    room: str
    device: str
    message: str
    read: bool


@dataclass(slots=True)
class Connection:
    """One socket from `welcome` to its end: what came on it, in the order in which it came."""

    at: int
    acknowledged: int
    entries: list[Got] = field(default_factory=list)


@dataclass(slots=True)
class DeviceLog:
    """Everything one device saw and said."""

    user: str
    connections: list[Connection] = field(default_factory=list)
    acks: list[Ack] = field(default_factory=list)


@dataclass(slots=True)
class Ledger:
    """What the clients know."""

    rooms: dict[str, frozenset[str]] = field(default_factory=dict)
    tried: dict[str, Message] = field(default_factory=dict)
    # Every `accepted_at` (ms) that an id was answered with.
    accepted: dict[str, set[int]] = field(default_factory=dict)
    # Refusals that may not be retried, and whatever else a client did not expect.
    surprises: list[str] = field(default_factory=list)
    devices: dict[str, DeviceLog] = field(default_factory=dict)
    reads: list[Read] = field(default_factory=list)
    receipts: list[Receipt] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Truth:
    """What the database holds when all is quiet. `mailboxes` is user → [(seq, message id or None)] by seq."""

    stored: Mapping[str, tuple[Message, int]]
    mailboxes: Mapping[str, Sequence[tuple[int, str | None]]]
    cursors: Mapping[str, int] = field(default_factory=dict)
    pending: int = 0
    dead: int = 0


class Violation(NamedTuple):
    """Something that must not be; `message` is the id of the message that it is about, if it is about one."""

    kind: str
    detail: str
    message: str = ""


def check(ledger: Ledger, truth: Truth) -> list[Violation]:
    """Every violation there is; empty when all promises were kept.

    1. accepted − stored = ∅, stored − tried = ∅, and the same id was answered alike each time.
    2. Every stored message lies in the mailbox of every member of its room, once, and in nobody else's.
    3. Every mailbox is numbered 1, 2, 3, …; what one device sent in one room lies there in the order of sending.
    4. Every device got its user's mailbox: the same under each number, nothing missing. Each socket began behind what was
       acknowledged and went on without a gap.
    5. Nobody was told of a delivery or a reading before it was acknowledged or reported.
    6. Nothing is still pending, nothing was set aside.
    """
    rules = (_surprises, _log, _mailboxes, _numbers, _devices, _sockets, _receipts, _leftovers)
    return [violation for rule in rules for violation in rule(ledger, truth)]


def check_markers(ledger: Ledger, truth: Truth, asked: Sequence[Receipt]) -> list[Violation]:
    """When everybody has acknowledged everything, whoever asks is told so: per room, sending device and other member, the newest message."""
    newest: dict[tuple[str, str], Message] = {}
    for message, _ in truth.stored.values():
        lane = message.room, message.device
        if lane not in newest or message.number > newest[lane].number:
            newest[lane] = message
    told = {(receipt.room, receipt.device, receipt.user): receipt.message for receipt in asked if not receipt.read}
    return [
        Violation("receipt", f"{message.user} is told {told.get((*lane, user))} of {user} instead of {message}")
        for lane, message in newest.items()
        for user in ledger.rooms[message.room] - {message.user}
        if told.get((*lane, user)) != message.id
    ]


def _surprises(ledger: Ledger, truth: Truth) -> Iterator[Violation]:
    for surprise in ledger.surprises:
        yield Violation("surprise", surprise)


def _log(ledger: Ledger, truth: Truth) -> Iterator[Violation]:
    for id, times in ledger.accepted.items():
        if id not in truth.stored:
            yield Violation("lost", f"{id} was accepted and is not stored", id)
        elif times != {truth.stored[id][1]}:
            yield Violation("answer", f"{id} was accepted at {truth.stored[id][1]} and answered with {sorted(times)}")
        if id not in ledger.tried:
            yield Violation("answer", f"{id} was accepted and never sent")
    for id, (message, _) in truth.stored.items():
        if id not in ledger.tried:
            yield Violation("foreign", f"{id} is stored and was never sent")
        elif message != ledger.tried[id]:
            yield Violation("altered", f"{id} was sent as {ledger.tried[id]} and stored as {message}")


def _mailboxes(ledger: Ledger, truth: Truth) -> Iterator[Violation]:
    held = {user: Counter(id for _, id in lines if id) for user, lines in truth.mailboxes.items()}
    for id, (message, _) in truth.stored.items():
        for user in ledger.rooms.get(message.room, ()):
            count = held.get(user, Counter())[id]
            if count != 1:
                kind = "doubled" if count else "lost"
                yield Violation(kind, f"{id} is {count} times in the mailbox of {user}", id)
    for user, counts in held.items():
        for id in counts:
            if id not in truth.stored:
                yield Violation("foreign", f"the mailbox of {user} names {id}, which is not stored")
            elif user not in ledger.rooms.get(truth.stored[id][0].room, ()):
                yield Violation("foreign", f"{id} is in the mailbox of {user}, who is not in its room")


def _numbers(ledger: Ledger, truth: Truth) -> Iterator[Violation]:
    for user, lines in truth.mailboxes.items():
        seqs = [seq for seq, _ in lines]
        if seqs != list(range(1, len(seqs) + 1)):
            yield Violation("not dense", f"the mailbox of {user} has {len(seqs)} entries and ends at {max(seqs)}")
        newest: dict[tuple[str, str], int] = defaultdict(int)
        for seq, id in lines:
            if id and id in truth.stored:
                message, _ = truth.stored[id]
                lane = message.device, message.room
                if message.number < newest[lane]:
                    yield Violation(
                        "order", f"{user} has number {message.number} of {lane} at {seq}, behind {newest[lane]}", id
                    )
                newest[lane] = max(newest[lane], message.number)


def _devices(ledger: Ledger, truth: Truth) -> Iterator[Violation]:
    for device, log in ledger.devices.items():
        lines = dict(truth.mailboxes.get(log.user, ()))
        got: dict[int, Message | None] = {}
        for connection in log.connections:
            for seq, message in connection.entries:
                if got.setdefault(seq, message) != message:
                    yield Violation("differs", f"{device} got two things as {seq}")
        for seq, message in got.items():
            if seq not in lines:
                yield Violation("foreign", f"{device} got {seq}, which is not in the mailbox of {log.user}")
            elif (message.id if message else None) != lines[seq]:
                yield Violation("differs", f"{device} got another thing as {seq} than the mailbox of {log.user} has")
            elif message and message.id in truth.stored and message != truth.stored[message.id][0]:
                yield Violation("altered", f"{device} got {message}, stored is {truth.stored[message.id][0]}")
        missing = sorted(lines.keys() - got.keys())
        if missing:
            first = lines[missing[0]] or ""
            yield Violation(
                "lost", f"{device} never got {len(missing)} entries of {log.user}, the first at {missing[0]}", first
            )


def _sockets(ledger: Ledger, truth: Truth) -> Iterator[Violation]:
    for device, log in ledger.devices.items():
        for connection in log.connections:
            acked = max((ack.seq for ack in log.acks if ack.at < connection.at), default=0)
            if connection.acknowledged > acked:
                yield Violation(
                    "cursor", f"{device} was welcomed at {connection.acknowledged} and had acknowledged {acked}"
                )
            seqs = [entry.seq for entry in connection.entries]
            expected = range(connection.acknowledged + 1, connection.acknowledged + 1 + len(seqs))
            for entry, seq, wanted in zip(connection.entries, seqs, expected, strict=True):
                if seq != wanted:
                    about = entry.message.id if entry.message else ""
                    yield Violation("gap", f"{device} got {seq} on a socket where {wanted} was next", about)
                    break
        acked = max((ack.seq for ack in log.acks), default=0)
        if truth.cursors.get(device, 0) > acked:
            yield Violation("cursor", f"{device} has its cursor at {truth.cursors[device]} and acknowledged {acked}")


def _receipts(ledger: Ledger, truth: Truth) -> Iterator[Violation]:
    places = {user: {id: seq for seq, id in lines if id} for user, lines in truth.mailboxes.items()}
    acked = {
        user: _rising([ack for log in ledger.devices.values() if log.user == user for ack in log.acks])
        for user in places
    }
    reads: dict[tuple[str, str], list[Ack]] = defaultdict(list)
    for read in ledger.reads:
        reads[read.user, read.room].append(Ack(read.at, read.seq))
    rising = {key: _rising(found) for key, found in reads.items()}
    for receipt in ledger.receipts:
        if receipt.message not in truth.stored:
            yield Violation("receipt", f"{receipt} names a message that is not stored")
            continue
        message, _ = truth.stored[receipt.message]
        if (message.user, message.room, message.device) != (receipt.sender, receipt.room, receipt.device):
            yield Violation("receipt", f"{receipt} names a message of another sender, room or device")
        seq = places.get(receipt.user, {}).get(receipt.message)
        told = rising.get((receipt.user, receipt.room), []) if receipt.read else acked.get(receipt.user, [])
        if seq is None or seq > _newest_before(told, receipt.at):
            what = "read" if receipt.read else "acknowledged"
            yield Violation(
                "receipt", f"{receipt.user} had not {what} {receipt.message} ({seq}) when {receipt.sender} was told"
            )


def _leftovers(ledger: Ledger, truth: Truth) -> Iterator[Violation]:
    if truth.pending:
        yield Violation("pending", f"{truth.pending} deliveries are still pending")
    if truth.dead:
        yield Violation("dead", f"{truth.dead} deliveries were set aside")


def _rising(acks: list[Ack]) -> list[Ack]:
    """In order of time, each with the highest number reached by then."""
    highest, rising = 0, []
    for at, seq in sorted(acks):
        highest = max(highest, seq)
        rising.append(Ack(at, highest))
    return rising


def _newest_before(rising: Sequence[Ack], at: int) -> int:
    """The highest number told before this moment."""
    low, high = 0, len(rising)
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if rising[middle].at < at else (low, middle)
    return rising[low - 1].seq if low else 0
