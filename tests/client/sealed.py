"""People whose clients seal: a password and weak Argon2id, so that signing up takes tens of milliseconds."""

from typing import Any

from client import FLOOR, Client
from tests.client.conftest import People, live

PASSWORD = "battery horse staple correct 7431"


async def person(people: People, name: str, **options: Any) -> Client:
    """Somebody new, whose first device is connected and has caught up."""
    client = await people.opens(**{"sealer": None, "strength": FLOOR} | options)
    await client.register(f"{name}.{people.tag()}", PASSWORD, device_name="phone")
    return await live(client)


async def cast_of(people: People, *names: str) -> list[Client]:
    """Several."""
    return [await person(people, name) for name in names]


async def another_device(people: People, of: Client, **options: Any) -> Client:
    """Another device of somebody, connected and caught up."""
    client = await people.opens(**{"sealer": None, "strength": FLOOR} | options)
    await client.sign_in(of.me.username, PASSWORD, device_name="laptop")
    return await live(client)


async def reopened(people: People, store: Any, **options: Any) -> Client:
    """The device of this store, in a new process."""
    return await people.opens(store, **{"sealer": None, "strength": FLOOR} | options)


def problems(client: Client, room: str) -> list[str | None]:
    """Why the messages of a room cannot be shown, in order."""
    return [message.problem for message in reversed(client.messages(room, limit=10_000))]
