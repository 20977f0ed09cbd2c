"""Sending over REST (docs/protocol.md §3): what is accepted, and how each refusal is said."""

import asyncio

from kernel.limits import BODY_BYTES, POST_BYTES, POST_MESSAGES
from tests.cast import b64, new_id, ok


def problem(response, status, code):
    """The problem of a refusal with this status and code."""
    assert response.status_code == status, response.text
    assert response.headers["Content-Type"] == "application/problem+json"
    body = response.json()
    assert (body["status"], body["code"]) == (status, code)
    assert body["title"] and body["detail"] and body["type"] == "about:blank"
    return body


async def received(device, count):
    """The messages of a device's mailbox, in order, once there are so many."""
    async with asyncio.timeout(10):
        while True:
            page = await device.gets("mailbox", limit=500)
            found = [entry for entry in page["entries"] if entry["kind"] == "message"]
            if len(found) >= count:
                return found
            await asyncio.sleep(0.02)


async def test_a_message_is_in_both_mailboxes_as_it_was_composed(cast):
    alice, bob = await cast.people("alice", "bob")
    room = await alice.direct_room(bob)
    draft = alice.phone.message(
        room, b"\x00\xff opaque", sender=alice.id, recipient=bob.id, delivered=False, read=False
    )

    answer = await alice.phone.posts("messages", draft)

    accepted_at = answer.pop("accepted_at")
    assert answer == {
        "id": draft["id"], "room": room, "sender": alice.id, "recipient": bob.id, "delivered": False, "read": False,
    }  # fmt: skip
    assert abs(accepted_at - draft["sent_at"]) < 60_000
    for device in (alice.phone, bob.phone):
        (entry,) = await received(device, 1)
        assert entry | draft == entry
        assert (entry["device"], entry["accepted_at"]) == (alice.phone.id, accepted_at)


async def test_a_hundred_messages_in_one_request_arrive_in_their_order(cast):
    alice, bob = await cast.people("alice", "bob")
    room = await alice.direct_room(bob)
    drafts = [alice.phone.message(room, b"%d" % number) for number in range(POST_MESSAGES)]

    results = (await alice.phone.posts("messages", {"messages": drafts}))["results"]

    assert [(result["id"], result["status"]) for result in results] == [(draft["id"], 200) for draft in drafts]
    assert [result["message"]["id"] for result in results] == [draft["id"] for draft in drafts]
    for device in (alice.phone, bob.phone):
        assert [entry["id"] for entry in await received(device, POST_MESSAGES)] == [draft["id"] for draft in drafts]


async def test_each_of_several_messages_has_a_result_of_its_own(cast):
    alice, bob, mallory = await cast.people("alice", "bob", "mallory")
    room, strange = await alice.direct_room(bob), await bob.direct_room(mallory)
    first = alice.phone.message(room, b"hello")
    drafts = [
        first,
        alice.phone.message(strange, b"hello"),
        alice.phone.message(room, b"hello", text="hello"),
        alice.phone.message(room, b"x" * (BODY_BYTES + 1)),
        {**first, "ciphertext": b64(b"other")},
        first,
        alice.phone.message(room, b"hello", epoch=3),
        "hello",
    ]

    results = (await alice.phone.posts("messages", {"messages": drafts}))["results"]

    codes = [result.get("error", {}).get("code", "accepted") for result in results]
    assert codes == [
        "accepted",
        "not_found",
        "unknown_field",
        "too_large",
        "id_conflict",
        "accepted",
        "epoch_stale",
        "invalid",
    ]
    assert [result["status"] for result in results] == [200, 404, 400, 413, 409, 200, 409, 400]
    assert [result["id"] for result in results] == [*(draft["id"] for draft in drafts[:7]), None]
    assert all(result["error"]["id"] == result["id"] for result in results if result["id"] and "error" in result)
    assert results[0]["message"] == results[5]["message"]
    assert results[4]["error"]["accepted_at"] == results[0]["message"]["accepted_at"]


async def test_what_is_neither_one_message_nor_up_to_a_hundred(cast):
    alice = await cast.person("alice")
    several = [[], {}, None, "hello", [{}] * (POST_MESSAGES + 1)]
    for body in [*({"messages": each} for each in several), [], "hello", 5, None]:
        problem(await alice.phone.http.post("messages", json=body), 400, "invalid")


async def test_nothing_stands_beside_messages(cast):
    alice = await cast.person("alice")

    refused = problem(
        await alice.phone.http.post("messages", json={"messages": [], "plaintext": ""}), 400, "unknown_field"
    )
    assert refused["field"] == "plaintext"


async def test_what_is_not_json(cast):
    alice = await cast.person("alice")
    for content in (b"", b"{", b"\xff", b'{"id": NaN}', b"[" * 100_000):
        response = await alice.phone.http.post(
            "messages", content=content, headers={"Content-Type": "application/json"}
        )
        problem(response, 400, "invalid")


async def test_a_wrong_field_is_named(cast):
    alice, bob = await cast.people("alice", "bob")
    room = await alice.direct_room(bob)
    wrong = [
        ("id", "019ab0c4-7d3e-4aaa-8bbb-0123456789ab"),
        ("id", new_id(1_000_000_000_000)),
        ("room", "general"),
        ("sent_at", 1.5),
        ("alg", ""),
        ("epoch", -1),
        ("ciphertext", "aGVsbG8="),
        ("ciphertext", "aGVsbG9"),
        ("sender", bob.id),
        ("recipient", alice.id),
        ("recipient", None),
        ("delivered", True),
        ("read", 1),
    ]
    for field, value in wrong:
        response = await alice.phone.http.post("messages", json={**alice.phone.message(room, b"hello"), field: value})
        assert problem(response, 400, "invalid")["field"] == field


async def test_an_unknown_field_is_refused_and_nothing_of_it_is_kept(cast):
    alice, bob = await cast.people("alice", "bob")
    room = await alice.direct_room(bob)

    response = await alice.phone.http.post("messages", json={**alice.phone.message(room, b"hello"), "body": "hello"})

    assert problem(response, 400, "unknown_field")["field"] == "body"
    page = await alice.phone.gets(f"rooms/{room}/messages")
    assert [entry for entry in page["entries"] if entry["kind"] == "message"] == []


async def test_a_room_that_is_not_mine_and_one_that_is_not_are_answered_alike(cast):
    alice, bob, mallory = await cast.people("alice", "bob", "mallory")
    room = await alice.direct_room(bob)

    theirs = problem(await mallory.phone.tries(room, b"hello"), 404, "not_found")
    nowhere = problem(await mallory.phone.tries(new_id(), b"hello"), 404, "not_found")

    theirs.pop("id"), nowhere.pop("id")
    assert theirs == nowhere


async def test_the_same_id_again_is_answered_as_the_first_time_even_when_i_am_out(cast):
    alice, bob, carol = await cast.people("alice", "bob", "carol")
    room = await cast.group(alice, bob, carol)
    draft = bob.phone.message(room, b"hello")
    first = await bob.phone.posts("messages", draft)
    ok(await alice.phone.http.delete(f"rooms/{room}/members/{bob.id}"), 204)

    assert await bob.phone.posts("messages", draft) == first
    problem(await bob.phone.tries(room, b"and now?"), 404, "not_found")
    assert len(await received(carol.phone, 1)) == 1


async def test_an_id_has_one_content(cast):
    alice, bob, mallory = await cast.people("alice", "bob", "mallory")
    room, other = await alice.direct_room(bob), await mallory.direct_room(bob)
    first = await alice.sends(room, b"hello", id=(id := new_id()))

    mine = problem(await alice.phone.tries(room, b"other", id=id), 409, "id_conflict")
    somebody_elses = problem(await mallory.phone.tries(other, b"hello", id=id), 409, "id_conflict")

    assert mine["accepted_at"] == first["accepted_at"]
    assert "accepted_at" not in somebody_elses


async def test_the_largest_body_is_taken_and_one_byte_more_is_too_large(cast):
    alice, bob = await cast.people("alice", "bob")
    room = await alice.direct_room(bob)

    await alice.sends(room, b"x" * BODY_BYTES)
    assert problem(await alice.phone.tries(room, b"x" * (BODY_BYTES + 1)), 413, "too_large")["field"] == "ciphertext"


async def test_a_request_that_is_too_large_is_refused_whole(cast):
    alice = await cast.person("alice")

    response = await alice.phone.http.post(
        "messages", content=b'"' + b"x" * POST_BYTES + b'"', headers={"Content-Type": "application/json"}
    )

    problem(response, 413, "too_large")


async def test_a_hundred_of_the_largest_bodies_fit_in_one_request(cast):
    alice, bob = await cast.people("alice", "bob")
    room = await alice.direct_room(bob)
    drafts = [alice.phone.message(room, b"x" * BODY_BYTES) for _ in range(POST_MESSAGES)]

    results = (await alice.phone.posts("messages", {"messages": drafts}))["results"]

    assert {result["status"] for result in results} == {200}
    async with bob.phone.socket() as socket:
        found = await socket.messages(POST_MESSAGES)
        assert [entry["id"] for entry in found] == [draft["id"] for draft in drafts]


async def test_nobody_sends_without_a_token(cast):
    response = await cast.http().post("messages", json={})

    problem(response, 401, "unauthenticated")
    assert response.headers["WWW-Authenticate"] == "Bearer"


async def test_the_same_id_posted_many_times_at_once_is_stored_once(cast, system):
    alice, bob = await cast.people("alice", "bob")
    room = await alice.direct_room(bob)
    draft = alice.phone.message(room, b"hello")
    doors = [cast.http(alice.phone.access, url) for url in system.urls] * 5

    answers = await asyncio.gather(*(door.post("messages", json=draft) for door in doors))

    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.text for answer in answers}) == 1
    async with bob.phone.socket() as socket:
        assert [entry["kind"] for entry in socket.entries].count("message") == 1
