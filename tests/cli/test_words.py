"""Refusals, moments and questions as a person reads them; names and secrets as a person gives them."""

import io
import os
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from client import (
    Blocked,
    Change,
    ChangeConflict,
    Conflict,
    DeviceId,
    EpochChanged,
    Lag,
    LaggingDevice,
    LetterlockError,
    Member,
    Problem,
    Refused,
    Relation,
    Room,
    RoomChanged,
    RoomId,
    SignedIn,
    SignedOut,
    State,
    StoreInUse,
    Unreachable,
    UserId,
)
from client.cli import banners, keywords, place, questions, secrets, words
from client.cli.deeds import NotDone, user_called
from client.cli.names import Names, is_room_name, room_meant, room_title, short_id, title
from client.cli.output import Exit, exit_of
from client.cli.place import WrongPlace
from client.protocol.answers import Tokens
from client.protocol.opaque import Ciphertext

ME, BOB, CAROL = (UserId(f"019ab0c4-0000-7000-8000-0000000000{end}") for end in ("aa", "bb", "cc"))
PHONE = DeviceId("019ab0c4-0000-7000-8000-0000000000d1")
NOON = int(datetime(2026, 11, 23, 12, 0, tzinfo=UTC).timestamp() * 1000)
HOUR, DAY = 3_600_000, 86_400_000


def relation(state="contact", *, blocked=False, blocked_by=False) -> Relation:
    return Relation(BOB, "bob", state, blocked, blocked_by, Ciphertext(b""), 7, PHONE, NOON)


@pytest.mark.parametrize(
    ("problem", "says"),
    [
        (Problem("blocked", 403, more={"by": "you"}), "you block this user (/unblock)"),
        (Problem("blocked", 403, more={"by": "peer"}), "this user blocks you"),
        (Problem("invalid", 400, more={"field": "id"}), "it waited for more than a day: send it again"),
        (Problem("invalid", 400, detail="the name is odd"), "the name is odd"),
        (Problem("rate_limited", 429, retry_after=90), "too many attempts: try again in 2 minutes"),
        (Problem("too_large", 413, detail="you have at most 10000 connections"),
         "you have at most 10000 connections: take away some that you do not need (/contacts)"),
        (Problem("new_code", 418, title="\x1b[31mTeapot"), "␛[31mTeapot"),
        (Problem("new\x1bcode", 418), "the server refused it (new␛code)"),
    ],
)  # fmt: skip
def test_a_refusal_says_what_can_be_done(problem, says):
    assert words.of_problem(problem) == says


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (SignedOut(), Exit.SIGNED_OUT),
        (Unreachable(), Exit.UNREACHABLE),
        (StoreInUse(), Exit.IN_USE),
        (Refused(Problem("unavailable", 503)), Exit.UNREACHABLE),
        (Refused(Problem("not_found", 404)), Exit.NOT_DONE),
        (Blocked(Problem("blocked", 403), None), Exit.NOT_DONE),
        (LetterlockError("\x1b[2Jodd"), Exit.NOT_DONE),
    ],
)
def test_every_error_has_a_sentence_and_a_status(error, status):
    assert exit_of(error) is status
    assert words.of_error(error).isprintable()


def test_what_cannot_be_typed_in_a_script_is_not_advised_there():
    assert words.without_commands("you block this user (/unblock)") == "you block this user"


@pytest.mark.parametrize(
    ("ms", "says"),
    [
        (NOON - HOUR, "11:00"), (NOON - DAY, "Sun 12:00"), (NOON - 30 * DAY, "24 Oct"), (NOON - 400 * DAY, "19 Oct 2025"),
        (NOON + DAY, "24 Nov"), (-(2**62), "1 Jan 1970"), (2**62, "23 Dec 9998"),
    ],
)  # fmt: skip
def test_a_moment_is_as_short_as_it_can_be_understood(ms, says):
    assert words.moment(ms, NOON, UTC) == says


def test_lengths_of_time():
    assert [words.in_words(s) for s in (0.2, 1, 59, 60, 3_600, 90_000, 900_000)] == [
        "a moment", "1 second", "59 seconds", "1 minute", "1 hour", "1 day", "10 days",
    ]  # fmt: skip


def test_the_state_says_what_waits():
    assert words.of_state(State.LIVE) == "● live"
    assert words.of_state(State.OFFLINE, waiting=2) == "○ offline, 2 waiting"
    assert words.of_state(State.STOPPED, reason="suspended\x07") == "✗ stopped: suspended␇"


def test_both_ends_of_a_line():
    assert words.ends("left", "right", 12) == "left   right"
    assert words.ends("a long left", "right", 12) == "a lon… right"
    assert len(words.ends("left", "a very long right", 6)) <= 6


def test_changes_of_a_room_are_told():
    names = Names(SignedIn(ME, "alice", PHONE, "phone", Tokens("", 0, "", 0)), {BOB: "bob", CAROL: "carol"})
    change = RoomChanged(1, RoomId("r"), "added", BOB, (CAROL, ME), None)
    assert words.of_change(change, names, ME) == "bob added carol, you"
    assert (
        words.of_change(replace(change, change="role", role="admin", users=(CAROL,)), names, ME)
        == "bob made carol an admin"
    )
    assert words.of_change(replace(change, change="left", by=CAROL, users=()), names, ME) == "carol left"
    epoch = EpochChanged(2, RoomId("r"), 3, BOB, added=(CAROL,), rekeyed=(BOB,))
    assert words.of_change(epoch, names, ME) == "carol can read from here on; bob has new keys"
    assert words.of_change(replace(epoch, added=(), rekeyed=()), names, ME) == ""


# Questions of the connection service.


def test_a_conflict_shows_both_states():
    change = Change(1, "unblock", BOB, None, 7)
    conflict = Conflict(change, relation(blocked=True), 9, PHONE, NOON - HOUR)
    question = questions.of_conflict(conflict, "bob", {PHONE: "pho\x1bne"}, NOON, UTC)
    assert question.body.split("\n") == [
        "You asked to unblock bob.",
        "Meanwhile your device “pho␛ne” has changed this (11:00).",
        "",
        "Now:           contact, blocked by you",
        "As you asked:  contact",
    ]
    assert (question.yes, question.no) == ("Unblock bob all the same", "Leave it as it is now")
    assert "another device of yours" in questions.of_conflict(conflict, "bob", {}, NOON, UTC).body
    assert exit_of(ChangeConflict(Problem("connection_changed", 409), conflict)) is Exit.ASKS


@pytest.mark.parametrize(
    ("action", "before", "after"),
    [
        ("add", relation("none"), relation("requested")),
        ("add", relation("incoming"), relation("contact")),
        ("accept", relation("incoming"), relation("contact")),
        ("decline", relation("incoming"), relation("none")),
        ("remove", relation("contact"), relation("none")),
        ("block", relation("contact"), relation("contact", blocked=True)),
        ("unblock", relation("none", blocked=True), relation("none")),
        ("note", relation("none"), relation("none")),
    ],
)
def test_what_was_asked_for_is_shown_as_it_would_be(action, before, after):
    assert questions.as_asked(before, action) == after


def test_devices_that_lag_are_named():
    lag = Lag(
        Change(1, "unblock", BOB, None, 7),
        (LaggingDevice(PHONE, "tablet", NOON - 2 * DAY), LaggingDevice(PHONE, "x", None)),
    )
    body = questions.of_lag(lag, "bob", NOON).body
    assert "“tablet”, last seen 2 days ago" in body and "“x”, never seen" in body and "/devices" in body


async def test_nobody_there_confirms_nothing():
    asker = questions.Asker()
    conflict = Conflict(Change(1, "unblock", BOB, None, 7), relation(), 9, None, NOON)
    assert await asker.on_conflict(conflict) == "drop"
    assert await asker.on_lag(Lag(conflict.change, ())) == "drop"


# Banners.


def says(**facts) -> str:
    known = {
        "is_locked": False,
        "has_left": False,
        "held": [],
        "others": [],
        "peer": "bob",
        "relation": None,
        "key_to_confirm": False,
    }
    return banners.first(**known | facts)


def test_the_most_important_stands_above_the_conversation():
    assert says() == ""
    assert says(key_to_confirm=True) == banners.CONFIRM
    assert says(is_locked=True, held=["bob"]) == banners.LOCKED
    assert says(held=["bob"], relation=relation(blocked=True)).startswith(
        "bob has other keys than those that you verified"
    )
    assert says(held=["a", "b", "c", "d"]).startswith("a, b, c and 1 more have other keys")
    assert says(others=["bob"]).startswith("bob has new keys")
    assert says(relation=relation(blocked_by=True), others=["bob"]) == "bob blocks you: nothing is sent here."
    assert says(relation=relation("incoming")).endswith("/accept or /decline")


# Keys in words.

RECOVERY_KEY = "EsTE s92N EtaX s2h6 VQYF 9Kao tHYL mkyL GKMh isZb KJ4E tvoC"


def test_a_safety_number_stands_in_groups_of_five():
    rows = keywords.number_rows("0123456789" * 6)
    assert rows.split("\n") == ["01234  56789  01234  56789"] * 3


def test_a_recovery_key_is_confirmed_by_its_groups():
    assert keywords.key_rows(RECOVERY_KEY).split("\n")[2] == " 9 GKMh    10 isZb    11 KJ4E    12 tvoC"
    numbers = keywords.picked(RECOVERY_KEY)
    assert len(set(numbers)) == 2 and all(1 <= number <= 12 for number in numbers)
    assert keywords.is_copied(RECOVERY_KEY, [1, 12], " EsTE  tvoC ")
    assert not keywords.is_copied(RECOVERY_KEY, [1, 12], "este tvoC")
    assert not keywords.is_copied(RECOVERY_KEY, [1, 12], "tvoC EsTE")
    assert not keywords.is_copied(RECOVERY_KEY, [1, 12], "")


def test_how_good_a_password_is():
    assert keywords.strength("") == ""
    assert keywords.strength("password1").startswith("Too weak.")
    assert keywords.strength("alice.liddell.1865", "alice.liddell").startswith("Too weak.")
    assert keywords.strength("a rather different password") == "Good: not to be guessed."


# Rooms by what people type.


def room(end: str, *members: UserId, kind="direct") -> Room:
    return Room(
        RoomId(f"019ab0c4-0000-7000-8000-0000000000{end}"), kind, 1, 0, tuple(Member(m, "", "member") for m in members)
    )


def test_a_room_is_meant_by_name_or_by_the_end_of_its_id():
    names = Names(SignedIn(ME, "alice", PHONE, "phone", Tokens("", 0, "", 0)), {BOB: "bob", CAROL: "carol"})
    with_bob, with_carol, group = room("01", ME, BOB), room("02", ME, CAROL), room("13", ME, BOB, CAROL, kind="group")
    rooms = [with_bob, with_carol, group]
    for text in ("bob", "@Bob ", "#000000000001", with_bob.id, with_bob.id.upper()):
        assert room_meant(text, rooms, names, ME) is with_bob
    assert room_meant(short_id(group.id), rooms, names, ME) is group
    assert room_meant("#0000", rooms, names, ME) is None  # ends like none
    assert room_meant("#", rooms, names, ME) is None
    assert room_meant("dave", rooms, names, ME) is None
    assert is_room_name("#12") and is_room_name(group.id) and not is_room_name("bob")


def test_a_title_names_as_many_as_fit():
    assert title(["bob", "carol", "dave"]) == "bob, carol, dave"
    assert title(["bob", "carol", "dave"], 13) == "bob, carol +1"
    assert title(["bob", "carol", "dave"], 7) == "bob +2"
    assert title(["a-rather-long-name", "bob"], 9) == "a-rat… +1"
    assert title([]) == "only you"
    assert room_title(["bob"], direct=True) == "bob"
    assert room_title(["bob"], direct=False) == "Group: bob"  # of two, and yet not what is said to bob alone
    assert room_title(["bob", "carol", "dave"], 14, direct=False) == "Group: bob +2"


def test_nobody_is_called_by_something_that_speaks_to_the_terminal():
    names = Names(SignedIn(ME, "ali\x1bce", PHONE, "phone", Tokens("", 0, "", 0)), {BOB: "b\u202eob\n"})
    assert (names[ME], names[BOB], names[CAROL]) == ("ali␛ce", "bob", "user 00cc")


def test_the_first_name_of_each_stays_and_another_one_is_told_of():
    """A server gives two users each other's name."""
    names = Names(SignedIn(ME, "alice", PHONE, "phone", Tokens("", 0, "", 0)), {BOB: "bob"})
    told = []
    names.on_disputed = lambda user: told.append(names[user])
    told_first = Room(RoomId("r"), "group", 1, 0, (Member(BOB, "bob", "owner"), Member(CAROL, "carol", "member")))
    names.learn([told_first])
    assert (names[BOB], names[CAROL], told) == ("bob", "carol", [])

    swapped = replace(told_first, members=(Member(BOB, "carol", "owner"), Member(CAROL, "bob", "member")))
    for _ in range(2):
        names.learn([swapped])
    assert (names[BOB], names[CAROL]) == (f"bob#{BOB[-8:]}", f"carol#{CAROL[-8:]}")
    assert told == [names[BOB], names[CAROL]]
    assert (names.user("bob"), names.user(names[CAROL])) == (BOB, CAROL)
    assert names.first == {ME: "alice", BOB: "bob", CAROL: "carol"}


class Lying:
    """A server that names one user whoever is asked for."""

    async def find_user(self, name):
        return BOB


async def test_nobody_is_found_under_another_name_than_the_first():
    names = Names(SignedIn(ME, "alice", PHONE, "phone", Tokens("", 0, "", 0)), {BOB: "bob"})
    with pytest.raises(NotDone, match="the server calls bob carol now"):
        await user_called(Lying(), names, "carol")
    assert await user_called(Lying(), names, "Bob") == BOB


def test_nobody_is_shown_under_a_name_that_somebody_else_has():
    names = Names(SignedIn(ME, "alice", PHONE, "phone", Tokens("", 0, "", 0)), {BOB: "bob", CAROL: "bob"})
    assert (names[BOB], names[CAROL]) == (f"bob#{BOB[-8:]}", f"bob#{CAROL[-8:]}")
    assert names.user("bob") == BOB


# Places and secrets.


def test_a_profile_is_a_folder_of_its_own(tmp_path):
    found = place.find({"XDG_DATA_HOME": str(tmp_path)}, profile="work", store=None, url=None)
    assert (found.store, found.url) == (tmp_path / "letterlock" / "work" / "device.db", place.DEFAULT_URL)
    found.prepare()
    replace(found, url="https://chat.example.org").keep()
    again = place.find({"XDG_DATA_HOME": str(tmp_path)}, profile="work", store=None, url=None)
    assert again.url == "https://chat.example.org"
    asked = {"XDG_DATA_HOME": str(tmp_path), "LETTERLOCK_URL": "http://localhost:1", "LETTERLOCK_PROFILE": "work"}
    assert place.find(asked, profile=None, store=None, url=None).url == "http://localhost:1"
    assert place.find(asked, profile=None, store=None, url="chat.example.net/").url == "https://chat.example.net"
    assert place.find({"XDG_DATA_HOME": "relative"}, profile=None, store=None, url=None).store.is_absolute()


def test_what_is_kept_beside_the_store_may_be_damaged(tmp_path):
    here = place.Place(tmp_path / "device.db", "http://localhost")
    for damaged in ("", "[]", '{"url": 7}', "\x00"):
        here.notes.write_text(damaged)
        here.names.write_text(damaged)
        assert place.find({}, profile=None, store=str(here.store), url=None).url == place.DEFAULT_URL
        assert here.kept_names() in ({}, {"url": "7"})
    here.keep_names({BOB: "bob"})
    assert here.kept_names() == {BOB: "bob"}


@pytest.mark.parametrize("profile", ["..", "../x", "a/b", "-x", "x" * 65, "a\x00b"])
def test_a_profile_leads_nowhere_else(profile):
    with pytest.raises(WrongPlace):
        place.find({}, profile=profile, store=None, url=None)


@pytest.mark.parametrize(
    "url", ["ftp://x", "http://", "https://user@host", "http://[::1", "http://x:notaport", "https://x?y"]
)
def test_what_is_no_address_is_not_taken(url):
    with pytest.raises(WrongPlace):
        place.checked_url(url)


@pytest.mark.parametrize(
    ("url", "is_open"),
    [("http://127.0.0.1:8000", False), ("http://localhost", False), ("http://[::1]:80", False), ("https://x.org", False),
     ("http://192.168.1.7", True), ("http://x.org", True)],
)  # fmt: skip
def test_plain_http_to_another_machine_is_said(url, is_open):
    assert place.is_in_the_open(url) is is_open


def test_secrets_come_from_files_and_standard_input(tmp_path):
    file = tmp_path / "secret"
    file.write_text("correct horse\r\nnot this\n")
    assert secrets.read("password", str(file)) == "correct horse"
    lines = io.StringIO("one\ntwo\n")
    assert [secrets.read("password", "-", stdin=lines) for _ in "ab"] == ["one", "two"]
    for wrong in (str(tmp_path / "none"), str(tmp_path)):
        with pytest.raises(WrongPlace):
            secrets.read("password", wrong)
    with pytest.raises(WrongPlace, match="there is no password"):
        secrets.read("password", "-", stdin=lines)
    file.write_bytes(b"\xff\n")
    with pytest.raises(WrongPlace, match="not text"):
        secrets.read("password", str(file))


def test_no_secret_is_made_that_cannot_be_kept(tmp_path):
    file = tmp_path / "key"
    with pytest.raises(RuntimeError), secrets.handed_over(str(file)):
        raise RuntimeError
    assert not file.exists()
    with secrets.handed_over(str(file)) as hand_over:
        hand_over("secret")
    assert (file.read_text(), file.stat().st_mode & 0o777) == ("secret\n", 0o600)
    with pytest.raises(WrongPlace), secrets.handed_over(str(file)):
        os.abort()  # never gets here
