"""Logs for machines: one JSON object per line, with ids, and never a body, a token or a password."""

import base64
import json
import logging
import secrets
import signal
import sys

import pytest

from config.logs import JsonLines
from tests.cast import Cast, b64, until
from tests.metrics.scrape import Scrape

TOKEN = secrets.token_hex(16)


def line(**fields):
    """What is written for a record."""
    record = logging.makeLogRecord(
        {"name": "letterlock", "levelname": "INFO", "msg": "one %s", "args": ("thing",), **fields}
    )
    text = JsonLines("web-1").format(record)
    assert "\n" not in text
    return json.loads(text)


def test_a_line_has_what_it_needs_to_be_found():
    found = line(created=1_795_385_284.5, messages=["a", "b"], seconds=0.25)

    assert found.pop("pid") > 0
    assert found == {
        "time": "2026-11-22T22:08:04.500+00:00",
        "level": "INFO",
        "logger": "letterlock",
        "process": "web-1",
        "message": "one thing",
        "extra": {"messages": ["a", "b"], "seconds": 0.25},
    }


def test_an_exception_is_one_field():
    try:
        raise KeyError("room")
    except KeyError:
        found = line(exc_info=sys.exc_info())

    assert found["exception"].startswith("Traceback")
    assert found["exception"].endswith("KeyError: 'room'")


@pytest.mark.parametrize("odd", ["\ud800", "a\nb\u2028c", b"\xff", object(), {("a", 1): 2}, {1, 2}])
def test_nothing_that_is_logged_can_break_the_line(odd):
    assert line(msg="%r", args=(odd,), odd=odd)["message"]


@pytest.fixture(scope="module")
def logging_system():
    """A system that tells all it can."""
    from tests.services import services

    environment = {
        "LOG_LEVEL": "DEBUG",
        "LOG_FORMAT": "json",
        "METRICS_TOKEN": TOKEN,
        "SECRET_KEY": secrets.token_hex(32),
    }
    running = services().system("logging", web=2, workers=1, beat=True, environment=environment)
    yield running
    running.stop()


def logs(system):
    """The lines of all programs, by part."""
    names = [name for name in system.parts if name.startswith(("web", "worker", "beat"))]
    return {name: (system.var / "log" / f"{name}.log").read_text().splitlines() for name in names}


def spellings(secret):
    """How this could be written down."""
    raw = secret if isinstance(secret, bytes) else secret.encode()
    encoded = {b64(raw), base64.b64encode(raw).decode().rstrip("="), raw.hex(), repr(raw)[2:-1]}
    return encoded | ({secret} if isinstance(secret, str) else set())


async def traffic(system):
    """Everything that people do with what is theirs alone, well and badly; answers that."""
    body, other, patience = secrets.token_bytes(30), secrets.token_bytes(30), []
    async with Cast(system.url) as cast:
        alice, bob = await cast.people("alice", "bob")
        laptop = await bob.new_device()
        room = await alice.direct_room(bob)
        tokens = [device.access for device in (alice.phone, bob.phone, laptop)]
        tokens += [device.session["refresh"] for device in (alice.phone, bob.phone, laptop)]
        async with bob.phone.socket(url=system.urls[1]) as socket, alice.phone.socket() as sending:
            accepted = await alice.sends(room, body)
            await sending.send("send", messages=[alice.phone.message(room, other)])
            patience = await socket.messages(2)
            # Badly: forms that are refused, with secrets inside.
            await sending.send("send", messages=[alice.phone.message(room, other, epoch=9)])
            await sending.send("hello", token=alice.phone.access, nonsense=b64(body))
            await socket.connection.send(json.dumps({"type": "hello", "token": bob.phone.access}) + b64(body))
            await socket.closed()
        await alice.phone.http.post("messages", json={"messages": b64(body), "password": alice.password})
        await alice.phone.http.post(
            "messages", content=b"{" + body.hex().encode(), headers={"Content-Type": "application/json"}
        )
        await cast.http("not." + alice.phone.access).get("rooms")
        await cast.http().post(
            "accounts/sign-in", json={"username": bob.username, "password": alice.password, "device_name": "x"}
        )
        await cast.http().post("accounts/refresh", json={"refresh": tokens[3] + "x"})
        await bob.phone.refreshes()
        tokens += [bob.phone.access, bob.phone.session["refresh"]]
        # And when things break.
        pid = system.parts["worker-1"].pid
        system.kill("worker-1", signal.SIGKILL)
        system.stop_part("postgres")
        assert (await alice.phone.tries(room, other)).status_code == 503
        system.start_part("postgres")
        system.wait_ready("postgres")
        system.wait_restarted("worker-1", pid)
        async with laptop.socket() as socket:
            await socket.messages(2)
    return accepted["id"], [entry["id"] for entry in patience], [
        body, other, alice.password, bob.password, *tokens, TOKEN, system.environment["SECRET_KEY"],
        system.database_url.split(":")[2].split("@")[0], system.valkey_url.split(":")[2].split("@")[0],
    ]  # fmt: skip


async def test_every_line_is_an_object_and_tells_no_secret(logging_system):
    first, messages, secret = await traffic(logging_system)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    assert Scrape.of(logging_system.url, **headers)["letterlock_messages_accepted_total"] >= 2
    await until(lambda: any("drained" in line for line in logs(logging_system)["worker-1"]))

    found = logs(logging_system)
    for name, lines in found.items():
        assert lines, name
        for text in lines:
            assert {"time", "level", "logger", "process", "message"} <= json.loads(text).keys(), (name, text)
            assert json.loads(text)["process"] == name

    for path in (logging_system.var / "log").iterdir():
        whole = path.read_text()
        for each in secret:
            for spelling in spellings(each):
                assert spelling not in whole, (path, [text for text in whole.splitlines() if spelling in text][:3])

    # What can be followed is one message's way: committed, drained, pushed.
    def says(name, word):
        lines = [json.loads(text) for text in found[name] if f'"message": "{word}"' in text]
        return {id for each in lines for id in each["extra"].get("accepted") or each["extra"].get("messages", ())}

    assert first in messages
    assert set(messages) <= says("web-1", "committed")
    assert set(messages) <= says("worker-1", "drained")
    assert set(messages) <= says("web-2", "pushed")


def test_a_client_that_hangs_up_is_no_fault_of_ours():
    """Django leaves the task behind that noticed it, and asyncio complains of that."""
    import asyncio
    import logging
    import sys

    from django.core.exceptions import RequestAborted

    from config.logs import HungUp

    def record_of(error):
        try:
            raise error
        except type(error):
            return logging.makeLogRecord({"name": "asyncio", "msg": "never retrieved", "exc_info": sys.exc_info()})

    assert not HungUp().filter(record_of(RequestAborted()))
    assert HungUp().filter(record_of(asyncio.InvalidStateError()))
    assert HungUp().filter(logging.makeLogRecord({"msg": "plain"}))
