"""All processes go by one clock, PostgreSQL's: a host whose own is wrong takes the tokens of the others, and its own hold as long."""

import time

import pytest

from kernel import clock
from tests.cast import Cast
from tests.faults.machines import Clock, Unable
from tests.services import services

HOUR_S = 3_600.0


@pytest.fixture(autouse=True)
def unheard(monkeypatch):
    """As before the first look."""
    monkeypatch.setattr(clock, "_heard", None)


def test_before_the_first_look_it_is_the_machines_own():
    assert abs(clock.now() - time.time()) < 0.5
    assert abs(clock.utc().timestamp() - time.time()) < 0.5


@pytest.mark.parametrize("off_s", [-HOUR_S, HOUR_S])
def test_what_postgresql_says_counts(off_s):
    at = time.monotonic()
    clock.heard(time.time() + off_s, asked=at, answered=at)
    assert abs(clock.now() - time.time() - off_s) < 0.5


def test_it_goes_on_evenly_while_answers_come_sooner_and_later():
    at = time.monotonic()
    clock.heard(1_000_000.0, asked=at, answered=at)
    clock.heard(1_000_002.0, asked=at + 1.0, answered=at + 2.9)
    before, now, after = time.monotonic(), clock.now(), time.monotonic()
    assert before - at - 0.001 < now - 1_000_000.0 < after - at + 0.001


def test_a_clock_that_is_set_is_followed():
    at = time.monotonic()
    clock.heard(1_000_000.0, asked=at, answered=at)
    clock.heard(1_000_601.0, asked=at + 1.0, answered=at + 1.01)
    before, now, after = time.monotonic(), clock.now(), time.monotonic()
    assert before - at - 0.1 < now - 1_000_600.0 < after - at + 0.1


@pytest.fixture
def off(system, tmp_path):
    """Makes one more host of the shared system, whose clock is so many seconds off."""
    try:
        wrong = Clock(tmp_path)
    except Unable as why:
        pytest.skip(str(why))
    shared, made = services().shared, []

    def make(seconds):
        wrong.set(seconds)
        urls = {"database_url": shared.database_url, "valkey_url": shared.valkey_url, "broker_url": shared.broker_url}
        made.append(
            services().system(f"off{seconds}", web=1, workers=0, beat=False, environment=wrong.environment, **urls)
        )
        return made[-1]

    yield make
    for host in made:
        host.stop()


@pytest.mark.parametrize("seconds", [-900, 900])
async def test_a_host_whose_clock_is_off_serves_like_the_others(system, cast, off, seconds):
    """A token holds for ten minutes: by its own clock this host would find each one expired, or give out expired ones."""
    host = off(seconds)
    alice, bob = await cast.people("alice", "bob")
    room = await alice.direct_room(bob)
    async with Cast(host.url) as elsewhere:
        carol = await elsewhere.person("carol")
        assert 590 < carol.phone.session["access_expires_at"] / 1000 - time.time() < 610

        async with alice.phone.socket(url=host.url) as mine, bob.phone.socket(url=system.url) as his:
            await mine.sends(alice.phone.message(room, b"what time is it?"))
            await his.messages(1)
        async with carol.phone.socket(url=system.url) as hers:
            await hers.send("ping")
            await hers.expect("pong")
