"""Alice registers and signs in; nobody else signs in as her (docs/protocol.md §3, §3.4)."""

import asyncio

import pytest

from tests.cast import ok

FORM = {"device_name": "phone", "password": "a string that her client derived"}


async def test_alice_registers_and_is_herself(cast):
    alice = await cast.person("alice")

    account = await alice.phone.gets("account")

    assert account["id"] == alice.id
    assert account["username"] == alice.username
    assert account["read_receipts"] is True


async def test_each_sign_in_is_a_device(cast):
    alice = await cast.person("alice", device="phone")
    laptop = await alice.new_device("laptop")

    listed = (await laptop.gets("devices"))["devices"]

    assert [(device["name"], device["this_device"]) for device in listed] == [("phone", False), ("laptop", True)]
    assert laptop.id != alice.phone.id


async def test_a_name_belongs_to_one(cast):
    alice = await cast.person("alice")

    response = await cast.http().post("accounts/register", json=FORM | {"username": alice.username.upper()})

    assert (response.status_code, response.json()["code"]) == (409, "username_taken")


async def test_a_name_asked_for_many_times_at_once_is_given_once(cast):
    alice = await cast.person("alice")
    form = FORM | {"username": alice.username + ".2"}

    responses = await asyncio.gather(*(cast.http().post("accounts/register", json=form) for _ in range(6)))

    assert sorted(response.status_code for response in responses) == [201, 409, 409, 409, 409, 409]


async def test_case_does_not_matter_in_a_name(cast):
    alice = await cast.person("alice")

    session = ok(
        await cast.http().post(
            "accounts/sign-in",
            json={"username": alice.username.title(), "password": alice.password, "device_name": "x"},
        )
    )

    assert session["user"] == {"id": alice.id, "username": alice.username}


async def test_a_wrong_password_and_an_unknown_name_are_answered_alike(cast):
    alice = await cast.person("alice")

    wrong = await cast.http().post("accounts/sign-in", json=FORM | {"username": alice.username})
    unknown = await cast.http().post("accounts/sign-in", json=FORM | {"username": alice.username + "x"})

    assert wrong.status_code == unknown.status_code == 401
    assert wrong.json() == unknown.json()
    assert wrong.json()["code"] == "bad_credentials"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("username", "al"),
        ("username", "-alice"),
        ("username", "al ice"),
        ("username", "álice"),
        ("username", "\u212aelvin"),
        ("username", "a" * 33),
        ("username", 7),
        ("username", "ali\x00ce"),
        ("password", ""),
        ("password", "x" * 257),
        ("password", None),
        ("device_name", ""),
        ("device_name", "   "),
        ("device_name", "x" * 65),
        ("device_name", "a\nb"),
        ("device_name", ["phone"]),
    ],
)
async def test_a_bad_form_names_the_field(cast, field, value):
    form = FORM | {"username": "somebody", field: value}

    response = await cast.http().post("accounts/register", json=form)

    assert response.status_code == 400, response.text
    assert (response.json()["code"], response.json()["field"]) == ("invalid", field)
    assert response.headers["content-type"] == "application/problem+json"


async def test_a_field_that_is_not_in_the_protocol_is_refused(cast):
    response = await cast.http().post("accounts/register", json=FORM | {"username": "somebody", "email": "a@b.example"})

    assert response.status_code == 400
    assert (response.json()["code"], response.json()["field"]) == ("unknown_field", "email")


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"{", b'"x"', b"\xff"])
async def test_what_is_no_object_is_refused(cast, body):
    response = await cast.http().post("accounts/sign-in", content=body, headers={"Content-Type": "application/json"})

    assert (response.status_code, response.json()["code"]) == (400, "invalid")


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer x.y.z", "Basic YTpi", "Token abc", "Bearer " + "x" * 5000]
)
async def test_without_a_good_token_nobody_gets_in(cast, header):
    client = cast.http()
    if header is not None:
        client.headers["Authorization"] = header

    response = await client.get("account")

    assert (response.status_code, response.json()["code"]) == (401, "unauthenticated")
    assert response.headers["www-authenticate"] == "Bearer"


async def test_bob_finds_alice_by_her_exact_name_only(cast):
    alice, bob = await cast.people("alice", "bob")

    found = await bob.phone.gets(f"users/{alice.username}")
    almost = await bob.phone.http.get(f"users/{alice.username[:-1]}")

    assert found == {"id": alice.id, "username": alice.username}
    assert (almost.status_code, almost.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize("name", ["a", "%00", "..%2f", "Ünicode", "x" * 300, "'--"])
async def test_a_name_that_cannot_be_is_just_not_there(cast, name):
    bob = await cast.person("bob")

    response = await bob.phone.http.get(f"users/{name}")

    assert response.status_code == 404


async def test_alice_switches_read_receipts_off(cast):
    alice = await cast.person("alice")

    changed = ok(await alice.phone.http.patch("account", json={"read_receipts": False}))
    refused = await alice.phone.http.patch("account", json={"read_receipts": "yes"})

    assert changed["read_receipts"] is False
    assert (await alice.phone.gets("account"))["read_receipts"] is False
    assert refused.json()["field"] == "read_receipts"
