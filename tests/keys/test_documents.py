"""One key document after the other: what may follow what, and who hears of it."""

import asyncio
import json
from hashlib import sha256
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from django.db.models.functions import Now
from django.test import override_settings

from accounts import userkeys
from accounts.models import Device, DeviceBox, UserKeysHistory
from chat.models import Room
from kernel import rates
from kernel.limits import Rate
from tests.cast import b64, ok
from tests.keys.keyring import Keyring, entries_of, payload_of, seen_by, signed

# X25519's points of order 1, 2, 4 and 8 (RFC 7748 §6.1; cr.yp.to/ecdh.html), and two of them not reduced.
LOW_ORDER = [
    bytes(32),
    b"\x01" + bytes(31),
    bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
    (2**255 - 20).to_bytes(32, "little"),
    (2**255 - 19).to_bytes(32, "little"),
    (2**255 - 18).to_bytes(32, "little"),
]


async def refused(keys, document, status=400, code="invalid", field=None, **fields):
    """This document is refused, and what was there before is there still."""
    before = await seen_by(keys.person.phone, keys.person)
    problem = ok(await keys.tries(document, **fields), status)
    assert (problem["code"], problem.get("field")) == (code, field), problem
    assert await seen_by(keys.person.phone, keys.person) == before
    return problem


async def is_listed(device):
    return (await Device.objects.aget(pk=device.id)).is_listed


# --- devices -----------------------------------------------------------------------------------------------------------


async def test_a_new_device_lists_itself(alice, bob, keys):
    laptop = await alice.new_device()
    assert not await is_listed(laptop)
    envelope = await keys.puts(keys.document(keys.with_device(laptop)), by=laptop)

    assert await seen_by(bob.phone, alice) == {alice.id: {"userkeys": envelope}}
    assert await is_listed(laptop) and await is_listed(alice.phone)


async def test_a_device_that_is_not_listed_changes_nothing(alice, keys):
    laptop = await alice.new_device()
    await refused(keys, keys.document(), field="userkeys.devices", by=laptop)


async def test_nobody_elses_device_and_no_dead_one_is_listed(alice, bob, keys):
    gone = await alice.new_device()
    ok(await gone.http.post("accounts/sign-out", json={}), 204)
    for device in (gone, bob.phone):
        await refused(keys, keys.document(keys.with_device(device)), field="userkeys.devices")


async def test_a_device_that_is_revoked_is_signed_out_at_the_same_moment(alice, keys):
    laptop = await keys.adds()
    async with laptop.socket() as socket:
        await keys.puts(keys.document(keys.without(laptop)))
        assert await socket.closed() == 4401
    assert (await Device.objects.aget(pk=laptop.id)).revoked_at is not None
    assert not await is_listed(laptop)
    ok(await laptop.http.get("account"), 401)
    ok(await alice.cast.http().post("accounts/refresh", json={"refresh": laptop.session["refresh"]}), 401)


async def test_a_device_can_revoke_itself(alice, keys):
    laptop = await keys.adds()
    await keys.puts(keys.document(keys.without(laptop)), by=laptop)
    ok(await laptop.http.get("account"), 401)


@pytest.mark.parametrize("how", ["sign-out", "removed"])
async def test_a_device_that_is_signed_out_is_not_listed_any_more(alice, keys, how):
    laptop = await keys.adds()
    if how == "sign-out":
        ok(await laptop.http.post("accounts/sign-out", json={}), 204)
    else:
        ok(await alice.phone.http.delete(f"devices/{laptop.id}"), 204)
    assert not await is_listed(laptop)
    # The document still says that it is live, until somebody who has the identity key closes it; others go on meanwhile.
    await keys.adds("tablet")
    assert not await is_listed(laptop)
    await keys.puts(keys.document(keys.without(laptop)))
    assert not await is_listed(laptop)


async def test_a_listed_device_keeps_its_keys_and_a_revoked_one_stays_revoked(alice, keys):
    laptop = await keys.adds()
    other = b64(Ed25519PrivateKey.generate().public_key().public_bytes_raw())
    box = b64(X25519PrivateKey.generate().public_key().public_bytes_raw())
    phone, last = keys.devices
    for change in ({"key": other}, {"box": box}, {"since": last["since"] + 1}):
        await refused(keys, keys.document([phone, last | change]), field="userkeys.devices")
    without_box = {name: value for name, value in last.items() if name != "box"}
    await refused(keys, keys.document([phone, without_box]), field="userkeys.devices")
    await refused(keys, keys.document([phone]), field="userkeys.devices")

    await keys.puts(keys.document(keys.without(laptop)))
    phone, last = keys.devices
    for change in ({"until": None}, {"until": last["until"] + 1}):
        await refused(keys, keys.document([phone, last | change]), field="userkeys.devices")


async def test_times_and_numbers_are_whole_and_within_bounds(alice, keys):
    laptop = await keys.adds()
    tablet = await alice.new_device()
    *others, new = keys.with_device(tablet)
    for since in (-1, 1.5, True, "1", 2**53):
        await refused(keys, keys.document([*others, new | {"since": since}]), field="userkeys.devices.since")
    await refused(keys, keys.document(keys.without(laptop, until=1)), field="userkeys.devices.until")
    await refused(keys, keys.document([*others, new | {"until": new["since"]}]), field="userkeys.devices")
    for version in (0, 2, 1.0, "1", True):
        await refused(keys, keys.document(v=version), field="userkeys.v")


async def test_at_most_50_live_and_100_listed(alice, keys):
    def listed(count, until=None):
        key = b64(Ed25519PrivateKey.generate().public_key().public_bytes_raw())
        return [
            {"id": f"00000000-0000-7000-8000-{number:012}", "key": key, "since": 1, "until": until}
            for number in range(count)
        ]

    problem = await refused(keys, keys.document([*keys.devices, *listed(50)]), field="userkeys.devices")
    assert "50" in problem["detail"]
    problem = await refused(keys, keys.document([*keys.devices, *listed(100, 2)]), field="userkeys.devices")
    assert "100" in problem["detail"]


async def test_revoked_devices_may_be_left_out_once_the_last_document_is_named(alice, bob, keys):
    laptop, tablet = await keys.adds("laptop"), await keys.adds("tablet")
    revoked = await keys.puts(keys.document(keys.without(laptop, tablet)))
    phone = keys.devices[:1]

    named = keys.names_last()
    wrong = [None, named | {"seq": named["seq"] - 1}, named | {"hash": b64(bytes(32))}]
    for pruned in wrong:
        await refused(keys, keys.document(phone, pruned=pruned), field="userkeys.pruned")
    await refused(keys, keys.document(pruned=named), field="userkeys.pruned")  # nobody is left out
    await refused(keys, keys.document(phone, pruned=named | {"seq": 99}), field="userkeys.pruned.seq")

    await keys.puts(keys.document(phone, pruned=named))
    found = await bob.phone.gets(f"e2ee/users/{alice.id}/userkeys/{named['seq']}")
    assert found == {"userkeys": revoked}

    # From then on it is carried along.
    for pruned in (None, keys.names_last()):
        await refused(keys, keys.document(pruned=pruned), field="userkeys.pruned")
    await keys.adds("watch")
    assert keys.pruned == named


async def test_documents_are_kept_for_a_while_and_named_ones_for_good(alice, bob, keys):
    laptop = await keys.adds()
    await keys.puts(keys.document(keys.without(laptop)))
    named = keys.names_last()
    await keys.puts(keys.document(keys.devices[:1], pruned=named))
    rows = UserKeysHistory.objects.filter(user_id=alice.id).order_by("seq")
    assert [(row.seq, row.is_kept) async for row in rows.all()] == [(1, False), (2, False), (3, True)]

    for _ in range(106):
        await keys.puts(keys.document())

    assert [row.seq async for row in rows.all()] == [3, *range(10, 110)]
    ok(await bob.phone.http.get(f"e2ee/users/{alice.id}/userkeys/9"), 404)
    ok(await bob.phone.http.get(f"e2ee/users/{alice.id}/userkeys/10"), 200)
    found = (await bob.phone.gets(f"e2ee/users/{alice.id}/userkeys/3"))["userkeys"]
    assert b64(sha256(payload_of(found)).digest()) == named["hash"]


# --- the chain ---------------------------------------------------------------------------------------------------------


async def test_a_document_follows_the_one_before(alice, bob, keys):
    await keys.adds()
    for field, change in {
        "userkeys.seq": {"seq": keys.seq + 2},
        "userkeys.prev": {"prev": b64(bytes(32))},
        "userkeys.user": {"user": bob.id},
        "userkeys.uek.ver": {"uek": keys.document()["uek"] | {"ver": 3}},
    }.items():
        await refused(keys, keys.document(**change), field=field, vault=keys.vault())
    await refused(keys, keys.document(prev=""), field="userkeys.prev")


async def test_a_stale_number_is_told_the_newest_one(alice, keys):
    await keys.adds()
    document = keys.document()
    assert (await refused(keys, document, 409, "seq", seq=1))["seq"] == 2
    assert (await refused(keys, document, 409, "seq", seq=3))["seq"] == 2


@pytest.mark.parametrize("header", [None, "", "abc", "-1", "1.0", '""', "9" * 30, "*"])
async def test_if_match_names_a_number(alice, keys, header):
    body = {"userkeys": keys.envelope(keys.document())}
    headers = {} if header is None else {"If-Match": header}
    problem = ok(await alice.phone.http.put("e2ee/userkeys", json=body, headers=headers), 400)
    assert (problem["code"], problem["field"]) == ("invalid", "If-Match")


async def test_if_match_may_be_quoted(alice, keys):
    body = {"userkeys": keys.envelope(keys.document())}
    ok(await alice.phone.http.put("e2ee/userkeys", json=body, headers={"If-Match": '"1"'}), 200)


async def test_of_two_devices_that_write_at_once_one_is_told_to_look_again(alice, keys):
    laptop, tablet = await alice.new_device("laptop"), await alice.new_device("tablet")
    envelopes = [keys.envelope(keys.document(keys.with_device(device))) for device in (laptop, tablet)]
    answers = await asyncio.gather(
        *[keys.tries(envelope, by=by) for envelope, by in zip(envelopes, (laptop, tablet), strict=True)]
    )

    assert sorted(answer.status_code for answer in answers) == [200, 409]
    loser = next(answer for answer in answers if answer.status_code == 409).json()
    assert (loser["code"], loser["seq"]) == ("seq", 2)
    assert sorted([await is_listed(laptop), await is_listed(tablet)]) == [False, True]


async def test_the_same_again_is_answered_as_the_first_time(alice, keys):
    laptop = await alice.new_device()
    vault = keys.vault()
    envelope = keys.envelope(keys.document(keys.with_device(laptop), uek=keys.rotated()))
    answers = [ok(await keys.tries(envelope, by=laptop, vault=vault), 200) for _ in range(2)]
    assert answers == [{"seq": 2}] * 2
    keys.took(envelope, vault)
    # With another vault it is another request.
    ok(await keys.tries(envelope, by=laptop, seq=1, vault=vault | {"ct": b64(bytes(300))}), 409)
    await keys.adds("tablet")
    assert ok(await keys.tries(envelope, by=laptop, seq=1, vault=vault), 200) == {"seq": 2}
    assert len([entry for entry in await entries_of(alice.phone) if entry["document"] == 2]) == 1


# --- keys --------------------------------------------------------------------------------------------------------------


async def test_another_encryption_key_comes_with_the_vault_that_holds_it(alice, keys):
    uek = keys.rotated()
    await refused(keys, keys.document(uek=uek), field="vault")
    await refused(keys, keys.document(uek=uek | {"ver": 1}), field="userkeys.uek.pk", vault=keys.vault())
    await refused(keys, keys.document(uek=uek), 409, "version", vault=keys.vault(version=3))
    vault = keys.vault()
    await keys.puts(keys.document(uek=uek), vault=vault)
    assert await alice.phone.gets("e2ee/vault") == vault


async def test_another_version_is_another_key(alice, keys):
    same = keys.document()["uek"] | {"ver": 2}
    await refused(keys, keys.document(uek=same), field="userkeys.uek.pk", vault=keys.vault())


@pytest.mark.parametrize("point", LOW_ORDER, ids=lambda point: point.hex()[:8])
async def test_keys_that_anybody_can_open_are_refused(alice, keys, point):
    uek = keys.rotated() | {"pk": b64(point)}
    await refused(keys, keys.document(uek=uek), field="userkeys.uek.pk", vault=keys.vault())
    *others, new = keys.with_device(await alice.new_device())
    await refused(keys, keys.document([*others, new | {"box": b64(point)}]), field="userkeys.devices.box")


@pytest.mark.parametrize("y", [0, 1, 2**255 - 20, 2**255 - 19, 2**255 - 18, 2**255 - 1])
async def test_keys_under_which_anybody_signs_are_refused(alice, keys, y):
    *others, new = keys.with_device(await alice.new_device())
    key = b64(y.to_bytes(32, "little"))
    await refused(keys, keys.document([*others, new | {"key": key}]), field="userkeys.devices.key")


async def test_bytes_have_their_lengths_and_one_spelling(alice, keys):
    uek = keys.document()["uek"]
    key = uek["pk"]
    twin = key[:-1] + chr(ord(key[-1]) + 1)  # the same bytes, spelled with bits that say nothing
    for bad in (
        key[:-1],
        key + "A",
        key + "=",
        key.replace(key[3], "+"),
        twin,
        7,
        None,
        b64(bytes(31)),
        b64(bytes(33)),
    ):
        await refused(keys, keys.document(uek=uek | {"pk": bad}), field="userkeys.uek.pk")
    await refused(keys, keys.document(uek=uek | {"suite": "mlkem768x25519"}), field="userkeys.uek.suite")
    await refused(keys, keys.document(uek=uek | {"ver": 0}), field="userkeys.uek.ver")


async def test_a_field_that_the_protocol_does_not_name_is_refused(alice, keys):
    phone = keys.devices[0]
    uek = keys.document()["uek"]
    for document in (
        keys.document(plain="x"),
        keys.document(uek=uek | {"plain": "x"}),
        keys.document([phone | {"plain": "x"}]),
        keys.document(pruned={"seq": 1, "hash": b64(bytes(32)), "plain": "x"}),
    ):
        await refused(keys, document, code="unknown_field", field="plain")
    await refused(keys, keys.document(), code="unknown_field", field="plain", plain="x")
    envelope = keys.envelope(keys.document())
    await refused(keys, envelope | {"plain": "x"}, code="unknown_field", field="plain")


async def test_a_payload_is_json_that_reads_one_way(alice, keys):
    text = json.dumps(keys.document())
    for payload in (
        text.replace('"v": 1', '"v": 1, "v": 1'),
        text.replace('"since": ', '"since": NaN, "x": '),
        text[:-1],
        "[1]",
        "[" * 20_000,
        '"\xff"',
    ):
        await refused(keys, keys.envelope(payload.encode("latin-1")), field="userkeys")
    await refused(keys, keys.envelope(text.encode("utf-16")), field="userkeys")
    await refused(keys, keys.envelope(b" " * 32_769), 413, "too_large", "userkeys")


async def test_an_envelope_has_one_signature_of_the_right_kind(alice, keys):
    document = keys.document()
    good = keys.envelope(document)
    (signature,) = good["signatures"]
    for bad in (
        good | {"signatures": []},
        good | {"signatures": [signature, signature]},
        good | {"signatures": ["x"]},
        good | {"signatures": [signature | {"keyid": "x"}]},
        good | {"signatures": [signature | {"sig": b64(bytes(64))}]},
        good | {"payload": good["payload"] + "="},
        good | {"payloadType": "chat.e2ee.v1.epoch"},
        signed(document, keys.signing[alice.phone.id]),
    ):
        await refused(keys, bad, field="userkeys")
    await refused(keys, good | {"signatures": [signature | {"sig": b64(bytes(63))}]}, field="userkeys")
    problem = ok(await alice.phone.http.put("e2ee/userkeys", json={"userkeys": "x"}, headers={"If-Match": "1"}), 400)
    assert problem["field"] == "userkeys"


# --- boxes -------------------------------------------------------------------------------------------------------------


async def test_a_new_encryption_key_reaches_the_other_devices_in_boxes(alice, keys):
    laptop = await keys.adds()
    ok(await laptop.http.get("e2ee/box"), 404)
    await keys.rotates(boxes={laptop.id: b64(bytes(80))})
    assert await laptop.gets("e2ee/box") == {"ver": 2, "ct": b64(bytes(80))}
    await keys.rotates(boxes={laptop.id: b64(b"\x01" * 80)})
    assert await laptop.gets("e2ee/box") == {"ver": 3, "ct": b64(b"\x01" * 80)}
    ok(await alice.phone.http.get("e2ee/box"), 404)


async def test_boxes_are_for_live_devices_that_have_one(alice, bob, keys):
    laptop, gone, unlisted = await keys.adds(), await keys.adds("gone"), await alice.new_device("unlisted")
    tablet = await alice.new_device("tablet")
    *others, new = keys.with_device(tablet)
    await keys.puts(keys.document([*others, {name: value for name, value in new.items() if name != "box"}]))
    await keys.puts(keys.document(keys.without(gone)))
    out = await keys.adds("signed out")
    ok(await out.http.post("accounts/sign-out", json={}), 204)

    box = b64(bytes(80))
    uek = keys.rotated()
    for device in (gone, unlisted, tablet, bob.phone, out):
        await refused(keys, keys.document(uek=uek), field="boxes", vault=keys.vault(), boxes={device.id: box})
    leaving = keys.document(keys.without(laptop), uek=uek)
    await refused(keys, leaving, field="boxes", vault=keys.vault(), boxes={laptop.id: box})
    for boxes in ({laptop.id: b64(bytes(79))}, {"x": box}, {laptop.id: 7}, [box], None):
        await refused(keys, keys.document(uek=uek), field="boxes", vault=keys.vault(), boxes=boxes)
    await refused(keys, keys.document(uek=None), field="uek", boxes={})


async def test_boxes_come_with_another_encryption_key_only(alice, keys):
    laptop = await keys.adds()
    await refused(keys, keys.document(), field="boxes", boxes={laptop.id: b64(bytes(80))})


async def test_a_device_that_goes_loses_its_box(alice, keys):
    laptop = await keys.adds()
    await keys.rotates(boxes={laptop.id: b64(bytes(80))})
    ok(await alice.phone.http.delete(f"devices/{laptop.id}"), 204)
    assert not await DeviceBox.objects.filter(device_id=laptop.id).aexists()


# --- who hears of it ---------------------------------------------------------------------------------------------------


async def test_each_change_says_what_it_was(alice, bob, keys):
    await bob.direct_room(alice)
    laptop = await keys.adds()
    await keys.rotates()
    await keys.puts(keys.document(keys.without(laptop), uek=keys.rotated()), vault=keys.vault())

    async def heard():
        return [(entry["document"], entry["change"], entry["device"]) for entry in await entries_of(bob.phone)]

    while len(await heard()) < 3:
        await asyncio.sleep(0.02)
    assert await heard() == [
        (2, "devices", laptop.id),
        (3, "encryption", None),
        (4, "encryption", laptop.id),
    ]


async def test_the_rooms_of_somebody_with_another_encryption_key_are_outdated(alice, bob, keys):
    room = await bob.direct_room(alice)

    async def stale():
        return (await Room.objects.aget(pk=room)).stale

    await Room.objects.filter(pk=room).aupdate(epoch=1)
    await keys.adds()
    assert await stale() == 0
    await keys.rotates()
    assert await stale() == Room.Stale.KEYS


async def test_a_revoked_device_changes_nothing_more(alice, keys):
    laptop = await keys.adds()
    await Device.objects.filter(pk=laptop.id).aupdate(revoked_at=Now())
    document = keys.document()
    assert ok(await keys.tries(document, by=laptop), 401)["code"] == "unauthenticated"
    for path in ("e2ee/vault", "e2ee/box", "e2ee/vault/archive/1", f"e2ee/users/{alice.id}/userkeys/1"):
        ok(await laptop.http.get(path), 401)
    ok(await laptop.http.post("e2ee/users/query", json={"known": {}}), 401)


async def test_a_device_signed_out_while_it_writes_does_not_stay_listed(alice, keys):
    """Whichever comes first: the device is not listed in the end."""
    for round in range(5):
        laptop = await alice.new_device(f"laptop {round}")
        envelope = keys.envelope(keys.document(keys.with_device(laptop)))
        put, _ = await asyncio.gather(keys.tries(envelope, by=laptop), alice.phone.http.delete(f"devices/{laptop.id}"))
        assert put.status_code in (200, 401)
        if put.status_code == 200:
            keys.took(envelope)
        assert not await is_listed(laptop)


async def test_a_key_can_be_had_by_the_port_of_epochs(alice, keys):
    laptop = await keys.adds()
    user, device = UUID(alice.id), UUID(laptop.id)
    key = await asyncio.to_thread(userkeys.signing_key, user, device)
    assert key == keys.signing[laptop.id].public_key().public_bytes_raw()
    found = (await asyncio.to_thread(userkeys.current, [user, device]))[user]
    assert b64(found.uik) == keys.document()["uik"]
    assert {"ver": found.uek_version, "suite": "x25519", "pk": b64(found.uek_public)} == keys.document()["uek"]
    ok(await alice.phone.http.delete(f"devices/{laptop.id}"), 204)
    assert await asyncio.to_thread(userkeys.signing_key, user, device) is None


async def test_a_user_who_takes_one_key_after_the_other_is_slowed_down(alice, keys, monkeypatch):
    """Each outdates the epochs of all the user's rooms, and whoever writes there makes new ones. Other changes go on."""

    def uses_up():
        with override_settings(RATE_SCALE=1.0):
            rates.take("rekey", UUID(alice.id))

    # Here one takes as long to come back as many do where the request goes.
    monkeypatch.setitem(rates.RATES, "rekey", Rate(burst=2, per_second=0.0001))
    await asyncio.to_thread(uses_up)
    await refused(keys, keys.document(uek=keys.rotated()), 429, "rate_limited", vault=keys.vault())
    again = Keyring(alice, kdf=keys.kdf)
    body = {"userkeys": again.envelope(again.document()), "vault": again.vault(), "auth": alice.password}
    assert ok(await alice.phone.http.post("e2ee/reset", json=body), 429)["code"] == "rate_limited"
    keys.version = 1
    await keys.puts(keys.document(uek=json.loads(keys.last)["uek"]))
