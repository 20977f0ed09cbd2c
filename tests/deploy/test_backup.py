"""Backing up and restoring as docs/operations.md describes it, with PostgreSQL's own programs, on a system at work."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from config.supervisor import postgres as embedded
from config.supervisor.system import CHECKOUT
from tests.cast import Cast, until
from tests.services import services
from tests.up.conftest import database  # noqa: F401

PROGRAMS = embedded._site_packages() / embedded.FOLDERS[0] / "bin"
SECRET = {"SECRET_KEY": "a key that the restored system must have as well, of 50 characters"}


def postgres(program, *arguments, url):
    """Run one of PostgreSQL's programs against this server."""
    parts = urlsplit(url)
    query = {name: value for name, (value, *_) in parse_qs(parts.query).items()}
    environment = os.environ | {
        "PGHOST": query.get("host", parts.hostname or ""), "PGPORT": query.get("port", str(parts.port)),
        "PGUSER": parts.username, "PGPASSWORD": parts.password,
    }  # fmt: skip
    return subprocess.run([PROGRAMS / program, *arguments], env=environment, check=True, capture_output=True, text=True)


def manage(system, *arguments):
    done = subprocess.run(
        [sys.executable, "manage.py", *arguments], cwd=CHECKOUT, env=system.environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


async def bodies(device):
    page = await device.gets("mailbox", limit=500)
    entries = page["entries"]
    assert [entry["seq"] for entry in entries] == list(range(1, page["last_seq"] + 1))
    return [entry["ciphertext"] for entry in entries if entry["kind"] == "message"]


async def test_a_dump_is_a_moment_of_the_past_and_every_device_begins_there_anew(database, tmp_path):  # noqa: F811
    url = database(services().shared.database_url)
    system = services().system("dumped", beat=False, database_url=url, environment=SECRET)
    async with Cast(system.url) as cast:
        alice, bob = await cast.people("alice", "bob")
        room = await alice.direct_room(bob)
        for number in range(10):
            await alice.sends(room, b"before the dump %d" % number)
        before = await bodies(alice.phone)
        postgres("pg_dump", "--format=custom", f"--file={tmp_path}/dump", urlsplit(url).path.lstrip("/"), url=url)
        for number in range(10):
            await alice.sends(room, b"after it %d" % number)
    system.stop()

    other = database(services().shared.database_url)
    name = urlsplit(other).path.lstrip("/")
    postgres("pg_restore", "--exit-on-error", f"--dbname={name}", f"{tmp_path}/dump", url=other)
    restored = services().system("restored", beat=False, database_url=other, environment=SECRET)
    assert "2 devices" in manage(restored, "restored", "--yes")

    async with Cast(restored.url) as cast:
        async with asyncio.timeout(5):  # the access token of before holds until the process has looked for revocations
            while (await cast.http(alice.phone.access).get("devices")).status_code != 401:
                await asyncio.sleep(0.1)
        for person in (alice, bob):
            person.cast = cast
            await person.new_device()
        assert await bodies(alice.devices[-1]) == before
        async with bob.devices[-1].socket() as socket:
            await alice.devices[-1].sends(room, b"and on it goes")
            arrived = await socket.messages(11)
        assert len({entry["id"] for entry in arrived}) == 11
    restored.stop()


async def test_with_its_log_streamed_a_lost_disk_loses_nothing(private_system, tmp_path):
    """A base backup, and pg_receivewal for what came since: the last message before the disk went is there."""
    system = private_system(web=1, environment=SECRET)
    copy = services().folder / "base-backup"
    log = services().folder / "streamed-log"
    log.mkdir()
    streaming = None
    async with Cast(system.url) as cast:
        alice, bob = await cast.people("alice", "bob")
        room = await alice.direct_room(bob)
        await alice.sends(room, b"before the backup")
        parts = urlsplit(system.database_url)
        query = {name: value for name, (value, *_) in parse_qs(parts.query).items()}
        environment = os.environ | {
            "PGHOST": query["host"], "PGPORT": query["port"], "PGUSER": parts.username, "PGPASSWORD": parts.password,
        }  # fmt: skip
        # What the receiver lacks is kept for it: without a slot the server throws away what a slow one has not begun to read.
        slot = "SELECT pg_create_physical_replication_slot('streamed_log', true)"
        postgres("psql", "-Atc", slot, "letterlock", url=system.database_url)
        receive = [
            PROGRAMS / "pg_receivewal",
            f"--directory={log}",
            "--slot=streamed_log",
            "--synchronous",
            "--no-loop",
        ]
        streaming = subprocess.Popen(receive, env=environment, stderr=subprocess.DEVNULL)
        postgres("pg_basebackup", f"--pgdata={copy}", "--wal-method=none", "--checkpoint=fast", url=system.database_url)
        for number in range(100):
            await alice.sends(room, b"since the backup %d" % number)
        sent = await bodies(alice.phone)
        assert len(sent) == 101
        await until(lambda: (log / _newest(log)).stat().st_size)
        # What was committed has been told to the receiver before it ends.
        position = postgres("psql", "-Atc", "SELECT pg_current_wal_flush_lsn()", "letterlock", url=system.database_url)
        await asyncio.to_thread(_until_received, system.database_url, position.stdout.strip())
        data = _data_of(system)
        system.kill("postgres", signal.SIGKILL)
        system.stop_part("postgres")
        streaming.terminate()
        streaming.wait(10)

        owner = data.stat()
        shutil.rmtree(data)
        shutil.copytree(copy, data)
        for path in log.iterdir():
            shutil.copy(path, data / "pg_wal" / path.name.removesuffix(".partial"))
        for path in (data, *data.rglob("*")):
            os.chown(path, owner.st_uid, owner.st_gid)
        data.chmod(0o700)
        system.start_part("postgres")
        await asyncio.to_thread(system.wait_ready, "postgres", 60)
        await asyncio.to_thread(system.wait_ready, "web-1", 60)

        assert await bodies(alice.phone) == sent
        async with bob.phone.socket() as socket:
            assert len(await socket.messages(101)) == 101


def _newest(log):
    return max((path.name for path in log.iterdir()), default="")


def _until_received(url, position):
    statement = f"SELECT count(*) FROM pg_stat_replication WHERE flush_lsn >= '{position}'"
    for _ in range(600):
        if postgres("psql", "-Atc", statement, "letterlock", url=url).stdout.strip() != "0":
            return
    pytest.fail("the log was not received")


def _data_of(system):
    directory = postgres("psql", "-Atc", "SHOW data_directory", "letterlock", url=system.database_url)
    return Path(directory.stdout.strip())
