"""Alice and Bob write, read, are wiped and come back; then everything that the system has ever written is searched.

Neither a word of theirs, nor a password, a recovery key or any private key is in a table, a file, a log or Valkey.
"""

import asyncio
import secrets
from base64 import urlsafe_b64encode

import pytest

from client import FLOOR, Client
from client.crypto import kdf, recovery
from client.crypto.encoding import unb64
from client.crypto.kdf import Kdf
from tests.cast import until
from tests.sealed.traces import traces

PASSWORD = "lady disdain 7431 mountanto"
OTHER_PASSWORD = "a skirmish of wit 9917 between"


@pytest.fixture
def system(private_system):
    return private_system(web=1, workers=1, beat=True, environment={"LOG_LEVEL": "DEBUG", "LOG_FORMAT": "json"})


async def test_no_word_and_no_key_is_anywhere(system, tmp_path):
    marker = f"the marker {secrets.token_hex(8)} of Messina"
    tag, held = secrets.token_hex(4), {"a message": marker.encode(), "a password": PASSWORD.encode()}
    async with Client(system.url, tmp_path / "alice.db", strength=FLOOR) as alice:
        async with Client(system.url, tmp_path / "bob.db", strength=FLOOR) as bob:
            await alice.register(f"alice.{tag}", PASSWORD, device_name="phone")
            await bob.register(f"bob.{tag}", PASSWORD, device_name="phone")
            text = bob.keys.recovery_key
            for client in (alice, bob):
                client.connect()
            room = (await alice.direct_room(bob.me.user)).id
            for n in range(20):
                await alice.send(room, f"{n} {marker}".encode())
            await bob.send(room, marker.encode())
            await until(lambda: len(bob.messages(room)) == 21 and all(message.body for message in bob.messages(room)))
            held |= keys_of("Alice", alice) | keys_of("Bob", bob)
        # A refused plaintext must not be in a log either.
        await refused(alice, room, marker)
        async with Client(system.url, tmp_path / "bob2.db", strength=FLOOR) as again:
            await again.recover(f"bob.{tag}", text, device_name="new", new_password=OTHER_PASSWORD)
            again.connect()
            await again.caught_up()
            assert next(message.body for message in again.messages(room)) == marker.encode()
            held |= keys_of("Bob's new", again)
            await again.keys.new_recovery_key(OTHER_PASSWORD)
            held |= {"the new recovery key": recovery.from_text(again.keys.recovery_key)}
    held |= {
        "another password": OTHER_PASSWORD.encode(),
        "the recovery key": recovery.from_text(text),
        "the recovery key's text": text.encode(),
        "its text without spaces": text.replace(" ", "").encode(),
        "what opens the vault by it": recovery.wrap_of(recovery.from_text(text)),
    }
    parameters = Kdf.read(await asyncio.to_thread(kdf_of, system, f"alice.{tag}"))
    held |= {"what opens Alice's vault": kdf.split(PASSWORD, parameters).wrap}
    # The secret that signs in goes to the server, and is kept by nobody there.
    held |= {"what signs Alice in": kdf.split(PASSWORD, parameters).auth.encode()}

    assert await asyncio.to_thread(traces, system, held) == []
    # The search itself works: names are not secret.
    assert await asyncio.to_thread(traces, system, {"a name": f"alice.{tag}".encode()})


def keys_of(who, client):
    ring = client.keys.own.ring
    found = {f"{who}'s signing key": ring.signing, f"{who}'s box key": ring.box, f"{who}'s storage key": ring.storage}
    found |= {f"{who}'s encryption key {key.version}": key.private for key in ring.encryption}
    rows = client._store.database.all("SELECT room, epoch, key FROM epochs WHERE key IS NOT NULL")
    assert rows
    return found | {f"{who}'s key of epoch {epoch}": client.keys.own.storage_open(key) for _, epoch, key in rows}


async def refused(client, room, marker):
    """A careless client's plaintext: in a field of its own, as the body, under another algorithm."""
    for form in (
        {"body": marker}, {"ciphertext": urlsafe_b64encode(marker.encode()).decode().rstrip("=")}, {"alg": "none", "text": marker},
        [marker], marker,
    ):  # fmt: skip
        with pytest.raises(Exception, match=r"invalid|unknown_field"):
            await client._session.request("POST", "messages", form)


def kdf_of(system, name):
    import httpx

    found = httpx.get(f"{system.url}/api/v1/accounts/kdf", params={"username": name}).json()
    assert len(unb64(found["salt"])) == 16
    return found
