"""Beginning again with a new identity."""

import asyncio

from accounts.models import Device, DeviceBox, UserKeysHistory, VaultArchive
from tests.cast import b64, ok
from tests.keys.keyring import Keyring, entries_of, seen_by

RECOVERY = "what a client derives from the recovery key"


async def resets(keys, *, status=200, by=None, **fields):
    """POST e2ee/reset with new keys for the phone."""
    body = {"auth": keys.person.password, **fields}
    body = {name: value for name, value in body.items() if value is not None}
    answer = ok(await (by or keys.person.phone).http.post("e2ee/reset", json=body), status)
    if status == 200:
        keys.took(body["userkeys"], body["vault"])
    return answer


def new_keys(keys):
    """What replaces them: the body's two members, and the keyring that they are of."""
    made = Keyring(keys.person, kdf=keys.kdf)
    return made, {"userkeys": made.envelope(made.document()), "vault": made.vault()}


async def test_a_reset_leaves_one_device_with_new_keys(alice, bob, keys):
    laptop = await keys.adds()
    await keys.rotates(boxes={alice.phone.id: b64(bytes(80))})
    await keys.puts(keys.document(), vault=keys.vault(), archive={"page": 1, "ct": b64(bytes(300))})
    made, body = new_keys(keys)
    async with laptop.socket() as socket:
        assert await resets(made, **body) == {"seq": 1, "version": 1}
        assert await socket.closed() == 4401

    assert await seen_by(bob.phone, alice) == {alice.id: {"userkeys": body["userkeys"]}}
    assert await alice.phone.gets("e2ee/vault") == body["vault"]
    ok(await laptop.http.get("account"), 401)
    device = await Device.objects.aget(pk=alice.phone.id)
    assert device.is_listed
    assert bytes(device.key) == made.signing[alice.phone.id].public_key().public_bytes_raw()
    for rows in (
        UserKeysHistory.objects.filter(user_id=alice.id),
        VaultArchive.objects.filter(user_id=alice.id),
        DeviceBox.objects.filter(device__user_id=alice.id),
    ):
        assert not await rows.aexists()
    # And it goes on from there, archive and all.
    await made.adds("tablet")
    await made.rotates(archive={"page": 1, "ct": b64(bytes(300))})


async def test_a_number_from_before_says_nothing_of_the_new_document(alice, bob, keys):
    await keys.adds()
    made, body = new_keys(keys)
    await resets(made, **body)
    fresh = {alice.id: {"userkeys": body["userkeys"]}}
    for known in (0, 1, 2):
        assert await seen_by(bob.phone, alice, alice=known) == fresh
    second = await made.puts(made.document())
    assert await seen_by(bob.phone, alice, alice=2) == {alice.id: {"userkeys": second}}
    await made.puts(made.document())
    assert await seen_by(bob.phone, alice, alice=3) == {alice.id: {"unchanged": True}}


async def test_everybody_is_warned(alice, bob, keys):
    await bob.direct_room(alice)
    made, body = new_keys(keys)
    async with bob.phone.socket() as socket:
        await resets(made, **body)
        entry = await socket.entry("keys", change="identity")
    assert (entry["user"], entry["document"], entry["device"]) == (alice.id, 1, alice.phone.id)


async def test_the_same_again_is_answered_as_the_first_time(alice, keys):
    made, body = new_keys(keys)
    assert await resets(made, **body) == await resets(made, **body) == {"seq": 1, "version": 1}
    while not (entries := await entries_of(alice.phone)):
        await asyncio.sleep(0.02)
    assert len([entry for entry in entries if entry["change"] == "identity"]) <= 1


async def test_the_password_is_asked_for(alice, keys):
    made, body = new_keys(keys)
    before = await seen_by(alice.phone, alice)
    assert (await resets(made, **body, auth="a guess", status=401))["code"] == "bad_credentials"
    assert (await resets(made, **body, auth=None, status=400))["field"] == "auth"
    assert await seen_by(alice.phone, alice) == before


async def test_an_old_recovery_key_goes_with_the_old_keys(alice):
    keys = Keyring(alice)
    await keys.sets_up(recovery_auth=RECOVERY)
    form = {"username": alice.username, "device_name": "laptop"}
    made, body = new_keys(keys)
    await resets(made, **body)
    ok(await alice.cast.http().post("accounts/sign-in", json=form | {"recovery": RECOVERY}), 401)
    again, body = new_keys(keys)
    await resets(again, **body, recovery_auth="new")
    ok(await alice.cast.http().post("accounts/sign-in", json=form | {"recovery": "new"}), 200)


async def test_what_a_reset_cannot_be(alice, bob, keys):
    laptop = await keys.adds()
    made, body = new_keys(keys)
    for field, document in {
        "userkeys.devices": made.document(made.with_device(laptop)),
        "userkeys.user": made.document(user=bob.id),
        "userkeys.seq": made.document(seq=3, prev=b64(bytes(32))),
        "userkeys.uek.ver": made.document(uek=made.document()["uek"] | {"ver": 2}),
    }.items():
        problem = await resets(made, userkeys=made.envelope(document), vault=body["vault"], status=400)
        assert (problem["code"], problem["field"]) == ("invalid", field)
    # The old identity cannot be had anew: contacts would see their pin roll back.
    same = keys.document(keys.devices[:1], seq=1, prev="", uek=keys.document()["uek"])
    problem = await resets(made, userkeys=keys.envelope(same), vault=body["vault"], status=400)
    assert problem["field"] == "userkeys.uik"
    assert (await resets(made, **body | {"vault": made.vault(version=2)}, status=400))["field"] == "vault.version"
    stranger = Keyring(bob)
    body = {"userkeys": stranger.envelope(stranger.document()), "vault": stranger.vault()}
    assert (await resets(stranger, **body, status=409))["code"] == "keys_missing"
    assert (await resets(stranger, **body, plain="x", status=400))["code"] == "unknown_field"


async def test_a_reset_and_a_new_document_at_once_leave_one_whole(alice, keys):
    laptop = await keys.adds()
    made, body = new_keys(keys)
    step, _ = await asyncio.gather(keys.tries(keys.document(), by=laptop), resets(made, **body))
    assert step.status_code in (200, 400, 401, 409)
    assert (await seen_by(alice.phone, alice)) == {alice.id: {"userkeys": body["userkeys"]}}
    assert [device.is_listed async for device in Device.objects.filter(user_id=alice.id).order_by("id")] == [
        True,
        False,
    ]
