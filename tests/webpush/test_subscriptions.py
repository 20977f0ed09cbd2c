"""One subscription per device; and rooms that are muted."""

import pytest

from tests.cast import ok, until
from tests.push_service import b64
from tests.webpush.conftest import arrives, changes, settled, subscription


async def test_a_device_has_one_and_may_change_it(cast, subscribes):
    alice, bob = await cast.people("alice", "bob")
    old = await subscribes(bob.phone)
    new = await subscribes(bob.phone)
    await alice.sends(await alice.direct_room(bob), b"hello")
    await new.push()
    assert old.tries == 0


async def test_what_was_there_before_is_no_news(cast, subscribes):
    alice, bob = await cast.people("alice", "bob")
    sent = await alice.sends(await alice.direct_room(bob), b"hello")
    await arrives(bob.phone, sent)
    browser = await subscribes(bob.phone)
    await settled(bob.phone)
    # The same once more changes nothing.
    await subscribes(bob.phone, browser)
    await settled(bob.phone)
    assert browser.tries == 0


async def test_a_browser_is_one_device_s(cast, subscribes):
    """Bob signs out and Carol signs in, in the same browser: Bob's messages are not told there any more."""
    alice, bob, carol = await cast.people("alice", "bob", "carol")
    browser = await subscribes(bob.phone)
    await subscribes(carol.phone, browser)
    assert await subscription(bob.phone) is None
    await alice.sends(await alice.direct_room(carol), b"hello")
    await browser.push()


async def test_giving_it_up_twice_is_as_once(cast, subscribes):
    (bob,) = await cast.people("bob")
    await subscribes(bob.phone)
    for _ in range(2):
        ok(await bob.phone.http.delete("push/subscription"), 204)
    assert await subscription(bob.phone) is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("endpoint", "https://10.0.0.1/x"),
        ("endpoint", 1),
        ("p256dh", b64(b"\x04" + bytes(64))),
        ("p256dh", b64(bytes(65))),
        ("p256dh", b64(b"\x02" + bytes(32))),
        ("p256dh", "+/=="),
        ("auth", b64(bytes(15))),
        ("auth", b64(bytes(17))),
        ("auth", ""),
    ],
)
async def test_what_is_no_subscription_is_refused(cast, service, field, value):
    (bob,) = await cast.people("bob")
    wrong = service.browser().subscription | {field: value}
    refused = ok(await bob.phone.http.put("push/subscription", json=wrong), 400)
    assert (refused["code"], refused["field"]) == ("invalid", field)
    assert await subscription(bob.phone) is None


async def test_nothing_of_a_muted_room_is_told(cast, subscribes):
    alice, bob, carol = await cast.people("alice", "bob", "carol")
    muted, other = await alice.direct_room(bob), await carol.direct_room(bob)
    browser = await subscribes(bob.phone)
    ok(await bob.phone.http.put(f"rooms/{muted}/mute", json={}), 204)
    ok(await bob.phone.http.put(f"rooms/{muted}/mute", json={}), 204)
    await settled(bob.phone, await alice.sends(muted, b"psst"))
    assert browser.tries == 0
    await carol.sends(other, b"hello")
    await browser.push()
    # Not muted any more, and Bob has been there since.
    ok(await bob.phone.http.delete(f"rooms/{muted}/mute"), 204)
    await settled(bob.phone)
    await changes(bob.phone, quiet_until=None)
    await alice.sends(muted, b"psst")
    await browser.push(2)


async def test_muting_is_the_user_s_and_nobody_else_s(cast):
    alice, bob = await cast.people("alice", "bob")
    room = await alice.direct_room(bob)
    laptop = await bob.new_device()
    async with laptop.socket() as socket, alice.phone.socket() as hers:
        for method, is_muted in (("PUT", True), ("DELETE", False)):
            body = {"json": {}} if is_muted else {}
            ok(await bob.phone.http.request(method, f"rooms/{room}/mute", **body), 204)
            assert await socket.expect("muted") == {"type": "muted", "room": room, "muted": is_muted}
            assert (await laptop.gets(f"rooms/{room}"))["muted"] is is_muted
            assert [each["muted"] for each in (await bob.phone.gets("rooms"))["rooms"]] == [is_muted]
            assert (await alice.phone.gets(f"rooms/{room}"))["muted"] is False
        await bob.phone.sends(room, b"after")
        await until(lambda: hers.entries, "Alice hears of the message")
        assert not [frame for frame in hers.frames if frame["type"] == "muted"]


async def test_a_stranger_s_room_cannot_be_muted(cast):
    alice, bob, mallory = await cast.people("alice", "bob", "mallory")
    room = await alice.direct_room(bob)
    assert ok(await mallory.phone.http.put(f"rooms/{room}/mute", json={}), 404)["code"] == "not_found"
    assert ok(await mallory.phone.http.delete(f"rooms/{room}/mute"), 404)["code"] == "not_found"
    refused = ok(await bob.phone.http.put(f"rooms/{room}/mute", json={"until": 1}), 400)
    assert refused["code"] == "unknown_field"
