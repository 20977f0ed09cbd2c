"""`manage.py up`: starts everything, says so, watches over it, and leaves nothing behind."""

import asyncio
import signal
import socket
import stat
import time
from contextlib import AsyncExitStack

import httpx
import psutil
import pytest

from config.supervisor import ports
from delivery.frames import CloseCode
from tests.cast import Cast, until
from tests.up.running import Up, commands, files_below, gone, living


@pytest.fixture(scope="module")
def up():
    """One system for the tests that leave it as they found it."""
    with Up("shared") as running:
        yield running.ready()


def answers_200(url):
    try:
        return httpx.get(url, timeout=2).status_code == 200
    except httpx.HTTPError:
        return False


class TestRunning:
    def test_when_it_says_ready_it_is(self, up):
        for url in (f"{up.url}/readyz", f"{up.url}/healthz", f"{up.url}/api/v1/limits"):
            assert httpx.get(url).status_code == 200

    def test_it_shows_each_part_with_its_log(self, up):
        shown = "\n".join(up.lines)

        for part in ("postgres", "valkey", "web-1", "worker-1", "beat"):
            assert part in shown
            assert (up.var / "log" / f"{part}.log").exists()

    def test_everything_listens_on_loopback_only(self, up):
        listening = [
            connection.laddr.ip
            for connections in living(up.everybody(), lambda process: process.net_connections("inet"))
            for connection in connections
            if connection.status == psutil.CONN_LISTEN
        ]

        assert len(listening) >= 3
        assert set(listening) == {"127.0.0.1"}

    def test_secrets_are_for_the_owner_alone(self, up):
        secrets = files_below(up.var / "secrets") + [up.var / "run" / "system.json"]

        assert {path.name for path in secrets} >= {"secret_key", "postgres", "valkey", "system.json"}
        assert {stat.S_IMODE(path.stat().st_mode) for path in secrets} == {0o600}

    def test_no_password_is_on_a_command_line_or_in_the_output(self, up):
        secrets = [path.read_text() for path in files_below(up.var / "secrets")]
        shown = "\n".join(up.lines) + "\n".join(command for _, command in commands(up.everybody()))

        assert not [secret for secret in secrets if secret in shown]

    def test_the_servers_want_their_passwords(self, up):
        where = next(line for line in up.lines if "valkey " in line).split("│")[3].strip()
        host, _, port = where.partition("/")[0].partition(":")
        with socket.create_connection((host, int(port))) as stranger:
            stranger.sendall(b"PING\r\n")
            assert stranger.recv(100).startswith(b"-NOAUTH")

    def test_other_commands_find_it_by_themselves(self, up):
        assert "0" in up.manage("shell", "-v", "0", "-c", "from chat.models import Room; print(Room.objects.count())")

    def test_a_second_one_on_the_same_data_says_so(self, up):
        with Up("shared") as second:
            assert str(up.process.pid) in second.says("already runs", 20)
            assert second.process.wait(20) == 1

        assert answers_200(f"{up.url}/readyz")

    def test_a_taken_port_says_so(self, up):
        with Up("elsewhere", port=up.port) as other:
            assert str(up.port) in other.says("is taken", 20)
            assert other.process.wait(20) == 1

    @pytest.mark.parametrize("part", ["web", "worker", "beat", "valkey", "postgres"])
    async def test_a_part_that_dies_is_started_again(self, up, part):
        before = up.family()[part]

        before.kill()

        await until(lambda: up.family().get(part, before).pid != before.pid, f"another {part}")
        await until(lambda: answers_200(f"{up.url}/readyz"), "ready again")
        up.says(f"{'worker-1' if part == 'worker' else 'web-1' if part == 'web' else part} ended (signal SIGKILL)", 5)


class TestEnding:
    def test_within_10_seconds_nothing_is_left(self):
        with Up("ending", again=True) as up:
            started = up.ready().everybody()

            assert up.stop() < 10
            assert up.process.returncode == 0
            assert gone(started, 0.5) == []
            assert ports.is_free("127.0.0.1", up.port)
            assert not (up.var / "run" / "system.json").exists()

    def test_also_when_a_part_is_frozen(self):
        with Up("frozen", again=True) as up:
            started = up.ready().everybody()
            for part in ("web", "worker", "postgres"):
                up.family()[part].suspend()

            assert up.stop() < 10
            assert gone(started, 0.5) == []

    def test_when_it_is_killed_itself_nothing_is_left_and_it_comes_up_again(self):
        with Up("killed", again=True) as up:
            started = up.ready().everybody()

            up.stop(signal.SIGKILL)

            assert gone(started, 10) == []
        with Up("killed") as again:
            again.ready()

    def test_while_it_still_starts(self):
        with Up("early") as up:
            up.process.poll()
            assert up.stop() < 10


class TestSeveral:
    def test_each_web_process_is_a_host_on_a_port_of_its_own(self):
        """Named after its machine, where there are several: else two would have one name."""
        with Up("several", "--web", "2", "--workers", "2", again=True, HOST_NAME="berlin") as up:
            up.ready()
            hosts = [httpx.get(f"http://127.0.0.1:{up.port + number}/readyz").json()["host"] for number in (0, 1)]

            assert hosts == ["berlin-1", "berlin-2"]
            started = up.everybody()
            assert sum("manage.py worker" in command for _, command in commands(started)) == 2

            assert up.stop(signal.SIGINT) < 10
            assert gone(started, 0.5) == []

    async def test_when_it_ends_whoever_is_connected_is_told_first_and_has_time_to_go(self):
        with Up("telling", "--web", "2", again=True) as up:
            started = up.ready().everybody()
            urls = [f"http://127.0.0.1:{up.port + number}" for number in (0, 1)]
            async with Cast(up.url) as cast, AsyncExitStack() as stack:
                sockets = [
                    await stack.enter_async_context((await cast.person(f"user{n}")).phone.socket(url=urls[n % 2]))
                    for n in range(10)
                ]
                ending = asyncio.create_task(asyncio.to_thread(up.stop))
                await asyncio.gather(*map(told_and_hung_up, sockets))

                assert await ending < 10
            assert up.process.returncode == 0
            assert gone(started, 0.5) == []


async def told_and_hung_up(socket):
    """`reconnect` comes, and the close that it announces no earlier than it says."""
    hint = await socket.expect("reconnect")
    told = time.monotonic()
    assert hint["after_ms"] > 0
    assert await socket.closed() == CloseCode.RESTART
    assert time.monotonic() - told >= hint["after_ms"] / 1000
