"""What was sent, what every device heard, and whether the two agree. Pure: the proof must not depend on the performance."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

Heard = Sequence["Entry"]
Mailboxes = Mapping[str, Mapping[str, Heard]]  # user → device → what it heard, in the order in which it heard it


@dataclass(frozen=True, slots=True)
class Line:
    """A message that the server has accepted; `device` is the sending one."""

    id: str
    user: str
    device: str
    text: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One number of a mailbox as a device heard it; a message has an id and the rest."""

    seq: int
    id: str = ""
    room: str = ""
    user: str = ""
    device: str = ""
    text: str = ""
    refused: bool = False  # the device found that it came too late


@dataclass(slots=True)
class RoomLedger:
    """One room: its members, and the accepted lines in the order of the play."""

    name: str
    members: tuple[str, ...]
    lines: list[Line] = field(default_factory=list)


Ledger = Mapping[str, RoomLedger]  # room → its lines


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that must not be. `kind`: numbers, differs, lost, doubled, foreign, late, order or text."""

    kind: str
    user: str
    device: str
    room: str
    detail: str


def check(ledger: Ledger, mailboxes: Mailboxes) -> list[Fault]:
    """Every fault that there is.

    1. Each device heard the numbers 1, 2, 3, … up to the same one, and the same under each as the user's other devices.
    2. Each line that was accepted is on every device of every member, once; nothing is there that was not sent.
    3. In each room, the lines of one device come in the order in which it sent them.
    4. The room as it was heard, read from top to bottom, is the play.
    """
    faults: list[Fault] = []
    for user, devices in mailboxes.items():
        faults += _check_numbers(user, devices)
        for device, heard in devices.items():
            faults += _check_contents(ledger, user, device, heard)
            for room, record in ledger.items():
                if user in record.members:
                    faults += _check_room(
                        record, user, device, [entry for entry in heard if entry.room == room and entry.id]
                    )
    return faults


def _check_numbers(user: str, devices: Mapping[str, Heard]) -> list[Fault]:
    faults = []
    newest = max((heard[-1].seq for heard in devices.values() if heard), default=0)
    reference: Heard | None = None  # the first that is whole: the others must be equal to it
    for device, heard in devices.items():
        seqs = [entry.seq for entry in heard]
        whole = seqs == list(range(1, newest + 1))
        reference = heard if reference is None and whole else reference
        if not whole:
            faults.append(Fault("numbers", user, device, "", f"heard {_ranges(seqs)} instead of 1 to {newest}"))
        elif reference is not None and list(heard) != list(reference):
            faults.append(Fault("differs", user, device, "", "its entries differ from those of another device"))
    return faults


def _check_contents(ledger: Ledger, user: str, device: str, heard: Heard) -> list[Fault]:
    expected = {line.id: room for room, record in ledger.items() if user in record.members for line in record.lines}
    counts = Counter(entry.id for entry in heard if entry.id)
    faults = [Fault("lost", user, device, room, id_) for id_, room in expected.items() if not counts[id_]]
    for id_, count in counts.items():
        if count > 1:
            faults.append(Fault("doubled", user, device, expected.get(id_, ""), f"{id_} came {count} times"))
        if id_ not in expected:
            faults.append(Fault("foreign", user, device, "", f"{id_} was not sent to this user"))
    return faults + [
        Fault("late", user, device, entry.room, f"{entry.id} came too late") for entry in heard if entry.refused
    ]


def _check_room(record: RoomLedger, user: str, device: str, heard: Heard) -> list[Fault]:
    once = list({entry.id: entry for entry in heard}.values())  # doubles are counted elsewhere
    faults = []
    for sender in {line.device for line in record.lines}:
        sent = [line.id for line in record.lines if line.device == sender]
        got = [entry.id for entry in once if entry.device == sender]
        if got != [id_ for id_ in sent if id_ in set(got)]:
            faults.append(Fault("order", user, device, record.name, f"what {sender} sent came in another order"))
    heard_ids = {entry.id for entry in once}
    play = [(line.user, line.text) for line in record.lines if line.id in heard_ids]
    if [(entry.user, entry.text) for entry in once] != play:
        faults.append(Fault("text", user, device, record.name, "what was heard is not the play"))
    return faults


def _ranges(seqs: Sequence[int]) -> str:
    """`1-4, 6, 6-9`: where a new range begins, something is missing, double or out of order."""
    ranges: list[list[int]] = []
    for seq in seqs:
        if ranges and seq == ranges[-1][1] + 1:
            ranges[-1][1] = seq
        else:
            ranges.append([seq, seq])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in ranges[:20]) or "nothing"
