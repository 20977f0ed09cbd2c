"""The checker of the fault test finds whatever is falsified: a proof by a checker that never complains would be none."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from tests.faults.ledger import (
    Ack,
    Connection,
    DeviceLog,
    Got,
    Ledger,
    Message,
    Read,
    Receipt,
    Truth,
    check,
    check_markers,
)

FIRST = Message("m1", "room", "alice", "alice.phone", 1)
SECOND = Message("m2", "room", "alice", "alice.phone", 2)
REPLY = Message("m3", "room", "bob", "bob.phone", 1)
ALL = (FIRST, SECOND, REPLY)
CREATED = Got(1, None)


def honest() -> tuple[Ledger, dict[str, Any]]:
    """Alice sends two messages, Bob answers; his laptop is cut off once and resumes. All is well."""
    entries = [CREATED, *(Got(seq, message) for seq, message in enumerate(ALL, start=2))]
    ledger = Ledger(
        rooms={"room": frozenset({"alice", "bob"})},
        tried={message.id: message for message in ALL},
        accepted={message.id: {1000 + message.number} for message in ALL},
        devices={
            "alice.phone": DeviceLog("alice", [Connection(1, 0, entries[:])], [Ack(10, 4)]),
            "bob.phone": DeviceLog("bob", [Connection(2, 0, entries[:])], [Ack(11, 2), Ack(12, 4)]),
            "bob.laptop": DeviceLog(
                "bob", [Connection(3, 0, entries[:2]), Connection(20, 1, entries[1:])], [Ack(13, 1), Ack(21, 4)]
            ),
        },
        reads=[Read(14, "bob", "room", 2)],
        receipts=[
            Receipt(15, "alice", "bob", "room", "alice.phone", "m2", read=False),
            Receipt(16, "alice", "bob", "room", "alice.phone", "m1", read=True),
        ],
    )
    mailbox = [(1, None), (2, "m1"), (3, "m2"), (4, "m3")]
    truth = {
        "stored": {message.id: (message, 1000 + message.number) for message in ALL},
        "mailboxes": {"alice": mailbox[:], "bob": mailbox[:]},
        "cursors": {"alice.phone": 4, "bob.phone": 4, "bob.laptop": 4},
        "pending": 0,
        "dead": 0,
    }
    return ledger, truth


def found(falsify: Callable[[Ledger, dict[str, Any]], object]) -> set[str]:
    """The kinds of violation that the checker finds after this falsification of the honest ledger."""
    ledger, truth = deepcopy(honest())
    falsify(ledger, truth)
    return {violation.kind for violation in check(ledger, Truth(**truth))}


def swap(lines: list[Any], one: int, other: int) -> None:
    """Exchange two items."""
    lines[one], lines[other] = lines[other], lines[one]


def test_an_honest_ledger_passes() -> None:
    assert found(lambda ledger, truth: None) == set()


def test_a_message_without_an_answer_may_be_stored_or_not() -> None:
    assert found(lambda ledger, truth: ledger.accepted.pop("m3")) == set()
    assert found(lambda ledger, truth: ledger.tried.update(m4=Message("m4", "room", "bob", "bob.phone", 2))) == set()


FALSIFICATIONS: dict[str, tuple[str, Callable[[Ledger, dict[str, Any]], object]]] = {
    "accepted and not stored": ("lost", lambda ledger, truth: truth["stored"].pop("m3")),
    "stored and never sent": ("foreign", lambda ledger, truth: ledger.tried.pop("m3")),
    "accepted and never sent": ("answer", lambda ledger, truth: ledger.accepted.update(m9={1})),
    "stored with other content": ("altered", lambda ledger, truth: truth["stored"].update(m1=(FIRST._replace(number=7), 1001))),
    "answered in two ways": ("answer", lambda ledger, truth: ledger.accepted["m1"].add(1099)),
    "not in one mailbox": ("lost", lambda ledger, truth: truth["mailboxes"]["bob"].pop()),
    "twice in one mailbox": ("doubled", lambda ledger, truth: truth["mailboxes"]["bob"].append((5, "m1"))),
    "in a stranger's mailbox": ("foreign", lambda ledger, truth: truth["mailboxes"].update(mallory=[(1, "m1")])),
    "a number left out": ("not dense", lambda ledger, truth: truth["mailboxes"]["bob"].remove((2, "m1"))),
    "a number given twice": ("not dense", lambda ledger, truth: truth["mailboxes"]["bob"].insert(1, (1, None))),
    "in the wrong order": ("order", lambda ledger, truth: truth["mailboxes"].update(bob=[(1, None), (2, "m2"), (3, "m1"), (4, "m3")])),
    "never came to one device": ("lost", lambda ledger, truth: ledger.devices["bob.laptop"].connections[1].entries.pop()),
    "came as another number": (
        "differs", lambda ledger, truth: truth["mailboxes"].update(bob=[(1, None), (2, "m1"), (3, "m3"), (4, "m2")])),
    "two things under one number": (
        "differs", lambda ledger, truth: ledger.devices["bob.laptop"].connections[1].entries.__setitem__(0, Got(2, REPLY))),
    "came with other content": (
        "altered",
        lambda ledger, truth: ledger.devices["bob.phone"].connections[0].entries.__setitem__(1, Got(2, FIRST._replace(number=9)))),
    "a gap on a socket": ("gap", lambda ledger, truth: ledger.devices["bob.phone"].connections[0].entries.pop(1)),
    "a double on a socket": ("gap", lambda ledger, truth: ledger.devices["bob.phone"].connections[0].entries.append(Got(4, REPLY))),
    "two entries exchanged on a socket": ("gap", lambda ledger, truth: swap(ledger.devices["bob.phone"].connections[0].entries, 1, 2)),
    "welcomed beyond its acknowledgement": (
        "cursor", lambda ledger, truth: setattr(ledger.devices["bob.laptop"].connections[1], "at", 5)),
    "a cursor beyond its acknowledgement": ("cursor", lambda ledger, truth: truth["cursors"].update({"bob.phone": 5})),
    "delivered before it was acknowledged": (
        "receipt", lambda ledger, truth: ledger.receipts.append(Receipt(12, "alice", "bob", "room", "alice.phone", "m2", False))),
    "read before it was read": (
        "receipt", lambda ledger, truth: ledger.receipts.append(Receipt(30, "alice", "bob", "room", "alice.phone", "m2", True))),
    "a receipt for another's message": (
        "receipt", lambda ledger, truth: ledger.receipts.append(Receipt(30, "alice", "bob", "room", "alice.phone", "m3", False))),
    "a receipt for nothing": (
        "receipt", lambda ledger, truth: ledger.receipts.append(Receipt(30, "alice", "bob", "room", "alice.phone", "m9", False))),
    "still pending": ("pending", lambda ledger, truth: truth.update(pending=1)),
    "set aside": ("dead", lambda ledger, truth: truth.update(dead=1)),
    "an answer that nobody expected": ("surprise", lambda ledger, truth: ledger.surprises.append("id_conflict")),
}  # fmt: skip


@pytest.mark.parametrize("what", FALSIFICATIONS)
def test_what_is_falsified_is_found(what: str) -> None:
    kind, falsify = FALSIFICATIONS[what]
    assert kind in found(falsify)


def test_markers_must_name_the_newest_message() -> None:
    ledger, truth = honest()
    of_bob = Receipt(99, "alice", "bob", "room", "alice.phone", "m2", read=False)
    of_alice = Receipt(99, "bob", "alice", "room", "bob.phone", "m3", read=False)
    assert check_markers(ledger, Truth(**truth), [of_bob, of_alice]) == []
    assert len(check_markers(ledger, Truth(**truth), [of_bob])) == 1
    assert len(check_markers(ledger, Truth(**truth), [of_bob._replace(message="m1"), of_alice])) == 1
