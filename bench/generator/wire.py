"""Ids, bodies and frames as a client writes them (docs/protocol.md §3.1, §4.1), made cheaply.

Bodies are sealed, and say nothing to the generator. So a message's id carries what the ledger needs: the run, the author
and the author's number, in the 62 bits of a UUIDv7 that are free to choose. `…-8RRR-RRAAAANNNNNN`
"""

import base64
import secrets
import time
from collections.abc import Sequence
from typing import Final

MOST_MESSAGES: Final = 1 << 24  # of one author
MOST_AUTHORS: Final = 1 << 16
_RUN: Final = 5  # hexadecimal digits
_FRAME: Final = '{"type":"send","messages":[%s]}'
_MESSAGE: Final = '{"id":"%s","room":"%s","sent_at":%d,"alg":"%s","epoch":%d,"ciphertext":"%s"}'


def new_run() -> str:
    """A tag that every id of one run carries, so that older messages are told apart."""
    return secrets.token_hex(_RUN)[:_RUN]


def opaque(size: int) -> str:
    """A body of random bytes, for systems that take any: canonical base64url without padding."""
    return base64.urlsafe_b64encode(secrets.token_bytes(size)).rstrip(b"=").decode()


def number_of(id_: str, run: str) -> int:
    """The number in an id of this run, or -1 for one of another."""
    return int(id_[30:], 16) if id_[20:23] == run[:3] and id_[24:26] == run[3:] else -1


class Author:
    """Writes the messages of one device in one room: ids are UUIDv7, `sent_at` only grows, numbers are dense.

    `bodies` were made beforehand, and are used in turn. `index` is the author's own in its run.
    """

    __slots__ = ("_alg", "_bodies", "_epoch", "_last", "_middle", "_room", "number")

    def __init__(self, *, room: str, epoch: int, run: str, index: int, alg: str, bodies: Sequence[str]) -> None:
        if not 0 <= index < MOST_AUTHORS:
            raise ValueError(f"a run has at most {MOST_AUTHORS} authors")
        self._room, self._epoch, self._alg, self._bodies = room, epoch, alg, bodies
        self._middle = f"8{run[:3]}-{run[3:]}{index:04x}"
        self._last = 0
        self.number = 0

    def compose(self) -> tuple[str, str]:
        """The next message: its id and its JSON text."""
        self._last = now = max(time.time_ns() // 1_000_000, self._last + 1)
        number = self.number
        self.number = number + 1
        body = self._bodies[number % len(self._bodies)]
        id_ = f"{now >> 16:08x}-{now & 0xFFFF:04x}-7{number & 0xFFF:03x}-{self._middle}{number:06x}"
        return id_, _MESSAGE % (id_, self._room, now, self._alg, self._epoch, body)


def send_frame(messages: list[str]) -> bytes:
    """One `send` frame."""
    return (_FRAME % ",".join(messages)).encode()
