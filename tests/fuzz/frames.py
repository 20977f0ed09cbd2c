"""Broken frames by the thousand: real ones with something changed, and things that are no frames at all."""

import json
import time
from collections.abc import Callable, Iterator
from copy import deepcopy
from random import Random
from typing import Any

from tests.cast import b64, new_id

JUNK: list[Any] = [
    None, True, False, 0, -1, 1.5, 2**31, 2**63, 2**64, -(2**70), 1e308, "", " ", "\x00", "\u202e", "\U0001f4a5" * 20,
    "x" * 300, "a" * 5_000, [], {}, [[]], {"": {}}, "null", "0", "1e9", "../../etc/passwd", "' OR 1=1 --", "{{7*7}}", "%s%n",
    "00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff", ["x"] * 200, {"type": "send"},
]  # fmt: skip


def real_frames(room: str, message: str) -> list[dict[str, Any]]:
    """One of each kind that a client sends, all of them right; `message` is somebody's in the room."""
    draft = {
        "id": new_id(),
        "room": room,
        "sent_at": time.time_ns() // 1_000_000,
        "alg": "opaque.v1",
        "epoch": 0,
        "ciphertext": b64(b"hello"),
    }
    return [
        {"type": "send", "ref": "1", "messages": [draft]},
        {"type": "ack", "ref": "2", "seq": 1},
        {"type": "read", "ref": "3", "room": room, "seq": 1},
        {"type": "reject", "ref": "4", "message": message, "later": new_id()},
        {"type": "typing", "ref": "5", "room": room},
        {"type": "ping", "ref": "6"},
        {"type": "hello", "token": "x.y.z", "client": {"name": "mallory", "version": "1"}},
    ]


def broken_frames(random: Random, count: int, room: str, message: str) -> Iterator[str | bytes]:
    """So many things to send, the same ones for the same `random`, but for fresh ids."""
    kinds: list[Callable[[Random, dict[str, Any]], str | bytes]] = [_changed] * 6 + [
        _cut,
        _flipped,
        _binary,
        _nested,
        _huge,
    ]
    for _ in range(count):
        frame = random.choice(real_frames(room, message))
        yield random.choice(kinds)(random, frame)


def _changed(random: Random, frame: dict[str, Any]) -> str:
    """Values replaced, left out, added or put elsewhere."""
    for _ in range(random.randint(1, 3)):
        where = random.choice(list(_objects(frame)))
        name = random.choice([*where, "extra"]) if where else "extra"
        match random.randrange(4):
            case 0:
                where.pop(name, None)
            case 1:
                where[random.choice(["extra", "plaintext", "type", "id", "seq", "\x00"])] = deepcopy(
                    random.choice(JUNK)
                )
            case _:
                where[name] = deepcopy(random.choice(JUNK))
    return json.dumps(frame)


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _objects(inner)


def _cut(random: Random, frame: dict[str, Any]) -> str:
    """Only the beginning."""
    text = json.dumps(frame)
    return text[: random.randrange(len(text))]


def _flipped(random: Random, frame: dict[str, Any]) -> bytes:
    """Bytes changed here and there, mostly no UTF-8 any more."""
    data = bytearray(json.dumps(frame).encode())
    for _ in range(random.randint(1, 8)):
        data[random.randrange(len(data))] = random.randrange(256)
    return bytes(data)


def _binary(random: Random, frame: dict[str, Any]) -> bytes:
    """Noise."""
    return random.randbytes(random.choice([0, 1, 2, 100, 4_000]))


def _nested(random: Random, frame: dict[str, Any]) -> str:
    """Deeper than anybody should follow."""
    depth = random.choice([100, 1_000, 15_000])
    match random.randrange(3):
        case 0:
            return "[" * depth + "]" * depth
        case 1:
            return '{"type":"send","messages":' + '{"a":' * depth + "1" + "}" * depth + "}"
        case _:
            return '{"type":"ping","ref":"1","x":' + "[" * depth


def _huge(random: Random, frame: dict[str, Any]) -> str:
    """Around and over the limit of a frame; numbers and escapes that parsers trip over."""
    return random.choice(
        [
            json.dumps({**frame, "ref": "x" * 65_000}),
            json.dumps({**frame, "pad": "x" * 65_536}),
            '{"type":"ack","seq":' + "9" * 5_000 + "}",
            '{"type":"ack","seq":1e400}',
            '{"type":"ack","seq":NaN}',
            '{"type":"ping","ref":"\\ud800"}',
            '{"type":"ping","type":"ack","seq":1,"seq":2}',
            "\ufeff" + json.dumps(frame),
            json.dumps({"type": "send", "messages": [frame] * 101}),
            json.dumps({"type": "send", "messages": [None] * 100}),
        ]
    )
