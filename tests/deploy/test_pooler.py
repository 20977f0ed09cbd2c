"""deploy/pgbouncer between requests and PostgreSQL, with a real pgbouncer."""

import asyncio
import re
import subprocess
import time
from urllib.parse import parse_qs, urlsplit

import psycopg2
import pytest

from config.supervisor import ports
from config.supervisor.system import CHECKOUT
from tests.cast import Cast, ok
from tests.deploy.programs import program
from tests.services import services
from tests.up.conftest import database  # noqa: F401
from tests.up.talk import talk


class Pooler:
    """A pgbouncer of our own with deploy/pgbouncer/pgbouncer.ini: only places and names are others."""

    def __init__(self, folder, database_url):
        parts = urlsplit(database_url)
        query = parse_qs(parts.query)
        server_port = int(query["port"][0]) if "port" in query else parts.port
        self.name = parts.path.lstrip("/")
        self.port = ports.free()
        self.url = f"postgresql://{parts.username}:{parts.password}@127.0.0.1:{self.port}/{self.name}"
        text = (CHECKOUT / "deploy" / "pgbouncer" / "pgbouncer.ini").read_text()
        text = re.sub(
            r"letterlock = host=127.0.0.1 port=5432 dbname=letterlock",
            f"{self.name} = host=127.0.0.1 port={server_port} dbname={self.name}",
            text,
        )
        text = text.replace("listen_port = 6432", f"listen_port = {self.port}").replace(
            "/etc/pgbouncer/userlist.txt", str(folder / "userlist.txt")
        )
        assert str(self.port) in text
        assert str(folder) in text
        (folder / "userlist.txt").write_text(f'"{parts.username}" "{parts.password}"\n')
        # It will not run as root.
        self.configuration = folder / "pgbouncer.ini"
        self.configuration.write_text(text + "user = nobody\n")
        for path in (folder, *folder.iterdir()):
            path.chmod(0o755)
        self.start()

    def start(self):
        self.process = subprocess.Popen([program("pgbouncer"), "-q", str(self.configuration)])
        deadline = time.monotonic() + 10
        while True:
            try:
                self.ask("SELECT 1")
                return
            except psycopg2.OperationalError:
                assert time.monotonic() < deadline
                time.sleep(0.02)

    def ask(self, statement):
        connection = psycopg2.connect(self.url)
        with connection.cursor() as cursor:
            cursor.execute(statement)
            (answer,) = cursor.fetchone()
        connection.close()
        return answer

    def stop(self):
        self.process.terminate()
        self.process.wait(10)


@pytest.fixture
def pooled(database):  # noqa: F811
    """A system whose requests go through a pooler: (system, pooler, the database's URL)."""
    program("pgbouncer")
    url = database(services().shared.database_url)
    folder = services().folder / "pooler"
    folder.mkdir()
    pooler = Pooler(folder, url)
    system = services().system("pooled", beat=False, database_url=url, environment={"DATABASE_POOL_URL": pooler.url})
    yield system, pooler, url
    system.stop()
    pooler.stop()


def sessions(url):
    """How many sessions of this database were ever begun."""
    connection = psycopg2.connect(url)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_force_next_flush()")
        cursor.execute("SELECT sessions FROM pg_stat_database WHERE datname = current_database()")
        (answer,) = cursor.fetchone()
    connection.close()
    return answer


async def test_requests_share_a_few_sessions_and_messages_need_none_of_them(pooled):
    system, pooler, url = pooled
    assert pooler.ask("SHOW statement_timeout") == "10s"

    async with Cast(system.url) as cast:
        alice, bob = await cast.people("alice", "bob")
        before = await asyncio.to_thread(sessions, url)
        for _ in range(50):
            ok(await alice.phone.http.get("devices"))
        begun = await asyncio.to_thread(sessions, url) - before
        assert begun < 10, "the requests began sessions of their own"
        assert len(set(await talk(system.url))) == 10

        # The path of a message goes on without it; other requests are told to come again.
        room = await alice.direct_room(bob)
        async with bob.phone.socket() as socket:
            pooler.stop()
            await alice.sends(room, b"Who needs a pooler?")
            assert await socket.messages(1)
        answer = await alice.phone.http.get("devices")
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        pooler.start()
        ok(await alice.phone.http.get("devices"))
