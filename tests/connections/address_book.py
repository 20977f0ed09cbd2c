"""What the stories about connections say: a change by a device, and what its socket was told."""

from typing import Any

import psycopg2

from config.supervisor.system import System
from tests.cast import Device, Person, Socket, ok


async def change(device: Device, action: str, peer: Person, status: int = 200, **fields: Any) -> dict[str, Any]:
    """Make a change on the newest version that there is, unless `base_version` says otherwise; the answer."""
    if "base_version" not in fields:
        fields["base_version"] = (await device.gets("connections", since=0, limit=1))["version"]
    answer: dict[str, Any] = await device.posts(
        "connections", {"action": action, "user": peer.id, **fields}, status=status
    )
    return answer


async def whole(device: Device, since: int = 0, limit: int = 500) -> dict[str, Any]:
    """All pages since a version, as a device reads them: connections by peer, settings, version."""
    found: dict[str, dict[str, Any]] = {}
    after: int | None = since
    while after is not None:
        page = await device.gets("connections", since=after, limit=limit)
        found |= {each["user"]: each for each in page["connections"]}
        after = page["next"]
    return {"connections": found, "settings": page["settings"], "version": page["version"]}


async def stands(device: Device, peer: Person) -> tuple[str, bool, bool]:
    """What the device's user has with somebody: state, blocked, blocked_by; ("none", False, False) without a row."""
    answer = await device.http.get(f"connections/{peer.id}")
    if answer.status_code == 404:
        return "none", False, False
    found = ok(answer)
    return found["state"], found["blocked"], found["blocked_by"]


async def told(socket: Socket, version: int) -> dict[str, Any]:
    """The entry of kind `connection` with this version, once it is here."""
    return await socket.entry("connection", version=version)


async def synced(device: Device) -> int:
    """Read everything and report it; the version."""
    version = int((await whole(device))["version"])
    await device.posts("connections/synced", {"version": version})
    return version


def changes_told(socket: Socket) -> list[dict[str, Any]]:
    """The connections in the entries of kind `connection`, in order."""
    return [entry["connection"] for entry in socket.entries if entry["kind"] == "connection" and "connection" in entry]


def query(system: System, statement: str, *values: object) -> list[Any]:
    """Rows of a system's database, read (or written) past its API."""
    session = psycopg2.connect(system.database_url)
    try:
        with session, session.cursor() as cursor:
            cursor.execute(statement, values)
            return cursor.fetchall() if cursor.description else []
    finally:
        session.close()
