"""Letterlock in scripts: one command, its output, its exit status; as a process of its own, through the file that people start."""

import asyncio
import json
import os
import secrets
import signal
from argparse import Namespace
from pathlib import Path

import pytest

from accounts import suspension
from client import FLOOR, Client, Refused, State
from client.cli.names import Names
from client.cli.place import find
from client.cli.scripted import Reader
from config.supervisor.system import CHECKOUT
from tests.cast import until
from tests.cli.conftest import PASSWORD
from tests.webpush.conftest import on_record

LETTERLOCK = CHECKOUT / "letterlock"


def _interruptible() -> None:
    """Where tests run in the background, what they start would ignore Ctrl+C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Shell:
    """A shell of somebody's, with a home of its own."""

    def __init__(self, url: str, home: Path) -> None:
        self.url, self.home = url, home
        home.mkdir(exist_ok=True)
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("LETTERLOCK")},
            "HOME": str(home), "XDG_DATA_HOME": str(home / "data"), "LETTERLOCK_URL": url, "COLUMNS": "100",
        }  # fmt: skip

    async def start(self, *arguments: str, **environment: str) -> asyncio.subprocess.Process:
        """Start a command."""
        pipe = asyncio.subprocess.PIPE
        return await asyncio.create_subprocess_exec(
            str(LETTERLOCK), *arguments, stdin=pipe, stdout=pipe, stderr=pipe, cwd=self.home,
            env=self.environment | environment, preexec_fn=_interruptible,
        )  # fmt: skip

    async def tries(self, *arguments: str, stdin: str = "", **environment: str) -> tuple[int, str, str]:
        """Run a command: its exit status, output and errors."""
        process = await self.start(*arguments, **environment)
        out, err = await process.communicate(stdin.encode("utf-8", "surrogateescape"))
        return process.returncode, out.decode(), err.decode()

    async def runs(self, *arguments: str, stdin: str = "") -> str:
        """Run a command that succeeds: its output."""
        status, out, err = await self.tries(*arguments, stdin=stdin)
        assert status == 0, err
        return out


async def signs_up(shell: Shell, name: str) -> str:
    """The user name."""
    username = f"{name}.{secrets.token_hex(4)}"
    await shell.runs("sign-up", username, "--password-file", "-", "--device-name", "shell", stdin=f"{PASSWORD}\n")
    return username


async def signed_up(url: str, folder: Path, name: str) -> tuple[Shell, str]:
    """As `sign-up` leaves it, without a process, and with the least of Argon2id."""
    shell, username = Shell(url, folder / name), f"{name}.{secrets.token_hex(4)}"
    place = find(shell.environment, profile=None, store=None, url=url)
    place.prepare()
    async with Client(url, place.store, strength=FLOOR) as client:
        await client.register(username, PASSWORD, device_name="shell")
        client.keys.confirm_recovery_key()
    place.keep()
    return shell, username


@pytest.fixture
async def two(system, tmp_path):
    return await asyncio.gather(*(signed_up(system.url, tmp_path, name) for name in ("alice", "bob")))


def device_of(shell: Shell) -> Client:
    """The device of somebody's shell, at hand."""
    return Client(shell.url, shell.home / "data" / "letterlock" / "default" / "device.db")


async def receipts_of(shell: Shell) -> set[str]:
    """What others have said of the only message on somebody's device."""
    async with device_of(shell) as client:
        (room,) = await client.rooms()
        await client.fetch_receipts(room.id)
        await client.fetch()
        (message,) = client.messages(room.id)
        return set(client.receipts(message.id).values())


def objects(output: str) -> list[dict]:
    return [json.loads(line) for line in output.splitlines()]


async def test_alice_sends_and_bob_reads(two):
    (alice, alices), (bob, bobs) = two
    assert await alice.runs("send", bobs, "hello") == ""
    await alice.runs("send", f"@{bobs.upper()}", stdin="two\nlines\n")

    assert f"2  {alices}" in await bob.runs("rooms")
    lines = (await bob.runs("read")).splitlines()
    assert [line.split(" ", 2)[2] for line in lines[:2]] == [f"{alices}: hello", f"{alices}: two"]
    assert lines[2] == "    lines"
    assert await bob.runs("read") == ""  # read is read
    assert len((await bob.runs("read", alices, "--last", "1")).splitlines()) == 2


async def test_what_was_read_is_told_at_once(two):
    (alice, alices), (bob, bobs) = two
    await alice.runs("send", bobs, "hello")
    await bob.runs("read")
    assert await receipts_of(alice) == {"read"}


async def test_what_is_here_is_acknowledged_at_once(two):
    (alice, _), (bob, bobs) = two
    await alice.runs("send", bobs, "hello")
    await bob.runs("rooms")
    assert await receipts_of(alice) == {"delivered"}


async def test_json_is_for_programs(two):
    (alice, alices), (bob, bobs) = two
    (sent,) = objects(await alice.runs("send", bobs, "hello \x1b[31m\u202e", "--json"))
    (room,) = objects(await bob.runs("rooms", "--json"))
    (message,) = objects(output := await bob.runs("read", "--json", "--peek"))

    assert output.isascii() and "\x1b" not in output
    assert (message["id"], message["room"], message["text"]) == (sent["id"], room["room"], "hello \x1b[31m\u202e")
    assert (message["username"], message["mine"], message["unread"], message["problem"]) == (alices, False, True, None)
    assert (room["kind"], room["unread"]) == ("direct", 1)
    assert len(objects(await bob.runs("--json", "read"))) == 1


async def test_what_is_printed_cannot_speak_to_the_terminal(two):
    (alice, _), (bob, bobs) = two
    await alice.runs("send", bobs, "\x1b]0;owned\x07\x9b2J\rover")
    out = await bob.runs("read")
    assert not any(character in out for character in "\x1b\x07\x9b\r")


async def test_follow_prints_what_comes(two):
    (alice, alices), (bob, bobs) = two
    await alice.runs("send", bobs, "one")
    reader = await bob.start("read", alices, "--follow", "--json")
    first = json.loads(await asyncio.wait_for(reader.stdout.readline(), 30))
    await alice.runs("send", bobs, "two")
    second = json.loads(await asyncio.wait_for(reader.stdout.readline(), 30))
    assert [first["text"], second["text"]] == ["one", "two"]

    status, _, err = await bob.tries("rooms")
    assert (status, err) == (
        6,
        "letterlock: this profile is open in another letterlock: close that one, or use another --profile\n",
    )
    reader.send_signal(signal.SIGINT)
    assert await asyncio.wait_for(reader.wait(), 10) == 130


async def test_without_a_server_it_is_kept_and_goes_later(two):
    (alice, alices), (bob, bobs) = two
    await alice.runs("send", bobs, "first")
    away = ("--url", "http://127.0.0.1:9", "--timeout", "1")

    status, _, err = await alice.tries(*away, "send", bobs, "in the tunnel")
    assert (status, err) == (4, "letterlock: kept on this device; it goes as soon as letterlock is connected\n")
    await alice.runs("send", bobs, "later", "--later")
    assert json.loads(await alice.runs("status", "--json"))["waiting"] == 2
    await alice.runs("send", bobs, "last")
    texts = [message["text"] for message in objects(await bob.runs("read", "--json"))]
    assert texts == ["first", "in the tunnel", "later", "last"]


@pytest.mark.parametrize("command", ["read", "rooms", "contacts"])
async def test_whatever_connects_sends_what_waits(two, command):
    (alice, _), (bob, bobs) = two
    room = (await alice.runs("group", "create", bobs)).strip()  # its keys are made when somebody writes
    await alice.runs("send", room, "in the tunnel", "--later")

    await alice.runs(command)

    assert json.loads(await alice.runs("status", "--json"))["waiting"] == 0
    assert [message["text"] for message in objects(await bob.runs("read", "--json"))] == ["in the tunnel"]


async def test_what_waited_and_is_refused_is_told(two):
    (alice, _), (bob, bobs) = two
    room = (await alice.runs("group", "create", bobs)).strip()
    await alice.runs("send", room, "welcome")
    await bob.runs("read")
    await bob.runs("send", room, "thanks", "--later")
    await alice.runs("group", "remove", room, bobs)

    status, _, err = await bob.tries("rooms")

    assert (status, err) == (
        0,
        "letterlock: what waited was not sent: there is no such thing, or it is not yours to see\n",
    )


@pytest.mark.parametrize("command", ["read", "rooms", "contacts"])
async def test_without_a_server_it_shows_what_is_here_and_says_so(two, command):
    (alice, alices), (bob, bobs) = two
    await alice.runs("contacts", "add", bobs)
    await alice.runs("send", bobs, "hello")
    await bob.runs("rooms")

    status, out, err = await bob.tries("--url", "http://127.0.0.1:9", "--timeout", "1", command)

    assert status == 4 and alices in out
    assert err.startswith("letterlock: the server cannot be reached, or does not answer in time: this is what is on")


async def test_another_address_is_remembered_once_it_was_good(two, system):
    (alice, _), (_, bobs) = two
    other = system.urls[1]
    await alice.runs("send", bobs, "hello")

    async def kept() -> str:
        _, out, _ = await alice.tries("status", "--json", LETTERLOCK_URL="")
        return json.loads(out)["server"]

    assert await kept() == system.url
    assert (await alice.tries("--url", "http://127.0.0.1:9", "--timeout", "1", "rooms"))[0] == 4
    await alice.runs("--url", other, "status")
    await alice.runs("--url", other, "send", bobs, "later", "--later")
    assert await kept() == system.url  # it was never asked

    await alice.runs("--url", other, "rooms")
    assert await kept() == other
    await alice.runs("--url", system.url, "devices")
    assert await kept() == system.url


async def test_whoever_is_suspended_is_told_so_and_stays_signed_in(two):
    (alice, alices), (bob, bobs) = two
    await alice.runs("send", bobs, "hello")
    async with device_of(bob) as client:
        user = client.me.user
    follows = await bob.start("read", "--follow")
    await asyncio.wait_for(follows.stdout.readline(), 30)
    await alice.runs("send", bobs, "and on")
    await asyncio.wait_for(follows.stdout.readline(), 30)
    said = "letterlock: this account is suspended by the server's staff\n"

    await on_record(lambda: suspension.suspend(user))
    _, err = await asyncio.wait_for(follows.communicate(), 30)
    assert (follows.returncode, err.decode()) == (1, said)
    for command in (["send", alices, "hi"], ["read"], ["rooms"], ["contacts"], ["devices"]):
        status, _, err = await bob.tries(*command)
        assert (command, status, err) == (command, 1, said)

    await on_record(lambda: suspension.restore(user))
    await until_it_runs(bob, "send", alices, "back again")
    assert "back again" in await alice.runs("read")


async def test_whoever_was_suspended_just_before_following_is_told_too(two):
    _, (bob, _) = two
    async with device_of(bob) as client:
        client.connect()
        await client.caught_up()
        await on_record(lambda: suspension.suspend(client.me.user))
        await until(lambda: client.state is State.STOPPED, "the socket to be closed for it")
        reader = Reader(client, [], Names(client.me, {}), Namespace(room=None, peek=True, json=False))
        with pytest.raises(Refused, match="suspended"):
            await asyncio.wait_for(reader.follow(client.stored), 5)


async def until_it_runs(shell: Shell, *arguments: str) -> None:
    """A process hears of a change in accounts within two seconds."""
    async with asyncio.timeout(30):
        while (await shell.tries(*arguments))[0] != 0:
            pass


async def test_groups(two):
    (alice, alices), (bob, bobs) = two
    room = (await alice.runs("group", "create", bobs)).strip()
    await alice.runs("send", bobs, "to you alone")
    titles = dict(line.split(maxsplit=1) for line in (await alice.runs("rooms")).splitlines())
    assert titles.pop(room) == f"Group: {bobs}" and list(titles.values()) == [bobs]
    await alice.runs("send", room, "welcome")
    assert (await bob.runs("read")).endswith(f"{room} {alices}: welcome\n")
    await alice.runs("group", "role", room, bobs, "admin")
    assert {line.split()[0]: line.split()[1] for line in (await bob.runs("group", "members", room)).splitlines()} == {
        alices: "owner", bobs: "admin",
    }  # fmt: skip
    await bob.runs("group", "leave", room)
    assert (await bob.tries("send", room, "?"))[0] == 1


async def test_contacts_and_blocks(two):
    (alice, alices), (bob, bobs) = two
    assert await alice.runs("contacts", "add", bobs) == f"{bobs}: you have asked\n"
    assert "asks to be your contact" in await bob.runs("contacts")
    assert await bob.runs("contacts", "accept", alices) == f"{alices}: contact\n"
    assert await bob.runs("contacts", "block", alices) == f"{alices}: contact, blocked by you\n"
    status, _, err = await bob.tries("send", alices, "no")
    assert (status, err) == (1, "letterlock: you block this user\n")
    assert [(c["username"], c["blocked"]) for c in objects(await bob.runs("contacts", "--json"))] == [(alices, True)]
    await bob.runs("contacts", "unblock", alices)
    await bob.runs("send", alices, "yes")


async def test_a_script_decides_nothing_that_somebody_pressed_on_the_screen(two, tmp_path):
    (alice, alices), (bob, bobs) = two
    tablet = Shell(alice.url, tmp_path / "tablet")
    await tablet.runs("sign-in", alices, "--password-file", "-", stdin=PASSWORD)
    await alice.runs("contacts", "block", bobs)
    await tablet.runs("contacts")
    async with device_of(tablet) as client:
        client.connections.unblock(bobs)  # pressed offline
    await alice.runs("contacts", "unblock", bobs)
    await alice.runs("contacts", "block", bobs)

    await tablet.runs("rooms")

    assert (await tablet.runs("contacts")).strip().endswith("blocked by you")
    async with device_of(tablet) as client:
        assert [change.action for change in client.connections.waiting()] == ["unblock"]


async def test_a_block_is_lifted_when_every_device_knows_it(restricted, tmp_path):
    alice, alices = await signed_up(restricted.url, tmp_path, "alice")
    _, bobs = await signed_up(restricted.url, tmp_path, "bob")
    tablet = Shell(alice.url, tmp_path / "tablet")
    await tablet.runs("sign-in", alices, "--password-file", "-", "--device-name", "tablet", stdin=PASSWORD)
    await tablet.runs("rooms")
    await alice.runs("contacts", "block", bobs)

    status, _, err = await alice.tries("contacts", "unblock", bobs)

    assert status == 5
    assert f"{bobs} stays blocked for now" in err and "“tablet”, last seen" in err and "--yes" in err
    waiting = await alice.start("contacts", "unblock", bobs, "--yes")
    await tablet.runs("contacts")
    out, _ = await asyncio.wait_for(waiting.communicate(), 60)
    assert (waiting.returncode, out.decode()) == (0, f"{bobs}: no contact\n")


async def test_devices(two, tmp_path):
    (alice, alices), _ = two
    tablet = Shell(alice.url, tmp_path / "tablet")
    await tablet.runs("sign-in", alices, "--password-file", "-", "--device-name", "tablet", stdin=PASSWORD)
    names = [device["name"] for device in objects(await alice.runs("devices", "--json"))]
    assert sorted(names) == ["shell", "tablet"]
    await alice.runs("devices", "rename", "tablet", "old tablet")
    status, _, err = await alice.tries("devices", "revoke", "old tablet", "--password-file", "-", stdin="wrong")
    assert (status, err) == (7, "letterlock: that does not open your keys\n")
    await alice.runs("devices", "revoke", "old tablet", "--password-file", "-", stdin=PASSWORD)
    status, _, err = await tablet.tries("rooms")
    assert (status, err) == (3, "letterlock: this device is signed out\n")
    assert (await alice.tries("devices", "revoke", "nothing like it"))[0] == 1


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["rooms"], 3, "there is no device in this profile yet: `sign-up` or `sign-in` make one"),
        (["send", "bob", "hi"], 3, "there is no device in this profile yet"),
        (["status"], 3, "there is no device in this profile yet"),
        (["devices"], 3, "there is no device in this profile yet"),
        (["--profile", "../../etc", "rooms"], 2, "a profile's name"),
        (["--url", "ftp://x", "rooms"], 2, "no address of a server"),
        (["sign-in", "alice"], 2, "there is no terminal to ask for the password"),
        (["sign-in", "alice", "--password-file", "/does/not/exist"], 2, "/does/not/exist: No such file"),
        (["sign-in", "alice", "--password", "secret"], 2, "unrecognized arguments"),
        (["nonsense"], 2, "invalid choice"),
        ([], 2, "there is no terminal: name a command"),
        (["--store", "/", "rooms"], 2, "is a folder"),
    ],
)
async def test_what_is_wrong_is_said_on_standard_error(system, tmp_path, arguments, status, says):
    got, out, err = await Shell(system.url, tmp_path / "home").tries(*arguments)
    assert (got, out) == (status, "")
    assert says in err and "Traceback" not in err


async def test_wrong_passwords_and_unknown_users(two):
    (alice, alices), _ = two
    status, _, err = await alice.tries("--profile", "other", "sign-in", alices, "--password-file", "-", stdin="wrong\n")
    assert (status, err) == (1, "letterlock: user name and password do not belong together\n")
    status, _, err = await alice.tries("send", "nobody.at.all", "x")
    assert (status, err) == (1, "letterlock: there is nobody called nobody.at.all\n")
    status, _, err = await alice.tries("sign-up", "x", "--password-file", "-", stdin="y\n")
    assert status == 1 and "sign out first" in err


async def test_the_recovery_key_is_told_once(system, tmp_path):
    alice, name = Shell(system.url, tmp_path / "alice"), f"alice.{secrets.token_hex(4)}"
    told = await alice.runs("sign-up", name, "--password-file", "-", stdin=PASSWORD)
    assert told.startswith(f"you are {name}\nrecovery key: Es")

    fresh = await alice.runs("recovery-key", "--password-file", "-", "--recovery-key-file", "key.txt", stdin=PASSWORD)
    kept = alice.home / "key.txt"
    assert fresh == "" and kept.stat().st_mode & 0o777 == 0o600
    assert kept.read_text().strip() not in told
    status, _, err = await alice.tries(
        "recovery-key", "--password-file", "-", "--recovery-key-file", "key.txt", stdin=PASSWORD
    )
    assert status == 2 and "File exists" in err

    laptop = Shell(system.url, tmp_path / "laptop")
    old = told.split("recovery key: ")[1]
    status, _, err = await laptop.tries("recover", name, "--recovery-key-file", "-", stdin=old)
    assert status == 1 and "do not belong together" in err
    key = str(kept)
    await laptop.runs(
        "recover", name, "--recovery-key-file", key, "--new-password-file", "-", stdin="another long phrase 77\n"
    )
    status, _, _ = await alice.tries("unlock", "--password-file", "-", stdin=PASSWORD)
    assert status == 0  # nothing is locked, so nothing is asked
    status, _, _ = await alice.tries("password", "--password-file", "-", "--new-password-file", key, stdin=PASSWORD)
    assert status == 7


async def test_passwords_come_from_files_and_are_changed(two, tmp_path):
    (alice, alices), _ = two
    new = "another long phrase 77"
    status, _, err = await alice.tries(
        "password", "--password-file", "-", "--new-password-file", "-", stdin=f"{PASSWORD}\nshort\n"
    )
    assert (status, err.startswith("letterlock: too weak")) == (1, True)
    await alice.runs("password", "--password-file", "-", "--new-password-file", "-", stdin=f"{PASSWORD}\n{new}\n")
    laptop = Shell(alice.url, tmp_path / "laptop")
    assert (await laptop.tries("sign-in", alices, "--password-file", "-", stdin=PASSWORD))[0] == 1
    await laptop.runs("sign-in", alices, "--password-file", "-", stdin=new)


async def test_safety_numbers_are_the_same_on_both_sides(two):
    (alice, alices), (bob, bobs) = two
    (of_alice,) = objects(await alice.runs("safety-number", bobs, "--json"))
    (of_bob,) = objects(await bob.runs("safety-number", alices, "--json"))
    assert of_alice["number"] == of_bob["number"] and len(of_bob["number"]) == 60
    assert (of_alice["verified"], of_alice["held"]) == (False, False)
    shown = await alice.runs("safety-number", bobs, "--verified")
    assert shown.split()[:12] == [of_bob["number"][at : at + 5] for at in range(0, 60, 5)]
    assert shown.endswith("\nverified\n")
    assert (await alice.runs("safety-number", bobs, "--not-verified")).endswith("\nnot verified\n")


async def test_keys_rest_under_a_passphrase(two):
    (alice, _), (_, bobs) = two
    secret = alice.home / "passphrase"
    secret.write_text("open sesame, please\n")
    await alice.runs("passphrase", "--new-passphrase-file", str(secret))

    status, _, err = await alice.tries("rooms")
    assert status == 2 and "no terminal to ask for the passphrase" in err
    status, _, err = await alice.tries("--passphrase-file", "-", "rooms", stdin="open barley")
    assert (status, err) == (7, "letterlock: that does not open your keys\n")
    await alice.runs("--passphrase-file", str(secret), "send", bobs, "hello")
    await alice.runs("--passphrase-file", str(secret), "passphrase", "--none")
    await alice.runs("rooms")


async def test_files_are_the_owners_alone(system, tmp_path):
    alice = Shell(system.url, tmp_path / "alice")
    await signs_up(alice, "alice")
    folder = alice.home / "data" / "letterlock" / "default"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}


async def test_a_link_on_the_path_will_do(system, tmp_path):
    link = tmp_path / "bin" / "ll"
    link.parent.mkdir()
    link.symlink_to(os.path.relpath(LETTERLOCK, link.parent))
    process = await asyncio.create_subprocess_exec(str(link), "--version", cwd="/", stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    assert (process.returncode, out) == (0, b"letterlock 0.1.0\n")


async def test_a_reader_that_has_had_enough_is_no_error(two):
    (alice, alices), (bob, bobs) = two
    for number in range(3):
        await alice.runs("send", bobs, f"{number} " + "x" * 30_000)
    reader = await bob.start("read")
    await reader.stdout.readline()
    reader.stdout._transport.close()
    await until(lambda: reader.returncode is not None)
    assert b"Traceback" not in await reader.stderr.read()
