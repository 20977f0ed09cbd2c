"""The nemesis notices a system that stops accepting where it must not, and one that leaves a send without an answer."""

import asyncio
import time

import pytest

from chat.sender import ANSWER_S
from kernel.valkey import TIMEOUT_S
from tests.faults import nemesis as nemeses
from tests.faults import watch as watches
from tests.faults.phone import PATIENT_S, Post, Silence
from tests.faults.recovery import Strike
from tests.faults.stand_in import nemesis
from tests.faults.watch import ANSWERED_S

ALONE_S = 0.1


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    """Nothing has to settle or to recover here."""
    monkeypatch.setattr(nemeses, "SETTLE_S", 0.0)
    monkeypatch.setattr(nemeses, "HOLD_S", 0.0)


# --- broker and beat away, and more struck meanwhile -------------------------------------------------------------------------


async def broker_away(*steps):
    """Take the broker away; meanwhile strike twice. `steps`: what becomes of the load as it goes, at the one strike and the other."""
    made = nemesis()
    gone, one, other = (getattr(made.load, step) for step in steps)
    made.site.down = lambda part: gone()

    def struck(does):
        async def act():
            # Nobody is to be judged by what happens amid a strike.
            made.load.shut()
            await asyncio.sleep(ALONE_S)
            does()
            return time.monotonic()

        return Strike("a strike", 1.0, [], act)

    await made.strike(made.away("broker away", ["valkey"], 0.0, [struck(one), struck(other)], alone=ALONE_S))
    return made


async def test_sends_may_be_refused_amid_a_strike_that_happens_meanwhile():
    made = await broker_away("open", "open", "open")
    assert [recovery.what for recovery in made.recoveries] == [
        "a strike without Valkey",
        "a strike without Valkey",
        "broker away",
    ]


@pytest.mark.parametrize(
    ("steps", "found"),
    [
        (("shut", "open", "open"), "broker away: only [0-9]+ of"),
        (("open", "shut", "open"), "broker away, after a strike: only [0-9]+ of"),
        (("open", "open", "shut"), "broker away, after a strike: only [0-9]+ of"),
    ],
    ids=["before", "between", "after"],
)
async def test_sends_that_are_refused_when_nothing_else_is_struck_are_found(steps, found):
    with pytest.raises(AssertionError, match=found):
        await broker_away(*steps)


# --- frozen ---------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def watched(monkeypatch):
    """From the first moment on, however short the time."""
    monkeypatch.setattr(watches, "TAKEN_OVER_S", 0.0)
    monkeypatch.setattr(watches, "LEAST_SHARE_S", 0.0)


@pytest.mark.usefixtures("watched")
async def test_what_goes_on_while_a_part_is_frozen_is_found_when_it_does_not():
    made = nemesis()
    for part in ("web-1", "worker-1"):
        await made.strike(made.freeze(part, ALONE_S))

    made.load.shut()
    with pytest.raises(AssertionError, match="a frozen web-1: only 0 of"):
        await made.strike(made.freeze("web-1", ALONE_S))


@pytest.fixture
def stuck(monkeypatch, watched):
    """While anything is frozen, something is nine seconds old."""
    made = nemesis("broker")
    made.site.is_frozen = False
    monkeypatch.setattr(made.load, "oldest", lambda: 9.0 if made.site.is_frozen else 0.0)
    monkeypatch.setattr(made.site, "freeze", lambda part: setattr(made.site, "is_frozen", True))
    monkeypatch.setattr(made.site, "thaw", lambda part: setattr(made.site, "is_frozen", False))
    return made


@pytest.mark.parametrize("part", ["web-1", "postgres"])
async def test_a_frozen_host_holds_up_its_own_and_a_frozen_database_all(stuck, part):
    went = await stuck.strike(stuck.freeze(part, ALONE_S))
    assert (went.recovery, went.slowest) == (0.0, 9.0)


@pytest.mark.parametrize("part", ["worker-1", "beat", "valkey", "broker"])
async def test_whatever_else_is_frozen_holds_up_nobody(stuck, part):
    with pytest.raises(AssertionError, match=f"a frozen {part}: something is"):
        await stuck.strike(stuck.freeze(part, ALONE_S))


@pytest.mark.usefixtures("watched")
async def test_with_a_frozen_database_every_post_must_be_answered_in_time():
    made = nemesis()
    made.load.posts = [Post(time.monotonic() + ALONE_S / 2, seconds=16.0, status=503)]
    made.load.silences = [Silence(time.monotonic() + ALONE_S / 2, PATIENT_S)]
    await made.strike(made.freeze("postgres", ALONE_S))

    made.load.posts = [Post(time.monotonic() + ALONE_S / 2, seconds=18.0, status=503)]
    with pytest.raises(AssertionError, match="1 sends were not answered within 17 s"):
        await made.strike(made.freeze("postgres", ALONE_S))


async def test_a_death_that_nobody_noticed_has_recovered_at_once_however_long_the_restart_takes(monkeypatch):
    made = nemesis()

    async def slow_restart():
        struck = time.monotonic()
        await asyncio.sleep(ALONE_S)
        return struck

    went = await made.strike(Strike("a slow restart", 2.0, [], slow_restart))
    assert went.recovery == 0.0


# --- the disk full -------------------------------------------------------------------------------------------------------------


async def disk_full(*sent, before=()):
    """Fill the disk; `sent` begins then, and `before` began before that."""
    made = nemesis()
    load = made.load

    def noted(whatever):
        for one in whatever:
            one = one(time.monotonic())
            (load.silences if isinstance(one, Silence) else load.posts).append(one)

    class Disk:
        def fill(self):
            noted(sent)

        def drain(self):
            pass

    made.site.disk = Disk()
    noted(before)
    await made.strike(made.fill_disk(0.0))


def post(seconds, status):
    return lambda began: Post(began, seconds, status)


def silence(seconds):
    return lambda began: Silence(began, seconds)


TOLD = post(0.1, 503)


async def test_sends_that_are_refused_at_last_do_not_hang():
    await disk_full(
        TOLD, post(15.5, 503), post(0.1, 429), silence(3.1), before=[post(PATIENT_S, 0), silence(PATIENT_S)]
    )


@pytest.mark.parametrize(
    "sent",
    [post(PATIENT_S, 0), post(0.1, 0), post(ANSWERED_S + 1, 503), post(ANSWERED_S + 1, 200), silence(PATIENT_S + 0.1)],
    ids=["given up", "cut off", "refused late", "accepted late", "on a socket"],
)
async def test_a_send_without_an_answer_in_time_is_found(sent):
    with pytest.raises(AssertionError, match="1 sends were not answered within 17 s"):
        await disk_full(TOLD, sent)


async def test_somebody_must_have_been_told():
    with pytest.raises(AssertionError, match="nobody was told"):
        await disk_full(post(0.1, 200))


async def test_a_post_that_is_under_way_when_there_is_room_again_is_waited_for(monkeypatch):
    under_way = Post(0.0)

    async def later(true, what):
        assert not true()
        under_way.seconds, under_way.status = ANSWERED_S - 1, 503
        assert true()

    monkeypatch.setattr(nemeses.Nemesis, "_until", lambda self, true, what: later(true, what))

    def begins(began):
        under_way.began = began
        return under_way

    await disk_full(TOLD, begins)


def test_the_bound_is_what_the_server_promises_and_less_than_what_clients_wait():
    assert ANSWER_S + 2 * 2 * TIMEOUT_S < ANSWERED_S < PATIENT_S
