"""How a device comes to have what the server has: by version, in pages, by entries; and how it says so."""

import time

from django.db import connection as database
from django.db import transaction

from connections.models import Connection
from tests.cast import b64
from tests.connections.address_book import change, changes_told, query, synced, told, whole


async def test_a_new_device_gets_the_whole_state(cast):
    alice, bob, carol, mallory = await cast.people("alice", "bob", "carol", "mallory")
    await change(alice.phone, "add", bob)
    await change(carol.phone, "add", alice)
    await change(alice.phone, "block", mallory)
    await change(alice.phone, "note", bob, note=b64(b"Bobby"))
    await alice.phone.http.patch("connections/settings", json={"strangers": "requests"})
    tablet = await alice.new_device("tablet")

    state = await whole(tablet, limit=1)

    assert state == await whole(alice.phone)
    assert {user: (each["state"], each["blocked"]) for user, each in state["connections"].items()} == {
        bob.id: ("requested", False), carol.id: ("incoming", False), mallory.id: ("none", True),
    }  # fmt: skip
    assert state["settings"] == {"who_may_open": "anyone", "who_may_add": "anyone", "strangers": "requests"}
    assert state["version"] == 5


async def test_what_changed_since_comes_once_by_version(cast):
    alice, bob, carol = await cast.people("alice", "bob", "carol")
    await change(alice.phone, "add", bob)
    await change(alice.phone, "add", carol)
    await change(alice.phone, "remove", bob)

    assert [each["version"] for each in (await whole(alice.phone, since=1))["connections"].values()] == [2, 3]
    assert list((await whole(alice.phone, since=2))["connections"]) == [bob.id]
    nothing = await alice.phone.gets("connections", since=3)
    assert (nothing["connections"], nothing["version"], nothing["next"]) == ([], 3, None)


async def test_entries_alone_lead_to_the_same_state_as_pages(cast):
    alice, bob, carol = await cast.people("alice", "bob", "carol")
    tablet = await alice.new_device("tablet")
    async with tablet.socket() as socket:
        await change(bob.phone, "add", alice)
        await change(alice.phone, "accept", bob)
        await change(alice.phone, "block", carol)
        await change(carol.phone, "block", alice)
        await change(alice.phone, "unblock", carol)
        await told(socket, 5)
        assert [each["version"] for each in changes_told(socket)] == [1, 2, 3, 4, 5]
        applied = {each["user"]: each for each in changes_told(socket)}
    assert applied == (await whole(alice.phone))["connections"]


async def test_a_device_says_what_it_has_and_never_less(cast, system):
    alice, bob = await cast.people("alice", "bob")
    await change(alice.phone, "add", bob)
    await change(alice.phone, "block", bob)

    assert await alice.phone.posts("connections/synced", {"version": 2}) == {"version": 2}
    assert await alice.phone.posts("connections/synced", {"version": 1}) == {"version": 2}
    refused = await alice.phone.posts("connections/synced", {"version": 3}, status=422)
    assert refused["code"] == "ack_beyond_sent"
    said = "SELECT connections_version FROM accounts_device WHERE id = %s"
    reported = "SELECT max(version) FROM delivery_syncreport WHERE device_id = %s"
    assert query(system, said, alice.phone.id) == query(system, reported, alice.phone.id) == [(2,)]


async def test_settings_come_to_all_devices_as_an_entry(cast):
    alice = await cast.person("alice")
    tablet = await alice.new_device("tablet")
    wanted = {"who_may_open": "contacts", "who_may_add": "contacts", "strangers": "mailbox"}
    async with alice.phone.socket() as a1, tablet.socket() as a2:
        answer = await tablet.http.patch(
            "connections/settings", json={"who_may_open": "contacts", "who_may_add": "contacts"}
        )
        assert (answer.status_code, answer.json()) == (200, wanted)
        for socket in (a1, a2):
            assert (await told(socket, 1))["settings"] == wanted
    assert await alice.phone.gets("connections/settings") == wanted
    # The same again is no change.
    await tablet.http.patch("connections/settings", json={"who_may_open": "contacts"})
    assert await synced(alice.phone) == 1
    for form in ({"strangers": "friends"}, {}, {"colour": "red"}):
        assert (await alice.phone.http.patch("connections/settings", json=form)).status_code == 400


async def test_lists_by_state_and_by_the_beginning_of_the_name(cast):
    alice, bob, bert, mallory = await cast.people("alice", "bob", "bert", "mallory")
    for peer in (bob, bert):
        await change(alice.phone, "add", peer)
    await change(bob.phone, "accept", alice)
    await change(alice.phone, "block", mallory)

    async def names(**query):
        found, after = [], {}
        while True:
            page = await alice.phone.gets("connections", **query, **after)
            found += [each["username"] for each in page["connections"]]
            if page["next"] is None:
                return found
            after = {"after": page["next"]}

    assert await names() == await names(limit=1) == sorted([bob.username, bert.username, mallory.username])
    assert await names(state="requested") == [bert.username]
    assert await names(state="contact") == [bob.username]
    assert await names(state="blocked") == [mallory.username]
    assert await names(state="incoming") == []
    assert await names(username="B", limit=1) == sorted([bob.username, bert.username])
    assert await names(username=bob.username) == [bob.username]
    for wrong in ({"state": "friend"}, {"limit": 501}, {"since": 0, "state": "contact"}, {"username": "%"}, {"q": 1}):
        assert (await alice.phone.http.get("connections", params=wrong)).status_code == 400


CONTACTS = """
WITH made AS (
    INSERT INTO accounts_user (id, username, password, created_at, read_receipts)
    SELECT gen_random_uuid(), 'c' || left(md5(%s || n), 24), '!', now(), true FROM generate_series(1, %s) n RETURNING id
), book AS (
    INSERT INTO connections_book (user_id, version, who_may_open, who_may_add, strangers, settings_version)
    VALUES (%s, %s, 'anyone', 'anyone', 'mailbox', 0)
)
INSERT INTO connections_connection (owner_id, peer_id, state, blocked, blocked_by, held, note, version, blocked_version,
                                    blocked_by_version, own_version, changed_at)
SELECT %s, id, 'contact', false, false, false, decode(md5(id::text), 'hex'), row_number() OVER (), 0, 0, 0, now() FROM made
"""


async def test_two_thousand_contacts_in_little_time(cast, system):
    """At most 200 ms for all pages (docs/connections.md has the figures); here with room for a busy machine."""
    alice = await cast.person("alice")
    query(system, CONTACTS, alice.id, 2_000, alice.id, 2_000, alice.id)
    took = []
    for _ in range(5):
        began = time.perf_counter()
        state = await whole(alice.phone)
        took.append(time.perf_counter() - began)
        assert len(state["connections"]) == 2_000
    print(f"sync of 2000: {sorted(took)}")
    assert min(took) < 0.4


def test_a_page_goes_along_an_index():
    """However many others there are."""
    page = Connection.objects.filter(owner_id="00000000-0000-0000-0000-000000000000", version__gt=1)
    with transaction.atomic(), database.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        plan = page.order_by("version")[:500].explain()
    assert "connection_changes" in plan
    assert "Sort" not in plan
