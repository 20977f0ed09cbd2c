"""Web processes and workers under somebody else's supervisor: what brings their figures together is METRICS_DIR."""

import subprocess
import sys

import httpx
import pytest

from config.supervisor import ports
from config.supervisor.system import CHECKOUT
from tests.cast import Cast, until
from tests.metrics.scrape import Scrape, scraped
from tests.services import services


@pytest.fixture(scope="module")
def servers():
    """PostgreSQL and Valkey, and nothing on them."""
    running = services().system("standalone", web=0, workers=0, beat=False)
    yield running
    running.stop()


def answers(url):
    try:
        return httpx.get(f"{url}/readyz", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


async def test_started_one_by_one(servers, tmp_path):
    port = ports.free()
    url = f"http://127.0.0.1:{port}"
    environment = servers.environment | {"METRICS_DIR": str(tmp_path / "figures"), "PUBLIC_URL": url}
    commands = {
        "alice's web": ["web", "--port", str(port)],
        "bob's worker": ["worker"],
    }
    running = [
        subprocess.Popen([sys.executable, "manage.py", *command], cwd=CHECKOUT, env=environment | {"PART_NAME": name})
        for name, command in commands.items()
    ]
    try:
        await until(lambda: answers(url), patience_s=60)
        async with Cast(url) as cast:
            alice, bob = await cast.people("alice", "bob")
            await alice.sends(await alice.direct_room(bob), b"hello")
        found = await scraped(url, lambda found: found["letterlock_accept_to_push_seconds_count"] == 1)

        assert found["letterlock_messages_accepted_total"] == 1
        assert found.labels("letterlock_process_info", "process") == set(commands)
        # Gracefully or not, whoever has ended is not shown as living.
        running[1].terminate()
        running[1].wait(20)
        found = Scrape.of(url)
        assert found.labels("letterlock_process_info", "process") == {"alice's web"}
        assert found["letterlock_accept_to_push_seconds_count"] == 1
    finally:
        for process in running:
            process.terminate()
        assert [process.wait(20) for process in running] == [0, 0]


def test_other_commands_leave_no_figures_behind(servers, tmp_path):
    environment = servers.environment | {"METRICS_DIR": str(tmp_path / "figures")}
    subprocess.run(
        [sys.executable, "manage.py", "check"], cwd=CHECKOUT, env=environment, check=True, capture_output=True
    )

    assert not (tmp_path / "figures").exists()
