"""A user's first keys: once, and all of it or nothing."""

import asyncio

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.db.models.functions import Now

from accounts.models import Device, User, UserKeys, Vault
from tests.cast import b64, ok
from tests.keys.keyring import Keyring, a_kdf, entries_of, payload_of, seen_by, signed


async def refused(keys, status=400, code="invalid", field=None, **body):
    """PUT e2ee/setup with this body is refused, and nothing is stored."""
    whole = {"userkeys": keys.envelope(keys.document()), "vault": keys.vault()} | body
    problem = ok(await keys.person.phone.http.put("e2ee/setup", json=whole), status)
    assert (problem["code"], problem.get("field")) == (code, field), problem
    assert await stored(keys.person) == (False, False)


async def stored(person):
    """Whether there are keys, and a vault."""
    found = UserKeys.objects.filter(user_id=person.id), Vault.objects.filter(user_id=person.id)
    return tuple([await rows.aexists() for rows in found])


async def test_alice_publishes_her_keys_and_bob_can_ask_for_them(alice, bob):
    keys = Keyring(alice)
    body = await keys.sets_up()

    assert await seen_by(bob.phone, alice) == {alice.id: {"userkeys": body["userkeys"]}}
    assert await alice.phone.gets("e2ee/vault") == body["vault"]
    device = await Device.objects.aget(pk=alice.phone.id)
    assert device.is_listed
    assert bytes(device.key) == keys.signing[alice.phone.id].public_key().public_bytes_raw()


async def test_the_same_again_is_answered_as_the_first_time(alice):
    keys = Keyring(alice)
    body = {"userkeys": keys.envelope(keys.document()), "vault": keys.vault()}
    answers = [ok(await alice.phone.http.put("e2ee/setup", json=body), 201) for _ in range(2)]
    assert answers == [{"seq": 1, "version": 1}] * 2

    other = await alice.phone.http.put("e2ee/setup", json=body | {"vault": keys.vault()})
    assert ok(other, 409)["code"] == "already_set_up"


async def test_other_keys_are_refused_once_there_are_some(alice, keys):
    before = await seen_by(alice.phone, alice)
    other = Keyring(alice)
    body = {"userkeys": other.envelope(other.document()), "vault": other.vault()}

    assert ok(await alice.phone.http.put("e2ee/setup", json=body), 409)["code"] == "already_set_up"
    assert await seen_by(alice.phone, alice) == before


async def test_of_two_devices_that_set_up_at_once_one_does(alice):
    laptop = await alice.new_device()
    bodies = []
    for device in (alice.phone, laptop):
        keys = Keyring(alice)
        document = keys.document(keys.with_device(device, to=[]))
        bodies.append({"userkeys": keys.envelope(document), "vault": keys.vault()})
    devices = (alice.phone, laptop)
    answers = await asyncio.gather(
        *[device.http.put("e2ee/setup", json=body) for device, body in zip(devices, bodies, strict=True)]
    )

    assert sorted(answer.status_code for answer in answers) == [201, 409]
    winner = next(body for body, answer in zip(bodies, answers, strict=True) if answer.status_code == 201)
    assert (await seen_by(alice.phone, alice))[alice.id]["userkeys"] == winner["userkeys"]
    assert await alice.phone.gets("e2ee/vault") == winner["vault"]


async def test_a_document_without_its_vault_leaves_nothing(alice):
    keys = Keyring(alice)
    await refused(keys, field="vault.version", vault=keys.vault(version=2))
    await refused(keys, field="userkeys.seq", userkeys=keys.envelope(keys.document(seq=2, prev=b64(bytes(32)))))
    assert (await User.objects.aget(pk=alice.id)).kdf is None


@pytest.mark.parametrize("missing", ["userkeys", "vault"])
async def test_both_are_needed(alice, missing):
    keys = Keyring(alice)
    body = {"userkeys": keys.envelope(keys.document()), "vault": keys.vault()}
    del body[missing]
    assert ok(await alice.phone.http.put("e2ee/setup", json=body), 400)["field"] == missing


async def test_what_the_first_document_cannot_say(alice, bob):
    keys = Keyring(alice)
    laptop = await alice.new_device()
    laptop_gone = await alice.new_device("old laptop")
    ok(await laptop_gone.http.post("accounts/sign-out", json={}), 204)
    uek = keys.document()["uek"]
    for field, document in {
        "userkeys.uek.ver": keys.document(uek=uek | {"ver": 2}),
        "userkeys.pruned": keys.document(pruned={"seq": 1, "hash": b64(bytes(32))}),
        "userkeys.user": keys.document(user=bob.id),
    }.items():
        await refused(keys, field=field, userkeys=keys.envelope(document))
    for devices in (
        keys.with_device(laptop, to=[]),  # without the phone, which asks
        keys.without(alice.phone),
        keys.with_device(bob.phone),
        keys.with_device(laptop_gone),
        [*keys.devices, *keys.devices],
        [],
    ):
        await refused(keys, field="userkeys.devices", userkeys=keys.envelope(keys.document(devices)))


async def test_somebody_elses_signature_is_refused(alice):
    keys = Keyring(alice)
    document = keys.document()
    await refused(keys, field="userkeys", userkeys=signed(document, Ed25519PrivateKey.generate()))
    other_kind = signed(document, keys.identity, kind="chat.e2ee.v1.epoch")
    await refused(keys, field="userkeys", userkeys=other_kind)
    await refused(keys, field="userkeys", userkeys=other_kind | {"payloadType": "chat.e2ee.v1.userkeys"})
    envelope = keys.envelope(document)
    changed = payload_of(envelope).replace(b'"seq":1', b'"seq":2')
    await refused(keys, field="userkeys", userkeys=envelope | {"payload": b64(changed)})


async def test_somebody_without_keys_is_told_so(alice):
    keys = Keyring(alice)
    for answer in (await alice.phone.http.get("e2ee/vault"), await keys.tries(keys.document(), seq=0)):
        assert ok(answer, 409)["code"] == "keys_missing"
    assert await seen_by(alice.phone, alice) == {}


async def test_contacts_and_peers_hear_of_it(cast, alice, bob):
    carol, dave = await cast.people("carol", "dave")
    await bob.direct_room(alice)
    for who, peer, action in ((alice, carol, "add"), (carol, alice, "accept")):
        version = (await who.phone.gets("connections"))["version"]
        await who.phone.posts("connections", {"action": action, "user": peer.id, "base_version": version})
    async with bob.phone.socket() as bobs, carol.phone.socket() as carols, alice.phone.socket() as alices:
        await Keyring(alice).sets_up()
        for socket in (alices, bobs, carols):
            entry = await socket.entry("keys", user=alice.id)
            assert (entry["document"], entry["change"], entry["device"]) == (1, "encryption", alice.phone.id)
    assert await entries_of(dave.phone) == []


async def test_the_parameters_of_the_account_are_those_of_the_vault(cast):
    kdf = a_kdf()
    alice = await cast.person("alice", kdf=kdf)

    await refused(Keyring(alice), field="vault.slots.kdf")
    await Keyring(alice, kdf=kdf).sets_up()


async def test_a_suspended_user_sets_up_nothing(alice):
    await User.objects.filter(pk=alice.id).aupdate(suspended_at=Now())
    await refused(Keyring(alice), 403, "suspended")


async def test_a_revoked_device_sets_up_nothing(alice):
    keys, laptop = Keyring(alice), await alice.new_device()
    document = keys.document(keys.with_device(laptop))
    # Behind the back of every process: only PostgreSQL knows.
    await Device.objects.filter(pk=laptop.id).aupdate(revoked_at=Now())
    body = {"userkeys": keys.envelope(document), "vault": keys.vault()}
    assert ok(await laptop.http.put("e2ee/setup", json=body), 401)["code"] == "unauthenticated"
    assert await stored(alice) == (False, False)
