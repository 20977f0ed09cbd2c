"""An upgrade without downtime: the version before and this one work side by side on the same database, Valkey and broker."""

import os
import shutil
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from config.supervisor.system import CHECKOUT
from tests.cast import Cast, until
from tests.services import services
from tests.up.conftest import database  # noqa: F401
from tests.up.running import Up

# The version that is upgraded from: the last commit before this one's work. Raised with each release.
BEFORE = "c79a584"


@pytest.fixture
def before():
    """A checkout of the version before."""
    folder = services().folder / "before"
    made = subprocess.run(
        ["git", "worktree", "add", "--detach", str(folder), BEFORE], cwd=CHECKOUT, capture_output=True, text=True
    )
    if made.returncode:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"there is no {BEFORE} here: {made.stderr.strip()}")
    yield folder
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run(["git", "worktree", "prune"], cwd=CHECKOUT, check=True)


async def test_old_and_new_serve_side_by_side(database, before: Path):  # noqa: F811
    shared = services().shared
    urls = {
        "DATABASE_URL": database(shared.database_url),
        "VALKEY_URL": urlsplit(shared.valkey_url)._replace(path="/5").geturl(),
        "KEY_PREFIX": "upgrade",
        "SECRET_KEY": "the same key on both sides, as on every machine of one system",
        "MESSAGE_ALGS": "chat.e2ee.v1,opaque.v1",
        "RATE_SCALE": "1000",
    }
    with Up("old", checkout=before, **urls) as old:
        old.ready()
        async with Cast(old.url) as cast:
            alice, bob = await cast.people("alice", "bob")
            room = await alice.direct_room(bob)
            await alice.sends(room, b"before the upgrade")

            # `up` migrates first, as the runbook does; the old processes go on meanwhile.
            with Up("new", **urls) as new:
                new.ready()
                async with alice.phone.socket() as a, bob.phone.socket(url=new.url) as b:
                    for number in range(10):
                        await alice.sends(room, b"from old to new %d" % number)
                    await b.sends(*[bob.phone.message(room, b"from new to old %d" % n) for n in range(10)])
                    heard = [await a.messages(21), await b.messages(21)]
                # Each mailbox has an order of its own for what came at the same time; what is in them is the same.
                assert {entry["id"] for entry in heard[0]} == {entry["id"] for entry in heard[1]}
                assert old.process.poll() is None
                old.stop()
                async with alice.phone.socket(url=new.url) as a, bob.phone.socket(url=new.url) as b:
                    (last,) = await a.sends(alice.phone.message(room, b"all on the new one"))
                    for socket in (a, b):
                        await until(lambda socket=socket: last["id"] in [entry.get("id") for entry in socket.entries])
