"""An upgrade without downtime, and back: the version before and this one work side by side on the same database, Valkey and broker."""

import asyncio
import os
import re
import shutil
import subprocess
import time
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from config.supervisor.system import CHECKOUT
from tests.cast import Cast, until
from tests.deploy.asking import asking
from tests.deploy.fleet import Fleet
from tests.deploy.gateway import CONFIGURATION, Gateway
from tests.hosts.moving import Crowd, manage
from tests.services import services
from tests.up.conftest import database  # noqa: F401

# The versions that are upgraded from: the last commit before this one's work, raised with each release; and the last one whose
# hosts could not be emptied, which lacks most of the tables that there are.
BEFORE = ("813ab52", "c79a584")
# Of a host that did not answer, by nginx; and a little.
LEFT_ALONE_S = int(*set(re.findall(r"fail_timeout=(\d+)s", (CONFIGURATION / "hosts.conf").read_text()))) + 1


@pytest.fixture(params=BEFORE)
def before(request):
    """A checkout of the version before."""
    folder = services().folder / f"before-{request.param}"
    made = subprocess.run(
        ["git", "worktree", "add", "--detach", str(folder), request.param], cwd=CHECKOUT, capture_output=True, text=True
    )
    if made.returncode:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(
            f"there is no {request.param} here: {made.stderr.strip()}"
        )
    yield folder
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run(["git", "worktree", "prune"], cwd=CHECKOUT, check=True)


@asynccontextmanager
async def installed(url: str, checkout: Path):
    """A fleet of this version behind a gateway: (fleet, gateway)."""
    folder = services().folder / f"fleet-{checkout.name}"
    folder.mkdir()
    gateway = Gateway(folder)
    fleet = Fleet(
        folder,
        DATABASE_URL=url,
        VALKEY_URL=urlsplit(services().shared.valkey_url)._replace(path="/5").geturl(),
        KEY_PREFIX=checkout.name,
        SECRET_KEY="the same key on both sides, as on every machine of one system",
        VAPID_SECRET="as is this one, or browsers would subscribe again and again",
        PUBLIC_URL=gateway.url,
        HOST_URL=f"{gateway.url}/hosts/{{name}}",
    )
    gateway.set_hosts(fleet.ports)
    try:
        await asyncio.to_thread(fleet.migrates, checkout)
        for name in ("web-1", "web-2", "worker-1", "worker-2", "beat"):
            await asyncio.to_thread(fleet.starts, name, checkout)
        gateway.start()
        try:
            yield fleet, gateway
        finally:
            gateway.stop()
    finally:
        await asyncio.to_thread(fleet.stop)


async def talk_across(fleet: Fleet, gateway: Gateway) -> None:
    """Alice at one web process and Bob at the other hear each other."""
    async with Cast(gateway.url) as cast:
        alice, bob = await cast.people("alice", "bob")
        room = await alice.direct_room(bob)
        async with (
            alice.phone.socket(url=fleet.url("web-1")) as one,
            bob.phone.socket(url=fleet.url("web-2")) as other,
        ):
            for device, socket in ((alice.phone, one), (bob.phone, other)):
                await socket.sends(*[device.message(room, b"%d" % number) for number in range(10)])
            heard = [await one.messages(20), await other.messages(20)]
        # Each mailbox has an order of its own for what came at the same time; what is in them is the same.
        assert len({entry["id"] for entry in heard[0]}) == 20
        assert {entry["id"] for entry in heard[0]} == {entry["id"] for entry in heard[1]}


async def changes(fleet: Fleet, gateway: Gateway, crowd: Crowd, checkout: Path, *, empties: bool) -> None:
    """Steps 3 to 5 of the runbook: every process ends and is started from this checkout, while people write."""
    for name in ("worker-1", "worker-2"):
        await asyncio.to_thread(fleet.ends, name)
        await crowd.heard(crowd.people)
        await asyncio.to_thread(fleet.starts, name, checkout)
        await crowd.heard(crowd.people)
    for name in ("web-1", "web-2"):
        if empties:
            host = crowd.host_of(name)
            done = await asyncio.to_thread(manage, fleet, "hosts", "drain", host, "--seconds", "1")
            assert (done.returncode, f"{host} is empty" in done.stdout) == (0, True), done.stderr
            assert crowd.at(host) == []
        await asyncio.to_thread(fleet.ends, name)
        await asyncio.to_thread(fleet.starts, name, checkout)
        await crowd.heard(crowd.people)
        again = time.monotonic() + LEFT_ALONE_S
        # Between the two, hosts are of both versions.
        await talk_across(fleet, gateway)
        # Until then the gateway takes it for gone, and if the other one went too, everything for away.
        await asyncio.sleep(again - time.monotonic())
    await asyncio.to_thread(fleet.ends, "beat")
    await asyncio.to_thread(fleet.starts, "beat", checkout)
    assert {fleet.folder_of(name) for name in fleet.parts} == {checkout}


@pytest.mark.timeout(420)
async def test_an_upgrade_and_the_way_back_as_the_runbook_says(nginx, database, before, tmp_path, monkeypatch):  # noqa: F811
    """Nobody is without service, nothing is lost or doubled; in the end the old code runs on the new tables."""
    empties = (before / "config" / "management" / "commands" / "hosts.py").exists()
    async with installed(database(services().shared.database_url), before) as (fleet, gateway):
        monkeypatch.setenv("SSL_CERT_FILE", str(gateway.certificate))
        async with Crowd(fleet, tmp_path, url=gateway.url) as crowd, asking(gateway) as (codes, _):
            await crowd.comes(pairs=3)
            crowd.write()
            await crowd.heard(crowd.people)

            await asyncio.to_thread(fleet.migrates, CHECKOUT)
            await crowd.heard(crowd.people)
            await changes(fleet, gateway, crowd, CHECKOUT, empties=empties)
            await until(lambda: all(person._keeper.host for person in crowd.people), "all at new hosts")
            await changes(fleet, gateway, crowd, before, empties=empties)

            assert await crowd.ends() > 100
        assert set(codes) == {200}
