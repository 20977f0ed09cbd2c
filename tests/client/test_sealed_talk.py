"""Alice and Bob talk sealed, on the running system."""

from client import FLOOR, Client, Message
from tests.cast import until
from tests.client.conftest import live

PASSWORD = "battery horse staple correct 7431"


async def sealed(people, name):
    client = await people.opens(sealer=None, strength=FLOOR)
    await client.register(f"{name}.{people.tag()}", PASSWORD, device_name="phone")
    return await live(client)


async def test_they_talk(people):
    alice, bob = await sealed(people, "alice"), await sealed(people, "bob")
    room = await alice.direct_room(bob.me.user)

    await alice.send(room.id, b"hello")
    await until(lambda: [message.body for message in bob.messages(room.id)] == [b"hello"])
    await bob.send(room.id, "grüß dich".encode())
    await until(lambda: [message.body for message in alice.messages(room.id)] == ["grüß dich".encode(), b"hello"])
    assert isinstance(alice, Client) and isinstance(alice.messages(room.id)[0], Message)
