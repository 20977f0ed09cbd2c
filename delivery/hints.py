"""Live frames that may be lost: typing, read, receipts. Gathered and published by a thread of their own.

A mark that only grows (how far somebody has read, what somebody has) is published again for a few seconds when nobody has heard
it: a Valkey that was late once would otherwise leave a tick behind until its reader connects anew.
"""

import logging
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple
from uuid import UUID

import orjson
from django.db import DatabaseError, connection

from delivery import push, registry
from delivery.blocks import deaf_pairs
from delivery.registry import RegistryAway

logger = logging.getLogger(__name__)

MARKS: Final = frozenset({"receipts", "read"})
# Longer than nobody asks a Valkey that was away (kernel/valkey.py).
AGAIN_S: Final = 1.2
KEPT_S: Final = 15.0
MOST_KEPT: Final = 10_000


class Line(NamedTuple):
    """A frame for these users; all their devices but one. `since`: when it was to be sent (monotonic seconds)."""

    users: list[str]
    frame: Mapping[str, Any]
    exclude: str | None
    since: float


class Hints:
    """The port of kernel/ports.py: live frames, gathered and published by a thread of their own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._work = threading.Event()
        self._waiting: list[Line] = []
        # Marks that nobody has heard, and when they are published again. Of the thread.
        self._unheard: list[Line] = []
        self._again_at = 0.0
        self._thread: threading.Thread | None = None

    def send(
        self, users: Iterable[UUID | str], frame: Mapping[str, Any], *, exclude_device: UUID | None = None
    ) -> None:
        """See `kernel.ports.HintPort.send`."""
        exclude = None if exclude_device is None else str(exclude_device)
        named = [str(user) for user in users]
        if not named:
            return  # a question about nobody would be an error to Valkey, and make it seem away
        line = Line(named, frame, exclude, time.monotonic())
        with self._lock:
            self._waiting.append(line)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="hints", daemon=True)
                self._thread.start()
        self._work.set()

    def _run(self) -> None:
        while True:
            self._work.wait(max(0.0, self._again_at - time.monotonic()) if self._unheard else None)
            self._work.clear()
            with self._lock:
                lines, self._waiting = self._waiting, []
            try:
                self._publish(lines)
            except Exception:
                logger.exception("hints were lost")
                self._unheard = []

    def _publish(self, lines: list[Line]) -> None:
        """These, and before them what nobody has heard, when it is time."""
        now = time.monotonic()
        waiting, again = self._unheard, list[Line]()
        if not waiting or now >= self._again_at:
            self._again_at = now + AGAIN_S
            again, waiting = still_true([line for line in waiting if line.since > now - KEPT_S]), []
        missed = _flush(again, is_again=True) + [line for line in _flush(lines) if line.frame["type"] in MARKS]
        self._unheard = [*waiting, *missed][-MOST_KEPT:]


def still_true(lines: Sequence[Line]) -> list[Line]:
    """What may be told now as well: a reader may have blocked meanwhile who was to learn of it (a `receipts` frame has one user)."""
    receipts = [line for line in lines if line.frame["type"] == "receipts"]
    found = [line for line in lines if line.frame["type"] != "receipts"]
    if not receipts:
        return found
    try:
        deaf = deaf_pairs({(told["user"], line.users[0]) for line in receipts for told in line.frame["receipts"]})
    except DatabaseError as error:
        logger.info("receipts are not sent again: %s", type(error).__name__)
        return found
    finally:
        connection.close()
    for line in receipts:
        told = [each for each in line.frame["receipts"] if (each["user"], line.users[0]) not in deaf]
        found += [line._replace(frame={**line.frame, "receipts": told})] if told else []
    return found


def _flush(lines: Sequence[Line], *, is_again: bool = False) -> list[Line]:
    """Publish these; those that a host which should have has not heard. Again: also those whom no host has."""
    if not lines:
        return []
    wire = [(users, orjson.dumps(frame, default=str).decode(), exclude) for users, frame, exclude, _ in lines]
    try:
        hosts = push.live_hosts()
        if len(hosts) == 1:
            return [] if push.publish({hosts[0]: {"type": "hints", "hints": wire}}) else list(lines)
        asked = {user for users, _, _ in wire for user in users}
        holding = registry.current().holding(hosts, asked) if hosts else {}
    except RegistryAway:
        push.lost("hints")
        return list(lines)
    messages = {}
    for host, held in holding.items():
        kept = [([u for u in users if u in held], text, exclude) for users, text, exclude in wire]
        kept = [line for line in kept if line[0]]
        if kept:
            messages[host] = {"type": "hints", "hints": kept}
    heard = push.publish(messages)
    deaf = {user for host in messages.keys() - heard for user in holding[host]}
    if is_again:
        # Routes come back a moment after the registry has.
        deaf |= asked - {user for held in holding.values() for user in held}
    return [line for line in lines if not deaf.isdisjoint(line.users)]
