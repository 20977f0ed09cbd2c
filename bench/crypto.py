"""`python -m bench.crypto`: what the client's cryptography costs one device. No server, no network, no store.

CPU time of this process, so that others on the machine matter less; the spread is from the 5th to the 95th percentile.
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from rich.console import Console
from rich.table import Table

from bench import machine
from bench.report import number
from client.crypto import boxes, epochs, kdf, messages, recovery, safety, userkeys, vault
from client.crypto.keys import EncryptionKey
from client.crypto.userkeys import DeviceKey, UserKeys
from client.protocol.ids import DeviceId, MessageId, RoomId, UserId, message_id

NOW_MS = 1_763_800_000_000
MEMBERS = 1_000
BODY = "a" * 120


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.crypto", description=(__doc__ or "").split("\n\n", 1)[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the repetitions: for a look, not for a record")
    return parser.parse_args()


@dataclass(frozen=True)
class Work:
    """One operation, how often it is measured, and what it may cost at the median, in µs of CPU time."""

    name: str
    call: Callable[[], object]
    times: int
    bound_us: float | None = None


@dataclass
class Person:
    """A user with one device and fresh keys."""

    user: UserId = field(default_factory=lambda: UserId(_id()))
    device: DeviceId = field(default_factory=lambda: DeviceId(_id()))
    identity: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    signer: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    encryption: EncryptionKey = field(default_factory=lambda: EncryptionKey.fresh(1))

    def keys(self, devices: int = 1) -> UserKeys:
        """The document, with so many devices in it."""
        entry = DeviceKey(self.device, self.signer.public_key().public_bytes_raw(), NOW_MS // 1000, box=_box())
        content = userkeys.first(
            self.user, self.identity.public_key().public_bytes_raw(), self.encryption.announced, entry
        )
        for _ in range(devices - 1):
            content = content.with_device(DeviceKey(DeviceId(_id()), entry.key, entry.since, box=entry.box))
        return content.sign(self.identity)


def _id() -> str:
    return message_id(NOW_MS, int.from_bytes(os.urandom(10)))


def _box() -> bytes:
    return EncryptionKey.fresh(1).public


def works() -> Iterator[Work]:
    """Everything that is measured, with its people made beforehand."""
    alice, bob = Person(), Person()
    document, fifty = alice.keys(), alice.keys(50)
    room, members = RoomId(_id()), [document, *(Person().keys() for _ in range(MEMBERS - 1))]

    def epoch(keys: list[UserKeys]) -> epochs.NewEpoch:
        return epochs.create(room, 1, b"", alice.user, alice.device, alice.signer, keys, NOW_MS // 1000)

    made = epoch([document, bob.keys()])
    payload = messages.Payload(MessageId(_id()), "text", BODY, NOW_MS)
    public = document.devices[0].public
    sealed = messages.seal(made.key, alice.user, alice.device, alice.signer, payload)
    yield Work(
        "seal 120 bytes",
        lambda: messages.seal(made.key, alice.user, alice.device, alice.signer, payload),
        3_000,
        150,
    )
    yield Work(
        "open them",
        lambda: messages.open(made.key, alice.user, alice.device, public, sealed, id=payload.id, sent_at=payload.ts),
        3_000,
        400,
    )

    place: dict[str, Any] = {"room": room, "epoch": 1, "creator": alice.user, "device": alice.device, "public": public}
    record, wrap = made.record.json(), made.wraps[bob.user]
    yield Work("epoch for 1 000 members, as JSON", lambda: epoch(members).json(1), 10, 500_000)
    yield Work("verify an epoch's record", lambda: epochs.read(record, **place), 2_000)
    yield Work(
        "unwrap its key, check it",
        lambda: epochs.open_wrap(made.record, wrap, bob.user, bob.encryption),
        2_000,
    )

    short, long = document.json(), fifty.json()
    yield Work("verify keys, 1 device", lambda: userkeys.read(short, alice.user), 1_000)
    yield Work("verify keys, 50 devices", lambda: userkeys.read(long, alice.user), 50)
    yield Work(
        "box a new key for 49 devices",
        lambda: boxes.seal_boxes(EncryptionKey.fresh(2), fifty, alice.device),
        20,
    )
    yield Work(
        "safety number",
        lambda: safety.safety_number(alice.user, document.identity, bob.user, made.roster[0].identity),
        50,
    )

    standard, key = kdf.Kdf.fresh(), recovery.new()
    slots = vault.new(alice.user, standard, bytes(32), key).json()
    yield Work("open a vault", lambda: vault.open_with_recovery_key(slots, alice.user, key), 500)
    yield Work("Argon2id, standard (64 MiB)", lambda: kdf.split("correct horse battery staple", standard), 10)
    floor = kdf.Kdf.fresh(kdf.FLOOR)
    yield Work("Argon2id, floor (19 MiB)", lambda: kdf.split("correct horse battery staple", floor), 20)


def measure(work: Work, quick: bool) -> tuple[list[float], list[float]]:
    """CPU and elapsed µs of each repetition, after one that is not counted."""
    work.call()
    cpu, elapsed = [], []
    for _ in range(max(5, work.times // 10) if quick else work.times):
        cpu_began, began = time.process_time_ns(), time.perf_counter_ns()
        work.call()
        cpu.append((time.process_time_ns() - cpu_began) / 1e3)
        elapsed.append((time.perf_counter_ns() - began) / 1e3)
    return cpu, elapsed


def _spell(us: float) -> str:
    return f"{number(us / 1e3, 1)} ms" if us >= 1e3 else f"{number(us, 0)} µs"


def main() -> int:
    """0 when every median is within its bound."""
    given = options()
    facts = machine.facts()
    table = Table(title=f"Cryptography of one device; {facts['cpu']}, {facts['cores']} cores", title_justify="left")
    table.add_column("operation", no_wrap=True)
    for column in ("CPU, median", "5 % – 95 %", "elapsed", "bound", "of"):
        table.add_column(column, justify="right", no_wrap=True)
    missed = 0
    for work in works():
        cpu, elapsed = measure(work, given.quick)
        median, parts = statistics.median(cpu), statistics.quantiles(cpu, n=20, method="inclusive")
        missed += work.bound_us is not None and median > work.bound_us
        table.add_row(
            work.name,
            _spell(median),
            f"{_spell(parts[0])} – {_spell(parts[-1])}",
            _spell(statistics.median(elapsed)),
            "" if work.bound_us is None else _spell(work.bound_us),
            str(len(cpu)),
        )
    console = Console(width=None if sys.stdout.isatty() else 120)
    console.print(table)
    if missed:
        console.print(f"{missed} of the medians beyond their bounds")
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
