"""Live frames that may be lost: typing, read, receipts. Gathered and published by a thread of their own."""

import logging
import threading
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

import orjson

from delivery import push, registry
from delivery.registry import RegistryAway

logger = logging.getLogger(__name__)


class Hints:
    """The port of kernel/ports.py: live frames, gathered and published by a thread of their own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._work = threading.Event()
        self._waiting: list[tuple[list[str], str, str | None]] = []
        self._thread: threading.Thread | None = None

    def send(
        self, users: Iterable[UUID | str], frame: Mapping[str, Any], *, exclude_device: UUID | None = None
    ) -> None:
        """See `kernel.ports.HintPort.send`."""
        exclude = None if exclude_device is None else str(exclude_device)
        named = [str(user) for user in users]
        if not named:
            return  # a question about nobody would be an error to Valkey, and make it seem away
        line = (named, orjson.dumps(frame, default=str).decode(), exclude)
        with self._lock:
            self._waiting.append(line)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="hints", daemon=True)
                self._thread.start()
        self._work.set()

    def _run(self) -> None:
        while True:
            self._work.wait()
            self._work.clear()
            with self._lock:
                lines, self._waiting = self._waiting, []
            try:
                self._flush(lines)
            except Exception:
                logger.exception("hints were lost")

    def _flush(self, lines: list[tuple[list[str], str, str | None]]) -> None:
        if not lines:
            return
        try:
            hosts = push.live_hosts()
            if len(hosts) == 1:
                push.publish({hosts[0]: {"type": "hints", "hints": lines}})
                return
            asked = {user for users, _, _ in lines for user in users}
            holding = registry.current().holding(hosts, asked) if hosts else {}
        except RegistryAway:
            push.lost("hints")
            return
        messages = {}
        for host, held in holding.items():
            kept = [([u for u in users if u in held], text, exclude) for users, text, exclude in lines]
            kept = [line for line in kept if line[0]]
            if kept:
                messages[host] = {"type": "hints", "hints": kept}
        push.publish(messages)
