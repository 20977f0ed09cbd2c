"""What was done is what the figures say, on a system of two web processes and a worker."""

import signal
from uuid import UUID

import httpx
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from delivery.slots import slots_of
from kernel import metrics
from tests.cast import Cast, comes_true, new_id
from tests.metrics.scrape import Scrape, scraped


@pytest.fixture(scope="module")
def counted():
    """A system whose figures nobody else moves."""
    from tests.services import services

    running = services().system("metrics", web=2, workers=1, beat=False)
    yield running
    running.stop()


@pytest.fixture
async def people(counted):
    """Alice and Bob, with a room for two."""
    async with Cast(counted.url) as cast:
        alice, bob = await cast.people("alice", "bob")
        yield alice, bob, await alice.direct_room(bob)


def grown(before, after):
    """How much a counter has grown between two scrapes."""
    return lambda *asked: after[asked] - before[asked]


async def test_messages_drains_pushes_and_acks(counted, people):
    alice, bob, room = people
    here, there = counted.urls
    before = Scrape.of(here)
    async with bob.phone.socket(url=counted.urls[1]) as socket:
        for number in range(5):
            await alice.sends(room, b"%d" % number)
        await socket.messages(5)
        after = await scraped(
            here,
            lambda found: grown(before, found)("letterlock_accept_to_push_seconds_count") >= 5,
        )
        newest = await scraped(
            there, lambda found: found["letterlock_acks_written_total"] > before["letterlock_acks_written_total"]
        )

    more = grown(before, after)
    assert more("letterlock_messages_accepted_total") == 5
    assert more("letterlock_messages_refused_total") == 0
    # To Bob and to Alice's own devices: a delivery for each slot of theirs. That they have a room may have come before.
    slots = len(slots_of([UUID(alice.id), UUID(bob.id)]))
    assert more("letterlock_drain_deliveries_sum") in (5 * slots, 6 * slots)
    assert 1 <= more("letterlock_drain_deliveries_count") <= 6
    assert more("letterlock_drain_seconds_count") == more("letterlock_drain_deliveries_count")
    assert more("letterlock_accept_to_push_seconds_count") == 5
    assert 0 < more("letterlock_accept_to_push_seconds_sum") < 5 * 10
    assert more("letterlock_pushes_total", "kind=push") >= 1
    assert more("letterlock_pushes_lost_total") == 0
    assert after["letterlock_sockets_open"] == before["letterlock_sockets_open"] + 1
    assert 1 <= grown(before, newest)("letterlock_acks_written_total") <= 6


async def test_whoever_writes_to_a_sleeping_group_wakes_it_by_a_task(counted, people):
    alice, _, room = people
    before = Scrape.of(counted.urls[0])

    async def has_woken():
        # A tenth of a second after the last: groups that found nothing more sleep after half of that.
        await alice.sends(room, b"is anybody awake?")
        return grown(before, Scrape.of(counted.urls[0]))("letterlock_wake_ups_total") >= 1

    await comes_true(has_woken, "a wake-up was counted")


async def test_what_is_refused_by_its_code_and_what_is_repeated(counted, people):
    alice, bob, room = people
    before = Scrape.of(counted.url)

    message = alice.phone.message(room, b"twice")
    for _ in range(2):
        await alice.phone.posts("messages", message)
    await alice.phone.posts("messages", {**message, "ciphertext": "AAAA"}, status=409)
    await alice.phone.posts("messages", alice.phone.message(room, b"x", epoch=7), status=409)
    await alice.phone.posts("messages", {"id": "no id"}, status=400)
    async with alice.phone.socket(url=counted.urls[1]) as socket:
        await socket.send("send", messages=[alice.phone.message(new_id(), b"where?")])
        assert (await socket.expect("error"))["problem"]["code"] == "not_found"

    more = grown(before, Scrape.of(counted.url))
    assert [more("letterlock_http_requests_total", f"status={status}") for status in (400, 409)] == [1, 2]
    assert more("letterlock_messages_accepted_total") == 1
    assert more("letterlock_messages_repeated_total") == 1
    assert more("letterlock_messages_refused_total", "code=id_conflict") == 1
    assert more("letterlock_messages_refused_total", "code=epoch_stale") == 1
    assert more("letterlock_messages_refused_total", "code=not_found") == 1
    assert more("letterlock_messages_refused_total") == 4


async def test_sockets_by_how_many_and_how_they_ended(counted, people):
    alice, bob, _ = people
    before = Scrape.of(counted.url)
    async with alice.phone.socket(url=counted.urls[0]), bob.phone.socket(url=counted.urls[1]) as socket:
        both = [Scrape.of(url) for url in counted.urls]
        await socket.connection.send("{")
        await socket.closed()
        await scraped(
            counted.url, lambda found: found["letterlock_sockets_open"] == before["letterlock_sockets_open"] + 1
        )
    after = await scraped(
        counted.url, lambda found: found["letterlock_sockets_open"] == before["letterlock_sockets_open"]
    )

    assert [found["letterlock_sockets_open"] - before["letterlock_sockets_open"] for found in both] == [2, 2]
    assert grown(before, after)("letterlock_sockets_opened_total") == 2
    assert grown(before, after)("letterlock_sockets_closed_total", "code=4400") == 1


async def test_a_push_that_never_came_is_a_gap_repair(counted, people):
    """Valkey is away while a message is drained: the comparison finds it."""
    alice, bob, room = people
    before = Scrape.of(counted.url)
    async with bob.phone.socket() as socket:
        counted.stop_part("valkey")
        try:
            await alice.sends(room, b"unheard")
            await socket.messages(1)
            after = Scrape.of(counted.url)
        finally:
            counted.start_part("valkey")
            counted.wait_ready("valkey")

    more = grown(before, after)
    assert more("letterlock_gap_repairs_total", "found_by=comparison") == 1
    assert more("letterlock_pushes_lost_total", "kind=push") >= 1
    # By the sweeper, or by a worker that has just been woken for the room itself.
    assert more("letterlock_drain_deliveries_count") >= 1
    assert more("letterlock_mailbox_pages_total") >= 1


async def test_figures_of_the_dead_stay_and_their_gauges_go(counted, people):
    alice, bob, room = people
    await alice.sends(room, b"first")
    before = await scraped(counted.url, lambda found: found["letterlock_pending_deliveries"] == 0)
    workers = before.labels("letterlock_process_info", "process")
    async with bob.phone.socket(url=counted.urls[1]):
        assert Scrape.of(counted.url)["letterlock_sockets_open"] == before["letterlock_sockets_open"] + 1
        for name in ("worker-1", "web-2"):
            pid = counted.parts[name].pid
            counted.kill(name, signal.SIGKILL)
            counted.wait_restarted(name, pid)
            assert str(pid) not in Scrape.of(counted.url).labels("letterlock_process_info", "pid")

    after = Scrape.of(counted.url)
    assert workers == {"web-1", "web-2", "worker-1"} == after.labels("letterlock_process_info", "process")
    assert after["letterlock_drain_deliveries_sum"] >= before["letterlock_drain_deliveries_sum"] > 0
    assert after["letterlock_messages_accepted_total"] == before["letterlock_messages_accepted_total"] > 0
    # Nobody has said goodbye for Bob's socket.
    assert after["letterlock_sockets_open"] == before["letterlock_sockets_open"]
    # Their files do not pile up.
    folder = counted.var / "run" / "metrics"
    assert len(list(folder.glob("counter_*.db"))) == 3 + 1

    await alice.sends(room, b"second")
    await scraped(
        counted.urls[1],
        lambda found: found["letterlock_messages_accepted_total"] == before["letterlock_messages_accepted_total"] + 1,
    )


async def test_every_metric_is_there_and_only_once(counted):
    # While Valkey is late, which it may be on a busy machine, nothing is known of hosts (docs/operations.md).
    answer = await scraped(counted.url, lambda found: found["letterlock_registry_up"] == 1)
    declared = {family.name: family for family in metrics.REGISTRY.collect()}
    # A counter with labels appears with its first sample.
    unseen = {"letterlock_messages_refused", "letterlock_sockets_closed", "letterlock_http_requests"}

    assert declared.keys() - answer.families.keys() <= unseen
    assert {name.removesuffix("_total") for name, *_ in metrics.FIGURES} <= answer.families.keys()
    assert len(declared) > 20
    assert answer["letterlock_process_resident_memory_bytes"] > 3 * 10_000_000
    for name, family in answer.families.items():
        assert name.startswith("letterlock_")
        assert family.documentation
        kept = [(sample.name, *sorted(sample.labels.items())) for sample in family.samples]
        assert len(kept) == len(set(kept)), name
        if family.type == "counter":
            assert all(sample.name.endswith("_total") for sample in family.samples), name


async def test_openmetrics_for_who_asks_for_it(counted):
    asked = {"Accept": "application/openmetrics-text; version=1.0.0"}
    answer = httpx.get(f"{counted.url}/metrics", headers=asked)

    assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
    assert len(list(text_string_to_metric_families(answer.text))) > 20
