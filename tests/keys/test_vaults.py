"""The vault: one version after the other, with the right password, and everybody of the house hears who reads it."""

import asyncio
from uuid import UUID

import pytest
from django.db.models.functions import Now
from django.test import override_settings

from accounts import vaults
from accounts.models import Device, User
from kernel.errors import TooManyRequests
from tests.cast import b64, ok
from tests.keys.keyring import Keyring, a_kdf, entries_of


async def puts(keys, vault, *, status=200, version=None, by=None, **fields):
    """PUT e2ee/vault; the answer."""
    body = {"vault": vault, "auth": keys.person.password, **fields}
    headers = {"If-Match": str(keys.vault_version if version is None else version)}
    response = await (by or keys.person.phone).http.put("e2ee/vault", json=body, headers=headers)
    answer = ok(response, status)
    if status == 200:
        keys.vault_version = vault["version"]
    return answer


async def refused(keys, vault, status=400, code="invalid", field=None, **fields):
    before = await stored(keys)
    problem = await puts(keys, vault, status=status, **fields)
    assert (problem["code"], problem.get("field")) == (code, field), problem
    assert await stored(keys) == before


async def stored(keys):
    """The vault as PostgreSQL has it."""
    found = await vaults.Vault.objects.aget(user_id=keys.person.id)
    return bytes(found.sealed), found.version, found.archives


# --- reading -----------------------------------------------------------------------------------------------------------


async def test_all_devices_hear_that_one_reads_the_vault(alice, bob, keys):
    await bob.direct_room(alice)
    laptop = await alice.new_device()
    async with alice.phone.socket() as phone:
        await laptop.gets("e2ee/vault")
        entry = await phone.entry("keys", change="vault_read")
    assert (entry["user"], entry["document"], entry["device"]) == (alice.id, 1, laptop.id)
    assert [entry["change"] for entry in await entries_of(bob.phone)] in ([], ["encryption"])


async def test_a_vault_is_read_ten_times_an_hour(alice, keys):
    user, device = UUID(alice.id), UUID(alice.phone.id)

    def reads():
        with override_settings(RATE_SCALE=1.0):
            for _ in range(10):
                vaults.get(user, device)
            with pytest.raises(TooManyRequests) as refusal:
                vaults.get(user, device)
        return refusal.value.retry_after

    assert 300 < await asyncio.to_thread(reads) <= 360


async def test_nobody_reads_anothers_vault(alice, bob, keys):
    ok(await bob.phone.http.get("e2ee/vault"), 409)
    ok(await bob.phone.http.get("e2ee/vault/archive/1"), 404)
    ok(await bob.phone.http.get("e2ee/box"), 404)


async def test_a_suspended_user_reads_nothing(alice, keys):
    await User.objects.filter(pk=alice.id).aupdate(suspended_at=Now())
    for path in ("e2ee/vault", "e2ee/vault/archive/1", "e2ee/box"):
        assert ok(await alice.phone.http.get(path), 403)["code"] == "suspended"


# --- the next version --------------------------------------------------------------------------------------------------


async def test_one_version_follows_the_other(alice, keys):
    vault = keys.vault()
    assert await puts(keys, vault) == {"version": 2}
    assert await alice.phone.gets("e2ee/vault") == vault
    assert await puts(keys, keys.vault()) == {"version": 3}


async def test_another_version_is_told_the_one_that_there_is(alice, keys):
    await puts(keys, keys.vault())
    for version, number in ((1, 2), (1, 3), (3, 4), (2, 4), (2, 2)):
        problem = await puts(keys, keys.vault(version=number), status=409, version=version)
        assert (problem["code"], problem["version"]) == ("version", 2)


async def test_of_two_that_write_at_once_one_is_told_to_look_again(alice, keys):
    laptop = await alice.new_device()

    async def put(device):
        body = {"vault": keys.vault(), "auth": alice.password}
        return await device.http.put("e2ee/vault", json=body, headers={"If-Match": "1"})

    answers = await asyncio.gather(put(alice.phone), put(laptop))
    assert sorted(answer.status_code for answer in answers) == [200, 409]


async def test_the_same_again_is_answered_as_the_first_time(alice, keys):
    vault = keys.vault()
    assert await puts(keys, vault) == await puts(keys, vault, version=1) == {"version": 2}


async def test_if_match_is_needed(alice, keys):
    problem = ok(await alice.phone.http.put("e2ee/vault", json={"vault": keys.vault(), "auth": alice.password}), 400)
    assert (problem["code"], problem["field"]) == ("invalid", "If-Match")


async def test_the_password_is_asked_for(alice, keys):
    await refused(keys, keys.vault(), 401, "bad_credentials", auth="a guess")
    body = {"vault": keys.vault()}
    problem = ok(await alice.phone.http.put("e2ee/vault", json=body, headers={"If-Match": "1"}), 400)
    assert problem["field"] == "auth"
    for auth in ("", 7, None, "x" * 257):
        await refused(keys, keys.vault(), field="auth", auth=auth)


async def test_guesses_are_counted(alice, keys):
    for _ in range(10):
        await refused(keys, keys.vault(), 401, "bad_credentials", auth="a guess")
    await refused(keys, keys.vault(), 429, "rate_limited")


async def test_somebody_without_keys_has_no_vault_to_replace(alice):
    keys = Keyring(alice)
    problem = await puts(keys, keys.vault(), status=409)
    assert problem["code"] == "keys_missing"


async def test_the_password_slot_has_the_parameters_of_the_account(alice, keys):
    mine, recovery = keys.vault()["slots"]
    await refused(keys, keys.vault(slots=[mine | {"kdf": a_kdf()}, recovery]), field="vault.slots.kdf")
    await refused(keys, keys.vault(slots=[recovery]), field="vault.slots")
    await puts(keys, keys.vault(slots=[mine]))


async def test_a_vault_has_its_form(alice, keys):
    mine, recovery = keys.vault()["slots"]
    for field, changes in {
        "vault.v": {"v": 2},
        "vault.version": {"version": 0},
        "vault.ct": {"ct": b64(bytes(28))},
        "vault.slots.type": {"slots": [mine, {"type": "phrase", "ct": recovery["ct"]}]},
        "vault.slots.ct": {"slots": [mine | {"ct": b64(bytes(61))}]},
        "vault.slots": {"slots": [mine, mine]},
    }.items():
        await refused(keys, keys.vault(**changes), field=field)
    for changes in ({"slots": []}, {"slots": "x"}, {"slots": [mine, recovery, recovery]}, {"slots": ["x"]}):
        await refused(keys, keys.vault(**changes), field="vault.slots")
    for vault in (
        keys.vault(plain="x"),
        keys.vault(slots=[mine | {"plain": "x"}]),
        keys.vault(slots=[mine, recovery | {"plain": "x"}]),
        keys.vault(slots=[mine | {"kdf": keys.kdf | {"plain": "x"}}]),
    ):
        await refused(keys, vault, code="unknown_field", field="plain")
    await refused(keys, "x", field="vault")
    await refused(keys, keys.vault(slots=[mine, recovery | {"kdf": keys.kdf}]), code="unknown_field", field="kdf")


async def test_a_vault_has_a_bound(alice, keys):
    await refused(keys, keys.vault(ct=b64(bytes(16_385))), 413, "too_large", "vault.ct")
    await refused(keys, keys.vault(ct=b64(bytes(12_200))), 413, "too_large", "vault")
    await puts(keys, keys.vault(ct=b64(bytes(11_000))))


# --- the archive -------------------------------------------------------------------------------------------------------


async def test_pages_of_the_archive_come_one_after_the_other_and_stay(alice, keys):
    page = {"page": 1, "ct": b64(b"\x01" * 300)}
    for wrong in (page | {"page": 2}, page | {"page": 3}):
        await refused(keys, keys.vault(), field="archive.page", archive=wrong)
    await puts(keys, keys.vault(), archive=page)
    assert await alice.phone.gets("e2ee/vault/archive/1") == page
    await refused(keys, keys.vault(), field="archive.page", archive=page)
    later = {"page": 2, "ct": b64(b"\x02" * 300)}
    await keys.puts(keys.document(), vault=keys.vault(), archive=later)
    assert [await alice.phone.gets(f"e2ee/vault/archive/{number}") for number in (1, 2)] == [page, later]
    ok(await alice.phone.http.get("e2ee/vault/archive/3"), 404)
    ok(await alice.phone.http.get(f"e2ee/vault/archive/{10**30}"), 404)


async def test_a_page_has_its_form_and_comes_with_the_vault(alice, keys):
    ct = b64(bytes(300))
    for field, page in {
        "archive": "x",
        "archive.page": {"page": 0, "ct": ct},
        "archive.ct": {"page": 1, "ct": b64(bytes(28))},
        "ct": {"page": 1},
    }.items():
        await refused(keys, keys.vault(), field=field, archive=page)
    await refused(keys, keys.vault(), code="unknown_field", field="plain", archive={"page": 1, "ct": ct, "plain": 1})
    too_large = {"page": 1, "ct": b64(bytes(16_385))}
    await refused(keys, keys.vault(), 413, "too_large", "archive.ct", archive=too_large)
    problem = ok(await keys.tries(keys.document(), archive={"page": 1, "ct": ct}), 400)
    assert problem["field"] == "vault"


async def test_a_revoked_device_replaces_nothing(alice, keys):
    laptop = await keys.adds()
    await Device.objects.filter(pk=laptop.id).aupdate(revoked_at=Now())
    await refused(keys, keys.vault(), 401, "unauthenticated", by=laptop)
