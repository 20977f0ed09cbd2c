"""Backing up and restoring as docs/operations.md describes it, with PostgreSQL's own programs, on a system at work."""

import asyncio
import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from config.supervisor import postgres as embedded
from config.supervisor.system import CHECKOUT
from tests.cast import PATIENCE_S, Cast, until
from tests.services import services
from tests.up.conftest import database  # noqa: F401

PROGRAMS = embedded._site_packages() / embedded.FOLDERS[0] / "bin"
SLOT = "streamed_log"
# The server may take a moment to see that the receiver has gone.
DROP = f"""
SELECT pg_terminate_backend(active_pid, 5000) FROM pg_replication_slots WHERE slot_name = '{SLOT}' AND active;
SELECT pg_drop_replication_slot('{SLOT}')
"""
SECRET = {"SECRET_KEY": "a key that the restored system must have as well, of 50 characters"}


def at(url):
    """The environment in which PostgreSQL's programs find this server."""
    parts = urlsplit(url)
    query = {name: value for name, (value, *_) in parse_qs(parts.query).items()}
    return os.environ | {
        "PGHOST": query.get("host", parts.hostname or ""), "PGPORT": query.get("port", str(parts.port)),
        "PGUSER": parts.username, "PGPASSWORD": parts.password,
    }  # fmt: skip


def postgres(program, *arguments, url):
    """Run one of PostgreSQL's programs against this server."""
    return subprocess.run([PROGRAMS / program, *arguments], env=at(url), check=True, capture_output=True, text=True)


@contextlib.contextmanager
def receiving(url, log):
    """pg_receivewal writes this server's log into a folder, from a slot of its own; neither outlives this."""
    # What the receiver lacks is kept for it: without a slot the server throws away what a slow one has not begun to read.
    _asked(url, f"SELECT pg_create_physical_replication_slot('{SLOT}', true)")
    command = [PROGRAMS / "pg_receivewal", f"--directory={log}", f"--slot={SLOT}", "--synchronous", "--no-loop"]
    receiver = subprocess.Popen(command, env=at(url), stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        receiver.terminate()
        try:
            receiver.wait(10)
        except subprocess.TimeoutExpired:
            receiver.kill()
            receiver.wait()
        # A server that is down by now has lost its disk, and the slot with it.
        with contextlib.suppress(subprocess.CalledProcessError):
            _asked(url, DROP)


def manage(system, *arguments):
    done = subprocess.run(
        [sys.executable, "manage.py", *arguments], cwd=CHECKOUT, env=system.environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


async def bodies(device, count):
    """The messages of a mailbox, once there are so many: what was accepted is delivered a moment later."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            page = await device.gets("mailbox", limit=500)
            entries = page["entries"]
            assert [entry["seq"] for entry in entries] == list(range(1, page["last_seq"] + 1))
            found = [entry["ciphertext"] for entry in entries if entry["kind"] == "message"]
            if len(found) >= count:
                return found
            await asyncio.sleep(0.05)


async def test_a_dump_is_a_moment_of_the_past_and_every_device_begins_there_anew(database, tmp_path):  # noqa: F811
    url = database(services().shared.database_url)
    system = services().system("dumped", beat=False, database_url=url, environment=SECRET)
    async with Cast(system.url) as cast:
        alice, bob = await cast.people("alice", "bob")
        room = await alice.direct_room(bob)
        for number in range(10):
            await alice.sends(room, b"before the dump %d" % number)
        before = await bodies(alice.phone, 10)
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
        assert await bodies(alice.devices[-1], 10) == before
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
    async with Cast(system.url) as cast:
        alice, bob = await cast.people("alice", "bob")
        room = await alice.direct_room(bob)
        await alice.sends(room, b"before the backup")
        with receiving(system.database_url, log):
            postgres(
                "pg_basebackup", f"--pgdata={copy}", "--wal-method=none", "--checkpoint=fast", url=system.database_url
            )
            for number in range(100):
                await alice.sends(room, b"since the backup %d" % number)
            sent = await bodies(alice.phone, 101)
            await until(lambda: (log / _newest(log)).stat().st_size)
            # What was committed has been told to the receiver before it ends.
            position = _asked(system.database_url, "SELECT pg_current_wal_flush_lsn()")
            await asyncio.to_thread(_until_received, system.database_url, position)
            data = Path(_asked(system.database_url, "SHOW data_directory"))
            system.kill("postgres", signal.SIGKILL)
            system.stop_part("postgres")

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

        assert await bodies(alice.phone, 101) == sent
        async with bob.phone.socket() as socket:
            assert len(await socket.messages(101)) == 101


def _newest(log):
    return max((path.name for path in log.iterdir()), default="")


def _until_received(url, position):
    for _ in range(600):
        if _asked(url, f"SELECT count(*) FROM pg_stat_replication WHERE flush_lsn >= '{position}'") != "0":
            return
    pytest.fail("the log was not received")


def _asked(url, statement):
    return postgres("psql", "-Atc", statement, "letterlock", url=url).stdout.strip()


async def test_the_embedded_database_is_dumped_as_the_page_says(private_system, tmp_path):
    page = (CHECKOUT / "docs" / "operations.md").read_text()
    (block,) = (block for block in re.findall(r"```bash\n(.*?)```", page, re.DOTALL) if "pg_dump" in block)
    system = private_system(web=1)
    async with Cast(system.url) as cast:
        alice, bob = await cast.people("alice", "bob")
        await alice.sends(await alice.direct_room(bob), b"in the dump")
    script = block.replace(".venv/bin/python", sys.executable).replace("var/run", f"{system.var}/run")

    subprocess.run(["bash", "-eu", "-c", script], cwd=tmp_path, check=True)

    listed = subprocess.run(["bash", "-euc", f'{script.splitlines()[0]}; "$bin/pg_restore" --list letterlock.dump'],
                            cwd=tmp_path, check=True, capture_output=True, text=True)  # fmt: skip
    assert "TABLE DATA public delivery_queue" in listed.stdout
