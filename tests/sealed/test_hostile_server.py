"""Alice's server is hostile: what docs/threat-model.md says that it cannot do, done on the wire between her client and the real one.

Each story shows that nothing is believed, shown or sealed because of the lie, and that the user sees what there is to see.
"""

import copy
import json
import time
from dataclasses import replace

import pytest
from django.db.models import F

from chat.models import Membership, Room
from client import FLOOR, CannotOpen, EpochChanged, KeysHeld, MalformedFrame, Message, Refused, WeakKdf
from client.crypto import boxes, epochs, messages, userkeys
from client.crypto.encoding import b64, unb64
from client.crypto.errors import IdentityChanged, RolledBack
from client.crypto.keys import EncryptionKey
from client.crypto.messages import Payload
from client.epochs.answers import decode_epochs
from tests.cast import new_id, until
from tests.client.conftest import bodies, has, live
from tests.client.sealed import PASSWORD, another_device, problems
from tests.client.test_keys_directory import Chain
from tests.client.test_receiving import heard

KDF, VAULT, QUERY = "GET accounts/kdf", "GET e2ee/vault", "POST e2ee/users/query"


def shown(client):
    """The messages of all rooms."""
    return [event for event in client.mailbox(limit=10_000) if isinstance(event, Message)]


def last(client):
    """The newest message of all rooms."""
    return shown(client)[-1]


def instead(user, lie):
    """Answers about users' keys, in which this user has other ones."""
    return lambda told: {who: {"userkeys": lie(entry)} if who == user else entry for who, entry in told.items()}


async def truth(client, method, path, body=None):
    return copy.deepcopy(await client._session.request(method, path, body))


async def secrets_of(client):
    """What only this user can open: for stories of a server that got hold of it."""
    secret = await client.keys._secret(PASSWORD)
    return secret.opens(await truth(client, "GET", "e2ee/vault"), client.me.user).secrets


class TestMessages:
    """Bob writes in a room with Alice and in one with Mallory as well; both have two epochs."""

    @pytest.fixture
    async def rooms(self, alice, bob, mallory):
        rooms = [await bob.direct_room(alice.me.user), await bob.create_group([alice.me.user, mallory.me.user])]
        for room in rooms:
            await bob.send(room.id, b"one")
            bob.epochs.renew(room.id)
            await bob.send(room.id, b"two")
            await has(alice, room.id, b"one", b"two")
        return rooms

    async def test_what_was_changed_on_its_way_is_never_shown(self, people, hostile, alice, bob, mallory, rooms):
        laptop = await another_device(people, bob)
        room, group = rooms
        plain, ghost, other_id = b64(b"I owe mallory a hundred"), new_id(), new_id()
        lies = {
            **{f"flipped at {at}": lambda told, at=at: {"ciphertext": flipped(told["ciphertext"], at)}
               for at in (0, 12, 80, -17, -1)},
            "cut": lambda told: {"ciphertext": b64(unb64(told["ciphertext"])[:-64])},
            "moved": lambda _: {"room": group.id},
            "another sender": lambda _: {"sender": mallory.me.user},
            "given to mallory": lambda _: {"sender": mallory.me.user, "device": mallory.me.device},
            "mallory's device": lambda _: {"device": mallory.me.device},
            "bob's other device": lambda _: {"device": laptop.me.device},
            "a ghost device": lambda _: {"device": ghost},
            "another epoch": lambda _: {"epoch": 1},
            "another id": lambda _: {"id": other_id},
            "another time": lambda told: {"sent_at": told["sent_at"] + 1},
            "another algorithm": lambda _: {"alg": "opaque.v1", "ciphertext": plain},
            "no algorithm": lambda _: {"alg": "none", "ciphertext": plain},
            "no seal": lambda _: {"ciphertext": plain},
        }  # fmt: skip
        for name, lie in lies.items():
            before = len(shown(alice))
            hostile.entries(lambda told, lie=lie: told | lie(told) if told["kind"] == "message" else None)
            await bob.send(room.id, b"I owe mallory nothing")
            await until(lambda before=before: len(shown(alice)) > before, name)
            assert (last(alice).body, last(alice).problem) == (None, "not_verified"), name

        hostile.is_honest_again()
        await bob.send(room.id, b"three")
        await until(lambda: last(alice).body == b"three")

    async def test_an_epoch_that_there_never_was_has_no_key(self, hostile, alice, bob, rooms):
        hostile.entries(lambda entry: entry | {"epoch": 7} if entry["kind"] == "message" else None)
        await bob.send(rooms[0].id, b"three")
        await until(lambda: problems(alice, rooms[0].id) == [None, None, "no_key"])

    async def test_what_comes_twice_is_shown_once(self, hostile, alice, bob, rooms):
        room, told, alice_had = rooms[0], {}, alice.stored

        def again(entry):
            if entry["kind"] != "message":
                return None
            return {**told.setdefault("first", entry), "seq": entry["seq"]}

        hostile.entries(again)
        for text in (b"three", b"four", b"five"):
            await bob.send(room.id, text)
        await until(lambda: alice.stored == alice_had + 3)
        hostile.is_honest_again()
        await bob.send(room.id, b"six")
        await has(alice, room.id, b"one", b"two", b"three", b"six")

    async def test_a_member_cannot_write_in_anothers_name_even_with_the_server(
        self, hostile, alice, bob, mallory, rooms
    ):
        """Mallory has the epoch's key, and puts bob's name above what mallory signed."""
        group = rooms[1]
        id_, sent_at = new_id(), time.time_ns() // 1_000_000
        await until(lambda: mallory.epochs.newest(group.id) == 2)
        key = mallory._receiver._sealer.book.key(group.id, 2)
        forged = messages.seal(
            key,
            bob.me.user,
            bob.me.device,
            mallory.keys.own.device_key,
            Payload(id_, "text", "I, bob, owe it", sent_at),
        )
        hostile.entries(
            lambda entry: (
                entry | {"id": id_, "sent_at": sent_at, "ciphertext": b64(forged)}
                if entry["kind"] == "message"
                else None
            )
        )
        await bob.send(group.id, b"three")
        await until(lambda: problems(alice, group.id) == [None, None, "not_verified"])

    async def test_a_revoked_device_neither_writes_nor_reads_on_though_the_server_lets_it(
        self, people, hostile, alice, bob, rooms
    ):
        room, tablet = rooms[0], await another_device(people, bob)
        await has(tablet, room.id, b"one", b"two")
        await tablet.disconnect()  # it never hears of what comes now
        await bob.keys.revoke_device(tablet.me.device, PASSWORD)
        id_, sent_at = new_id(), time.time_ns() // 1_000_000
        sealer = tablet._receiver._sealer
        sealed = messages.seal(
            sealer.book.key(room.id, 2), bob.me.user, tablet.me.device, tablet.keys.own.device_key,
            Payload(id_, "text", "it is me, bob", sent_at),
        )  # fmt: skip
        more = {"id": id_, "sent_at": sent_at, "device": tablet.me.device, "epoch": 2, "ciphertext": b64(sealed)}
        soon = sent_at + 60_000  # accepted when it was revoked for sure
        hostile.entries(lambda entry: entry | more | {"accepted_at": soon} if entry["kind"] == "message" else None)

        await bob.send(room.id, b"three")

        await until(lambda: problems(alice, room.id) == [None, None, "not_verified"])
        # And with all that the server can give to it, it opens nothing.
        assert bob.epochs.newest(room.id) == 3
        page = decode_epochs(await truth(bob, "GET", f"rooms/{room.id}/epochs?from=3&to=3"))
        tablet._store.epochs.put(page.rows)
        with pytest.raises(CannotOpen) as closed:
            sealer.book.key(room.id, 3)
        assert closed.value.problem == "locked"


class TestEpochs:
    @pytest.fixture
    async def room(self, alice, bob):
        room = await bob.direct_room(alice.me.user)
        await bob.send(room.id, b"one")
        await has(alice, room.id, b"one")
        return room

    async def test_a_key_of_the_servers_is_not_the_epochs(self, hostile, alice, bob, room):
        """The server wraps a key of its own for alice, and seals by it."""
        document = userkeys.read((await truth(alice, "POST", "e2ee/users/query", {"known": {alice.me.user: 0}}))
                                 [alice.me.user]["userkeys"], alice.me.user)  # fmt: skip

        def wrapped(told):
            for epoch in told["epochs"]:
                sealed = epochs.wrap(bytes(32), room.id, epoch["epoch"], alice.me.user, document.encryption)
                epoch["wrap"] = epochs.wrap_json(document.encryption.version, sealed)
            return told

        hostile.answers(f"GET rooms/{room.id}/epochs?", wrapped)
        bob.epochs.renew(room.id)
        await bob.send(room.id, b"two")
        await until(lambda: problems(alice, room.id) == [None, "no_key"])

        await alice.send(room.id, b"what did you say?")

        assert alice.epochs.newest(room.id) == 3
        await until(lambda: bodies(bob, room.id)[-1] == b"what did you say?")

    @pytest.mark.parametrize(
        "lie",
        [
            lambda epoch, mallory: epoch["record"]["signatures"][0].update(sig=b64(bytes(64))),
            lambda epoch, mallory: epoch.update(creator=mallory.me.user, device=mallory.me.device),
            lambda epoch, mallory: epoch["record"].update(payload=b64(signed_by(epoch, mallory))),
        ],
        ids=["no signature", "another maker", "another record"],
    )
    async def test_a_record_that_its_maker_did_not_sign_is_not_believed(self, hostile, alice, bob, mallory, room, lie):
        def changed(told):
            for epoch in told["epochs"]:
                lie(epoch, mallory)
            return told

        hostile.answers(f"GET rooms/{room.id}/epochs?", changed)
        bob.epochs.renew(room.id)
        await bob.send(room.id, b"two")
        await until(lambda: len(bodies(alice, room.id)) == 2)
        assert bodies(alice, room.id) == [b"one", None]
        assert problems(alice, room.id)[1] in {"not_verified", "no_key"}

    async def test_nothing_is_sealed_under_an_epoch_before_the_newest(self, hostile, alice, bob, room):
        """Whoever has left knows the key of the epoch before."""
        await alice.send(room.id, b"two")
        alice.epochs.renew(room.id)
        await alice.send(room.id, b"three")
        hostile.answers(f"GET rooms/{room.id}/e2ee", lambda told: told | {"epoch": 1, "stale": False})
        alice.epochs.renew(room.id)
        with pytest.raises(Refused) as refused:
            await alice.send(room.id, b"four")
        assert refused.value.code == "epoch_rolled_back"

    @pytest.mark.parametrize("told", [{"roster": []}, None])
    async def test_without_the_signed_list_nothing_is_sealed_under_an_epoch(self, hostile, alice, bob, room, told):
        """Who reads it would not be known. Alice makes the next one, whose readers she has signed herself."""
        hostile.answers(f"GET rooms/{room.id}/epochs/", lambda _: copy.deepcopy(told))
        bob.epochs.renew(room.id)
        await bob.send(room.id, b"two")
        await has(alice, room.id, b"one", b"two")
        assert alice.epochs.readers(room.id) is None

        await alice.send(room.id, b"three")

        assert alice.epochs.newest(room.id) == 3
        assert set(alice.epochs.readers(room.id)) == {alice.me.user, bob.me.user}


class TestGhostsInRooms:
    async def test_in_a_group_it_is_seen_by_everybody(self, alice, bob, mallory):
        group = await alice.create_group([bob.me.user])
        await alice.send(group.id, b"one")
        await until(lambda: bob.epochs.newest(group.id) == 1)
        news = [alice.events(), bob.events()]

        await haunt(group.id, mallory)
        await bob.send(group.id, b"two")

        for heard_by in news:
            assert (await heard(heard_by, EpochChanged, epoch=2)).added == (mallory.me.user,)
        await until(lambda: mallory.me.user in (alice.epochs.readers(group.id) or ()))

    async def test_also_when_it_was_there_before_anything_was_sealed(self, alice, bob, mallory):
        group = await alice.create_group([bob.me.user])
        news = alice.events()
        await haunt(group.id, mallory)
        await alice.send(group.id, b"one")
        assert (await heard(news, EpochChanged)).added == (mallory.me.user,)

    async def test_the_list_that_is_told_without_it_is_not_the_signed_one(self, hostile, alice, bob, mallory):
        group = await bob.create_group([alice.me.user])
        await bob.send(group.id, b"one")
        await has(alice, group.id, b"one")
        hostile.answers(
            f"GET rooms/{group.id}/epochs/",
            lambda told: {"roster": [line for line in told["roster"] if line[0] != mallory.me.user]},
        )
        await haunt(group.id, mallory)
        await bob.send(group.id, b"two")
        await until(lambda: len(bodies(alice, group.id)) == 2)
        assert alice.epochs.readers(group.id) is None

        await alice.send(group.id, b"three")
        assert mallory.me.user in alice.epochs.readers(group.id)

    @pytest.mark.parametrize("is_said_to_be", ["direct", "group"])
    async def test_in_a_direct_room_nothing_is_sealed_for_it(self, hostile, alice, bob, mallory, is_said_to_be):
        room = await alice.direct_room(bob.me.user)
        await alice.send(room.id, b"one")
        await has(bob, room.id, b"one")
        await haunt(room.id, mallory)
        await self._refuses(hostile, alice, room, is_said_to_be)

    @pytest.mark.parametrize("is_said_to_be", ["direct", "group"])
    async def test_nor_before_anything_was_sealed(self, hostile, alice, bob, mallory, is_said_to_be):
        room = await alice.direct_room(bob.me.user)
        await haunt(room.id, mallory)
        await self._refuses(hostile, alice, room, is_said_to_be)

    @staticmethod
    async def _refuses(hostile, alice, room, kind):
        made = hostile.count(f"POST rooms/{room.id}/epochs")
        hostile.answers(f"GET rooms/{room.id}", lambda told: told | {"kind": kind} if "kind" in told else told)
        with pytest.raises(Refused):
            await alice.send(room.id, b"for bob only")
        assert hostile.count(f"POST rooms/{room.id}/epochs") == made

    async def test_a_room_with_others_than_were_asked_for_is_not_taken(self, hostile, alice, bob, mallory):
        ghost = {"user": mallory.me.user, "username": mallory.me.username, "role": "member"}
        hostile.answers("POST rooms", lambda told: told | {"members": [*told["members"], ghost]})
        with pytest.raises(MalformedFrame):
            await alice.direct_room(bob.me.user)
        with pytest.raises(MalformedFrame):
            await alice.create_group([bob.me.user])
        assert alice.known_rooms() == []


class TestKeysOfOthers:
    async def test_a_swapped_key_at_first_sight_shows_in_the_safety_number(self, hostile, alice, bob):
        """Nothing but comparing can tell; what compares is told."""
        fake = Chain(bob.me.user).newest
        hostile.answers(QUERY, instead(bob.me.user, lambda _: fake.json()))
        number = await bob.keys.safety_number(alice.me.user)

        assert await alice.keys.safety_number(bob.me.user) != number
        with pytest.raises(IdentityChanged):
            await alice.keys.verify(bob.me.user, number=number)
        with pytest.raises(IdentityChanged):
            await alice.keys.scanned(bob.keys.qr_text())
        assert not alice.keys.is_verified(bob.me.user)

    async def test_a_key_that_was_compared_is_not_swapped(self, hostile, alice, bob):
        room = await alice.direct_room(bob.me.user)
        await alice.send(room.id, b"one")
        await alice.keys.verify(bob.me.user)
        made = hostile.count(f"POST rooms/{room.id}/epochs")
        fake = Chain(bob.me.user).newest
        hostile.answers(QUERY, instead(bob.me.user, lambda _: fake.json()))

        alice.epochs.renew(room.id)
        with pytest.raises(KeysHeld) as held:
            await alice.send(room.id, b"for bob only")

        assert held.value.users == (bob.me.user,)
        assert hostile.count(f"POST rooms/{room.id}/epochs") == made

    @pytest.mark.parametrize("kind", ["rolled back", "forked", "a ghost device"])
    async def test_a_document_that_does_not_follow_gets_nothing_sealed(
        self, people, hostile, alice, bob, mallory, kind
    ):
        room = await alice.direct_room(bob.me.user)
        old = (await asked_for(bob))["userkeys"]
        tablet = await another_device(people, bob)
        await bob.keys.revoke_device(tablet.me.device, PASSWORD)  # bob's encryption key is another one
        await alice.send(room.id, b"one")
        await until(lambda: alice.keys.others.known(bob.me.user).encryption.version == 2)
        lies = {
            "rolled back": lambda told: old,
            "forked": lambda told: forked,
            "a ghost device": with_ghost,
        }
        newest = bob.keys.others.known(bob.me.user)
        forked = replace(newest, encryption=EncryptionKey.fresh(2).announced).sign((await secrets_of(bob)).identity)
        forked = forked.json()
        hostile.answers(QUERY, instead(bob.me.user, lambda entry: lies[kind](entry.get("userkeys") or newest.json())))
        made, looked = hostile.count(f"POST rooms/{room.id}/epochs"), hostile.count(QUERY)

        alice.epochs.renew(room.id)
        (waiting,) = alice.queue(room.id, b"for bob only")
        await until(lambda: hostile.count(QUERY) >= looked + 2)  # it was tried, and tried again

        assert alice.unsent() == [waiting]
        assert hostile.count(f"POST rooms/{room.id}/epochs") == made
        assert alice.keys.others.known(bob.me.user).digest == newest.digest
        hostile.is_honest_again()
        await alice.accepted(waiting)
        await has(bob, room.id, b"one", b"for bob only")


class TestOwnKeys:
    async def test_parameters_that_make_guessing_cheap_get_nothing_from_the_password(self, hostile, victims, bob):
        hostile.answers(KDF, lambda told: told | {"m": 1_024, "t": 1})
        laptop = await victims.opens(sealer=None, strength=FLOOR)
        before = len(hostile.asked)
        with pytest.raises(WeakKdf):
            await laptop.sign_in(bob.me.username, PASSWORD, device_name="laptop")
        assert [method for method, _, _ in hostile.asked[before:]] == ["GET"]

    @pytest.mark.parametrize("what", [VAULT, QUERY])
    async def test_an_old_vault_or_an_old_document_makes_no_device(self, hostile, victims, people, bob, what):
        tablet = await another_device(people, bob)
        old = {
            VAULT: await truth(bob, "GET", "e2ee/vault"),
            QUERY: await truth(bob, "POST", "e2ee/users/query", {"known": {bob.me.user: 0}}),
        }
        await bob.keys.revoke_device(tablet.me.device, PASSWORD)
        hostile.answers(what, lambda _: copy.deepcopy(old[what]))
        laptop = await victims.opens(sealer=None, strength=FLOOR)

        with pytest.raises(RolledBack):
            await laptop.sign_in(bob.me.username, PASSWORD, device_name="laptop")

        assert laptop.keys.is_locked
        assert hostile.count("PUT") == 0
        hostile.is_honest_again()
        await laptop.keys.unlock(PASSWORD)
        assert not laptop.keys.is_locked

    async def test_an_encryption_key_of_the_servers_is_not_taken(self, hostile, victims, alice):
        laptop, tablet = await another_device(victims, alice), await another_device(victims, alice)
        box = laptop.keys.own.box_key.public_key().public_bytes_raw()
        fake = boxes.seal_box(EncryptionKey.fresh(2), alice.me.user, laptop.me.device, box)
        hostile.answers("GET e2ee/box", lambda told: {"ver": 2, "ct": b64(fake)})

        await alice.keys.revoke_device(tablet.me.device, PASSWORD)

        await until(lambda: laptop.keys.is_locked)
        assert laptop.keys.own.newest_version == 1

    async def test_nothing_that_goes_by_the_server_opens_anything(self, hostile, victims, alice, bob):
        """Signing up, recovering, new secrets, a talk: no secret of the device is in any request."""
        room = await alice.direct_room(bob.me.user)
        await alice.send(room.id, b"a word for bob alone")
        key, held = alice.keys.recovery_key, await secrets_of(alice)
        laptop = await victims.opens(sealer=None, strength=FLOOR)
        await laptop.recover(alice.me.username, key, device_name="laptop", new_password="other battery staple 22 lakes")
        await live(laptop)
        await has(laptop, room.id, b"a word for bob alone")

        said = json.dumps(hostile.asked)
        secrets = [
            held.identity.private_bytes_raw(), held.newest.private, alice.keys.own.ring.signing, alice.keys.own.ring.box,
            alice._receiver._sealer.book.key(room.id, 1).secret,
        ]  # fmt: skip
        words = [PASSWORD, "other battery staple", key, key.replace(" ", ""), "for bob alone", *map(b64, secrets)]
        assert said
        assert [word for word in words if word in said] == []


async def haunt(room, ghost):
    """The server makes somebody a member, and tells nobody."""
    await Membership.objects.acreate(room_id=room, user_id=ghost.me.user)
    version = F("members_version") + 1
    await Room.objects.filter(pk=room).aupdate(members_version=version, stale=Room.Stale.JOINED)


async def asked_for(client):
    """The user's own document, as the server tells it."""
    return (await truth(client, "POST", "e2ee/users/query", {"known": {client.me.user: 0}}))[client.me.user]


def flipped(text, at):
    raw = bytearray(unb64(text))
    raw[at] ^= 1
    return b64(bytes(raw))


def signed_by(epoch, mallory):
    said = json.loads(unb64(epoch["record"]["payload"]))
    return json.dumps(said | {"ts": said["ts"] + 1}).encode()


def with_ghost(envelope):
    """One device more, under the old signature."""
    said = json.loads(unb64(envelope["payload"]))
    said["devices"].append(said["devices"][0] | {"id": new_id()})
    return envelope | {"payload": b64(json.dumps(said).encode())}
