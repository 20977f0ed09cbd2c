"""Signing in with what is derived from the password or from the recovery key, and changing either."""

import asyncio
import secrets

import pytest

from accounts.models import User
from tests.cast import b64, ok
from tests.keys.keyring import Keyring, a_kdf

RECOVERY = "what a client derives from the recovery key"


async def signs_in(person, status=200, **secret):
    form = {"username": person.username, "device_name": "laptop", **secret}
    return ok(await person.cast.http().post("accounts/sign-in", json=form), status)


async def changes_password(keys, *, status=200, by=None, **fields):
    """POST account/password with new parameters and the vault that belongs to them."""
    body = {"old_auth": keys.person.password, "new_auth": "new", "kdf": keys.kdf, "vault": keys.vault()} | fields
    body = {name: value for name, value in body.items() if value is not None}
    return ok(await (by or keys.person.phone).http.post("account/password", json=body), status)


# --- parameters --------------------------------------------------------------------------------------------------------


async def test_a_new_device_learns_how_to_split_the_password(cast):
    kdf = a_kdf(m=131_072)
    alice = await cast.person("alice", kdf=kdf)
    assert ok(await cast.http().get("accounts/kdf", params={"username": alice.username.upper()})) == kdf


async def test_a_name_that_nobody_has_is_answered_like_one_without_parameters(cast, alice):
    async def asks(name):
        return ok(await cast.http().get("accounts/kdf", params={"username": name}))

    name = f"nobody.{secrets.token_hex(5)}"
    found = await asks(name)
    assert found == await asks(name.upper()) != await asks(name + "x")
    assert {**found, "salt": ""} == {**await asks(alice.username), "salt": ""}
    assert {**found, "salt": ""} == a_kdf(salt="")
    # Whoever takes the name without saying how is answered as nobody was.
    form = {"username": name, "password": "p", "device_name": "phone"}
    ok(await cast.http().post("accounts/register", json=form), 201)
    assert await asks(name) == found


@pytest.mark.parametrize("query", [{}, {"username": "x"}, {"username": "alice", "more": "1"}])
async def test_one_name_is_asked_about(cast, query):
    assert ok(await cast.http().get("accounts/kdf", params=query), 400)["code"] in ("invalid", "unknown_field")


@pytest.mark.parametrize(
    "change",
    [
        {"alg": "scrypt"},
        {"m": 19_455},
        {"m": 1_048_577},
        {"t": 1},
        {"t": 11},
        {"p": 0},
        {"p": 17},
        {"m": 65_536.0},
        {"m": True},
        {"m": "65536"},
        {"salt": b64(bytes(15))},
        {"salt": b64(bytes(17))},
        {"salt": "*"},
        {"more": 1},
    ],
    ids=str,
)
async def test_parameters_outside_of_floor_and_ceiling_are_refused(cast, change):
    form = {"username": f"alice.{secrets.token_hex(5)}", "password": "p", "device_name": "phone"}
    problem = ok(await cast.http().post("accounts/register", json=form | {"kdf": a_kdf(**change)}), 400)
    assert problem["code"] in ("invalid", "unknown_field")
    assert not await User.objects.filter(username=form["username"]).aexists()


@pytest.mark.parametrize("kdf", [None, "x", [], {}])
async def test_parameters_are_an_object(cast, kdf):
    form = {"username": f"alice.{secrets.token_hex(5)}", "password": "p", "device_name": "phone", "kdf": kdf}
    assert ok(await cast.http().post("accounts/register", json=form), 400)["code"] == "invalid"


# --- the recovery key --------------------------------------------------------------------------------------------------


async def test_the_recovery_key_signs_in(alice):
    await Keyring(alice).sets_up(recovery_auth=RECOVERY)
    assert (await signs_in(alice, recovery=RECOVERY))["user"]["id"] == alice.id
    assert (await signs_in(alice, recovery="another", status=401))["code"] == "bad_credentials"
    # Neither passes for the other.
    assert (await signs_in(alice, recovery=alice.password, status=401))["code"] == "bad_credentials"
    assert (await signs_in(alice, password=RECOVERY, status=401))["code"] == "bad_credentials"
    kept = await User.objects.aget(pk=alice.id)
    assert RECOVERY not in kept.recovery and kept.recovery.startswith("pbkdf2")


async def test_who_has_none_is_answered_like_somebody_with_another(alice, bob, keys):
    for person, secret in ((alice, RECOVERY), (bob, RECOVERY)):
        assert (await signs_in(person, recovery=secret, status=401))["code"] == "bad_credentials"
    assert (await signs_in(bob, recovery="", status=400))["field"] == "recovery"


@pytest.mark.parametrize("given", [(), ("password", "recovery")])
async def test_one_of_the_two_is_given(alice, given):
    secret = dict.fromkeys(given, alice.password)
    assert (await signs_in(alice, status=400, **secret))["code"] == "invalid"


async def test_wrong_recovery_keys_are_counted_like_wrong_passwords(alice):
    await Keyring(alice).sets_up(recovery_auth=RECOVERY)
    for number in range(10):
        secret = {"recovery": "a guess"} if number % 2 else {"password": "a guess"}
        await signs_in(alice, status=401, **secret)
    await signs_in(alice, status=429, recovery=RECOVERY)


async def test_a_new_recovery_key_takes_the_place_of_the_old_one(alice):
    keys = Keyring(alice)
    await keys.sets_up(recovery_auth=RECOVERY)
    body = {"vault": keys.vault(), "auth": alice.password, "recovery_auth": "new"}
    for _ in range(2):  # the answer was lost
        ok(await alice.phone.http.put("e2ee/vault", json=body, headers={"If-Match": "1"}))
    await signs_in(alice, recovery=RECOVERY, status=401)
    await signs_in(alice, recovery="new")


async def test_a_recovery_key_is_not_changed_by_a_vault_that_is_refused(alice):
    keys = Keyring(alice)
    await keys.sets_up(recovery_auth=RECOVERY)
    body = {"vault": keys.vault(version=7), "auth": alice.password, "recovery_auth": "new"}
    ok(await alice.phone.http.put("e2ee/vault", json=body, headers={"If-Match": "1"}), 409)
    await signs_in(alice, recovery="new", status=401)
    await signs_in(alice, recovery=RECOVERY)


# --- another password --------------------------------------------------------------------------------------------------


async def test_a_new_password_comes_with_the_vault_that_it_opens(alice, keys):
    keys.kdf = a_kdf()
    vault = keys.vault()
    assert await changes_password(keys, vault=vault) == {"version": 2}
    await signs_in(alice, password=alice.password, status=401)
    await signs_in(alice, password="new")
    assert ok(await alice.cast.http().get("accounts/kdf", params={"username": alice.username})) == keys.kdf
    assert await alice.phone.gets("e2ee/vault") == vault


async def test_the_recovery_key_gives_a_new_password(alice):
    keys = Keyring(alice)
    await keys.sets_up(recovery_auth=RECOVERY)
    await changes_password(keys, old_auth=None, recovery_auth="a guess", status=401)
    await changes_password(keys, old_auth=None, recovery_auth=RECOVERY)
    await signs_in(alice, password="new")
    await signs_in(alice, recovery=RECOVERY)


async def test_the_same_again_is_answered_as_the_first_time(alice, keys):
    vault = keys.vault()
    for _ in range(2):
        assert await changes_password(keys, vault=vault) == {"version": 2}
    # That is no way around the password.
    problem = await changes_password(keys, vault=vault, new_auth="a guess", status=401)
    assert problem["code"] == "bad_credentials"


async def test_all_of_it_or_nothing(alice, keys):
    other = a_kdf()
    for status, code, fields in (
        (401, "bad_credentials", {"old_auth": "a guess"}),
        (409, "version", {"vault": keys.vault(version=3)}),
        (400, "invalid", {"kdf": other}),
        (400, "invalid", {"vault": None}),
        (400, "invalid", {"new_auth": ""}),
        (400, "invalid", {"new_auth": 7}),
        (400, "invalid", {"kdf": a_kdf(m=1)}),
        (400, "invalid", {"recovery_auth": "both"}),
        (400, "invalid", {"old_auth": None}),
        (400, "unknown_field", {"plain": "x"}),
    ):
        assert (await changes_password(keys, status=status, **fields))["code"] == code, fields
    await signs_in(alice, password=alice.password)
    assert ok(await alice.cast.http().get("accounts/kdf", params={"username": alice.username})) == keys.kdf
    assert (await alice.phone.gets("e2ee/vault"))["version"] == 1


async def test_somebody_without_a_vault_changes_the_password_alone(alice):
    keys = Keyring(alice)
    assert (await changes_password(keys, status=400))["field"] == "vault"
    assert await changes_password(keys, vault=None) == {"version": None}
    await signs_in(alice, password="new")


async def test_of_two_changes_at_once_one_wins(alice, keys):
    laptop = await alice.new_device()

    async def change(device, new):
        body = {"old_auth": alice.password, "new_auth": new, "kdf": keys.kdf, "vault": keys.vault()}
        return await device.http.post("account/password", json=body)

    answers = await asyncio.gather(change(alice.phone, "phone's"), change(laptop, "laptop's"))
    assert sorted(answer.status_code for answer in answers) in ([200, 401], [200, 409])
    won = "phone's" if answers[0].status_code == 200 else "laptop's"
    await signs_in(alice, password=won)


async def test_guesses_are_counted(alice, keys):
    for _ in range(10):
        await changes_password(keys, old_auth="a guess", status=401)
    await changes_password(keys, status=429)
