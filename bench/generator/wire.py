"""Ids, bodies and frames as a client writes them (docs/protocol.md §3.1, §4.1), made cheaply."""

import base64
import secrets
import time
from typing import Final

RUN_CHARACTERS: Final = 8
NUMBER_CHARACTERS: Final = 8
_HEAD: Final = RUN_CHARACTERS + NUMBER_CHARACTERS
_FRAME: Final = '{"type":"send","messages":[%s]}'
_MESSAGE: Final = '{"id":"%s","room":"%s","sent_at":%d,"alg":"bench.v1","epoch":%d,"ciphertext":"%s%08d%s"}'


def new_run() -> str:
    """A tag of 8 characters that every body of one run begins with, so that older messages are told apart."""
    return secrets.token_hex(RUN_CHARACTERS // 2)


def tail(size: int) -> str:
    """What follows tag and number in a body of `size` bytes: random, canonical base64url without padding."""
    if size < 12:
        raise ValueError("a body carries a tag and a number: at least 12 bytes")
    # 16 characters of tag and number are 12 bytes, so the rest is encoded on its own.
    return base64.urlsafe_b64encode(secrets.token_bytes(size - 12)).rstrip(b"=").decode()


def number_of(ciphertext: str, run: str) -> int:
    """The number in a body of this run, or -1 for a body of another one."""
    return int(ciphertext[RUN_CHARACTERS:_HEAD]) if ciphertext.startswith(run) else -1


class Author:
    """Writes the messages of one device in one room: ids are UUIDv7, `sent_at` only grows, numbers are dense."""

    __slots__ = ("_epoch", "_last", "_low", "_room", "_run", "_tail", "number")

    def __init__(self, *, room: str, epoch: int, run: str, tail: str) -> None:
        self._room, self._epoch, self._run, self._tail = room, epoch, run, tail
        self._last = 0
        self._low = secrets.randbits(62) & ~0xFFFFFFFF  # the number fills the low 32 bits of rand_b
        self.number = 0

    def compose(self) -> tuple[str, str]:
        """The next message: its id and its JSON text."""
        self._last = now = max(time.time_ns() // 1_000_000, self._last + 1)
        number = self.number
        self.number = number + 1
        low = 0x8000000000000000 | self._low | number
        text = f"{now:012x}7{number & 0xFFF:03x}{low:016x}"
        id_ = f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
        return id_, _MESSAGE % (id_, self._room, now, self._epoch, self._run, number, self._tail)


def send_frame(messages: list[str]) -> bytes:
    """One `send` frame."""
    return (_FRAME % ",".join(messages)).encode()
