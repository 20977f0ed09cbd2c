"""Looking for bytes in everything that a system has ever written: its tables, its files, its logs, its Valkey."""

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import redis

from config.supervisor.system import System

LEAST = 8  # shorter parts of base64 could be there by chance


def needles(secret: bytes) -> dict[str, bytes]:
    """How these bytes could stand somewhere: as they are, in hexadecimal, and in base64 at any of the three offsets."""
    found = {
        "in the clear": secret,
        "in hexadecimal": secret.hex().encode(),
        "in HEXADECIMAL": secret.hex().upper().encode(),
    }
    for encode, name in ((base64.b64encode, "base64"), (base64.urlsafe_b64encode, "base64url")):
        for offset in range(3):
            # What stands around decides the first and last characters; those between are the secret's alone.
            text = encode(bytes(offset) + secret).rstrip(b"=")
            inner = text[(offset * 8 + 5) // 6 : len(text) - (1 if (offset + len(secret)) % 3 else 0)]
            if len(inner) >= LEAST:
                found[f"in {name} at offset {offset}"] = inner
    found["as Python shows it"] = repr(secret)[2:-1].encode()
    if (text := _text(secret)) is not None:
        found["in JSON"] = json.dumps(text)[1:-1].encode()
        found["in UTF-16"] = text.encode("utf-16-le")
    return found


def _text(secret: bytes) -> str | None:
    try:
        return secret.decode()
    except UnicodeDecodeError:
        return None


def traces(system: System, secrets: dict[str, bytes]) -> list[str]:
    """Where any of these secrets was found: `what, how, where`."""
    sought = [(f"{name} {how}", needle) for name, secret in secrets.items() for how, needle in needles(secret).items()]
    pattern = re.compile(b"|".join(re.escape(needle) for needle in sorted({needle for _, needle in sought}, key=len)))
    found = []
    for where, content in _everything(system):
        if pattern.search(content):
            found += [f"{what} in {where}" for what, needle in sought if needle in content]
    return found


def _everything(system: System) -> Iterator[tuple[str, bytes]]:
    yield from _tables(system.database_url)
    yield from _keys(system.valkey_url)
    # Logs; and where the servers keep their data: tables, write-ahead log, Valkey's append-only file.
    for folder in (system.var, *_data(system)):
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not path.is_symlink():
                yield str(path), _content(path)


def _data(system: System) -> list[Path]:
    return [system._data] if system._data else []


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:  # servers tidy up
        return b""


def _tables(url: str) -> Iterator[tuple[str, bytes]]:
    connection = psycopg2.connect(url)
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT quote_ident(schemaname) || '.' || quote_ident(tablename) FROM pg_tables")
            for (table,) in cursor.fetchall():
                # A table's rows as text have byte strings in hexadecimal, decompressed.
                cursor.execute(f"SELECT string_agg(t::text, E'\\n') FROM {table} t")
                ((text,),) = cursor.fetchall()
                yield f"table {table}", (text or "").encode()
    finally:
        connection.close()


def _keys(url: str) -> Iterator[tuple[str, bytes]]:
    client = redis.Redis.from_url(url)
    try:
        for key in client.scan_iter(count=1_000):
            yield f"Valkey's {key!r}", key + (client.dump(key) or b"")
    finally:
        client.close()
