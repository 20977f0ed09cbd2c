"""Where the embedded servers live: as root they run as another user, who must get at programs and data wherever the checkout is."""

import contextlib
import os
import pwd
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from config.supervisor import place as places
from config.supervisor.place import place_for
from tests.services import services

AS_ROOT = os.geteuid() == 0


@pytest.fixture
def closed():
    """A folder that nobody but its owner can enter."""
    folder = services().folder / "closed"
    folder.mkdir(mode=0o700)
    yield folder
    shutil.rmtree(folder)


def test_data_of_an_open_checkout_stays_with_it():
    var = services().folder / "open-checkout"
    var.mkdir()

    place = place_for(var)

    assert place.root == var / "data"
    assert (place.owner is not None) == AS_ROOT


def test_data_of_a_closed_checkout_goes_where_its_owner_gets_at_it(closed):
    place = place_for(closed)
    try:
        assert (place.root == closed / "data") == (not AS_ROOT)
        (place.folder("kept") / "file").touch()
        assert place.run(["/bin/ls", str(place.folder("kept"))]).returncode == 0

        # Opened since, or asked again: it must not look like an empty database.
        closed.chmod(0o755)
        assert place_for(closed).root == place.root
    finally:
        shutil.rmtree(place.root)


def test_programs_of_a_closed_environment_run_all_the_same(closed):
    source = Path("/bin/true").resolve()
    (closed / "wheel").mkdir()
    shutil.copy(source, closed / "wheel" / "true")
    place = place_for(closed, data=services().folder / "programs-data")

    program = place.reachable(closed, ["wheel"], "wheel/true")

    assert place.run([str(program)]).returncode == 0
    assert (program == closed / "wheel" / "true") == (not AS_ROOT)


def test_what_is_handed_over_is_for_the_owner_alone():
    place = place_for(services().folder / "private", data=services().folder / "private-data")

    place.write(place.root / "secret", "s")

    assert (place.root / "secret").stat().st_mode & 0o777 == 0o600
    assert place.folder("data").stat().st_mode & 0o777 == 0o700


def test_several_first_starts_at_once_make_one_user(monkeypatch):
    """Two useradd(8) beside each other gave the user two uids, and a cluster that belonged to nobody."""
    starts, alice = 4, pwd.getpwuid(os.getuid())
    all_asked, asked, users, made = threading.Barrier(starts), threading.local(), [], []
    beside_each_other = threading.Barrier(starts)

    def getpwnam(name):
        if not hasattr(asked, "once"):
            asked.once = True
            all_asked.wait(timeout=10)
            raise KeyError(name)
        if not users:
            raise KeyError(name)
        return users[0]

    def useradd(command, **_):
        # Without a lock all of them are here now.
        with contextlib.suppress(threading.BrokenBarrierError):
            beside_each_other.wait(timeout=1)
        made.append(command)
        users.append(alice)

    monkeypatch.setattr(places.pwd, "getpwnam", getpwnam)
    monkeypatch.setattr(places.subprocess, "run", useradd)
    with ThreadPoolExecutor(starts) as pool:
        owners = list(pool.map(lambda _: places._server_user(), range(starts)))

    assert [command[0] for command in made] == ["useradd"]
    assert {(owner.uid, owner.gid) for owner in owners} == {(alice.pw_uid, alice.pw_gid)}
