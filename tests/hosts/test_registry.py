"""What every registry of hosts must do (delivery/registry/__init__.py)."""

from concurrent.futures import ThreadPoolExecutor
from itertools import count
from math import ceil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from delivery.hosts import Load, choose, ranked
from delivery.registry import COUNTED_S, AllFull, NoHost
from kernel import valkey
from kernel.ids import uuid7
from tests.hosts import zookeeper
from tests.hosts.registries import facts, in_valkey, in_zookeeper, wait_until

PLACES = {"valkey": in_valkey, "zookeeper": in_zookeeper}
NAMES = [pytest.param(name, marks=[zookeeper.needed] if name == "zookeeper" else []) for name in PLACES]


@pytest.fixture(params=NAMES)
def place(request):
    with PLACES[request.param]() as made:
        yield made


@pytest.fixture
def registry(place):
    return place.registry


@pytest.fixture
def alice():
    return str(uuid7())


def crowd(size):
    """So many other users."""
    return [str(uuid7()) for _ in range(size)]


def users(registry):
    """How many count for each host."""
    return {state.id: state.users for state in registry.states()}


def was_and_left(registry, user, **fields):
    """Two hosts; at the first that is answered the user has just closed the last socket."""
    for n in (1, 2):
        registry.renew(f"web-{n}.{n}", facts(f"web-{n}", **fields))
    host = registry.assign(user).host
    registry.route(host, add=[user])
    registry.route(host, remove=[user])
    (other,) = set(registry.hosts()) - {host}
    return host, other


class TestLeases:
    def test_a_host_that_renews_is_there_with_what_it_says(self, registry):
        registry.renew("web-1.1", facts("web-1", capacity=7, sockets=3))
        registry.renew("web-2.2", facts("web-2"))

        assert registry.hosts() == ["web-1.1", "web-2.2"]
        one, two = registry.states()
        assert (one.id, one.facts, one.users, one.draining) == (
            "web-1.1",
            facts("web-1", capacity=7, sockets=3),
            0,
            False,
        )
        assert two.facts.url == "http://web-2.example"
        assert 0 < one.lease_ms <= 60_000

    def test_a_host_that_leaves_is_gone_at_once_with_its_routes(self, registry, alice):
        registry.renew("web-1.1", facts())
        registry.route("web-1.1", add=[alice])
        registry.leave("web-1.1")

        assert registry.hosts() == []
        registry.renew("web-1.1", facts())
        assert registry.holding(["web-1.1"], [alice]) == {"web-1.1": set()}

    def test_a_lease_ends_by_itself(self, registry, place, alice):
        other = place.another()
        registry.renew("web-1.1", facts())
        registry.route("web-1.1", add=[alice])
        other.renew("web-2.2", facts())
        place.falls_silent("web-1.1")

        def only_the_other():
            other.renew("web-2.2", facts())
            return other.hosts() == ["web-2.2"]

        wait_until(only_the_other)
        assert other.assign(alice).host == "web-2.2"
        assert other.holding(["web-1.1", "web-2.2"], [alice]) == {"web-1.1": set(), "web-2.2": set()}

    def test_a_host_hears_that_its_lease_had_ended(self, registry, place, alice):
        registry.renew("web-1.1", facts())
        registry.route("web-1.1", add=[alice])
        assert registry.renew("web-1.1", facts()).was_known
        place.loses_lease("web-1.1")

        assert not registry.renew("web-1.1", facts()).was_known
        registry.route("web-1.1", add=[alice])
        assert registry.renew("web-1.1", facts()).was_known
        assert registry.hosts() == ["web-1.1"]

    def test_a_host_hears_that_everything_was_wiped(self, registry, place, alice):
        registry.renew("web-1.1", facts())
        registry.route("web-1.1", add=[alice])
        place.is_wiped()

        assert not registry.renew("web-1.1", facts()).was_known


class TestRoutes:
    def test_who_is_where(self, registry):
        alice, bob, carol = (str(uuid7()) for _ in range(3))
        for host in ("web-1.1", "web-2.2"):
            registry.renew(host, facts())
        registry.route("web-1.1", add=[alice, bob])
        registry.route("web-2.2", add=[bob])
        registry.route("web-1.1", remove=[alice])

        held = registry.holding(["web-1.1", "web-2.2"], [alice, bob, carol])

        assert held == {"web-1.1": {bob}, "web-2.2": {bob}}

    def test_thousands_at_once(self, registry, place):
        users = [str(uuid7()) for _ in range(2_500)]
        registry.renew("web-1.1", facts())
        registry.route("web-1.1", add=users)

        assert place.another().holding(["web-1.1"], users) == {"web-1.1": set(users)}
        (state,) = registry.states()
        assert state.users == 2_500

    def test_a_user_counts_once_whether_sent_there_or_there(self, registry, alice):
        registry.renew("web-1.1", facts())
        registry.assign(alice)
        assert registry.states()[0].users == 1
        registry.route("web-1.1", add=[alice])
        assert registry.states()[0].users == 1
        registry.route("web-1.1", remove=[alice])
        assert registry.states()[0].users == 1

    def test_a_host_whose_routes_somebody_cleared_away_publishes_them_again(self, registry, place, alice):
        """Who tidies up behind dead hosts may meet one that comes back at the same moment."""
        registry.renew("web-1.1", facts())
        registry.route("web-1.1", add=[alice])
        place.loses_routes("web-1.1")

        assert not registry.renew("web-1.1", facts()).was_known
        registry.route("web-1.1", add=[alice])

        other = place.another()
        assert other.holding(["web-1.1"], [alice]) == {"web-1.1": {alice}}
        assert other.assign(str(uuid7())).host == "web-1.1"
        assert registry.renew("web-1.1", facts()).was_known


class TestAssignments:
    def test_nobody_can_be_sent_where_nobody_is(self, registry, alice):
        with pytest.raises(NoHost):
            registry.assign(alice)

    def test_the_answer_stays_the_same_while_others_come_and_the_host_lives(self, registry, place, alice):
        for n in (1, 2):
            registry.renew(f"web-{n}.{n}", facts(f"web-{n}"))
        first = registry.assign(alice)
        for _ in range(40):
            registry.assign(str(uuid7()))
        for n in (3, 4, 5):
            registry.renew(f"web-{n}.{n}", facts(f"web-{n}"))

        assert place.another().assign(alice) == first
        registry.route(first.host, add=[alice])
        assert place.another().assign(alice) == first
        registry.route(first.host, remove=[alice])
        assert place.another().assign(alice) == first

    def test_two_who_ask_at_once_hear_the_same(self, place):
        for n in range(4):
            place.registry.renew(f"web-{n}.{n}", facts())
        askers = [place.another() for _ in range(8)]
        with ThreadPoolExecutor(8) as threads:
            for user in [str(uuid7()) for _ in range(15)]:
                answers = list(threads.map(lambda asker: asker.assign(user), askers))
                assert len(set(answers)) == 1

    def test_nobody_is_over_the_bound_however_many_ask_at_once(self, place):
        for n in range(3):
            place.registry.renew(f"web-{n}.{n}", facts(capacity=40))
        askers = [place.another() for _ in range(6)]
        users = [str(uuid7()) for _ in range(90)]
        with ThreadPoolExecutor(6) as threads:
            list(threads.map(lambda pair: askers[pair[0] % 6].assign(pair[1]), enumerate(users)))

        held = [state.users for state in place.registry.states()]
        assert sum(held) == 90
        assert max(held) <= ceil(1.25 * 30)

    def test_a_full_host_takes_nobody_and_when_all_are_full_that_is_said(self, registry):
        for n in range(2):
            registry.renew(f"web-{n}.{n}", facts(capacity=3))
        for _ in range(6):
            registry.assign(str(uuid7()))

        assert [state.users for state in registry.states()] == [3, 3]
        with pytest.raises(AllFull):
            registry.assign(str(uuid7()))

    def test_who_is_there_may_stay_on_a_full_host(self, registry, alice):
        registry.renew("web-1.1", facts(capacity=1))
        first = registry.assign(alice)

        assert registry.assign(alice) == first
        registry.route(first.host, add=[alice])
        assert registry.assign(alice) == first

    def test_where_a_device_is_connected_the_others_are_sent(self, registry, alice):
        for n in (1, 2, 3):
            registry.renew(f"web-{n}.{n}", facts(f"web-{n}"))
        sent = registry.assign(alice).host
        other = next(host for host in registry.hosts() if host != sent)

        registry.route(other, add=[alice])

        assert registry.assign(alice).host == other
        assert {state.id: state.users for state in registry.states()}[sent] == 0

    def test_who_counts_stays_where_the_others_have_come_to_the_bound(self, registry, alice):
        host, other = was_and_left(registry, alice)
        registry.route(host, add=crowd(4))

        assert registry.assign(alice).host == host
        assert users(registry) == {host: 5, other: 0}

    def test_who_is_sent_there_again_counts_for_as_long_again_whoever_asks(self, registry, place, alice):
        """Her phone has asked, and half a minute later her laptop asks another process: both are on their way to one host."""
        registry.renew("web-1.1", facts())
        host = registry.assign(alice).host
        place.time_passes(COUNTED_S / 2 + 1)
        assert place.another().assign(alice).host == host

        place.time_passes(COUNTED_S / 2 + 1)
        assert users(registry) == {host: 1}
        place.time_passes(COUNTED_S / 2 + 1)
        assert users(registry) == {host: 0}

    def test_who_leaves_counts_for_as_long_as_anybody(self, registry, place, alice):
        """Sent there by another process, come after half a minute, and gone soon."""
        registry.renew("web-1.1", facts())
        host = place.another().assign(alice).host
        place.time_passes(COUNTED_S / 2 + 1)
        registry.route(host, add=[alice])
        registry.route(host, remove=[alice])

        place.time_passes(COUNTED_S / 2 + 1)
        assert users(registry) == {host: 1}

    def test_who_counts_no_more_is_sent_elsewhere_when_the_host_has_come_to_the_bound(self, registry, place, alice):
        host, other = was_and_left(registry, alice)
        registry.route(host, add=crowd(4))
        place.a_minute_passes()
        assert users(registry) == {host: 4, other: 0}

        assert registry.assign(alice).host == other
        assert users(registry) == {host: 4, other: 1}

    def test_who_counts_no_more_is_sent_elsewhere_when_the_host_is_full(self, registry, place, alice):
        host, other = was_and_left(registry, alice, capacity=4)
        registry.route(host, add=crowd(4))
        registry.route(other, add=crowd(3))
        place.a_minute_passes()

        assert registry.assign(alice).host == other

    def test_who_counts_no_more_goes_back_to_a_host_below_the_bound(self, registry, place, alice):
        host, other = was_and_left(registry, alice)
        registry.route(host, add=crowd(4))
        registry.route(other, add=crowd(4))
        place.a_minute_passes()

        assert registry.assign(alice).host == host
        assert users(registry) == {host: 5, other: 4}

    def test_where_a_user_was_is_known_for_as_long_as_the_registry_says(self, registry, place, alice):
        """A host has come since that is the first in the user's own order."""
        host, _ = was_and_left(registry, alice)
        newcomer = next(name for name in (f"web-{n}.{n}" for n in count(3)) if ranked(alice, [host, name])[0] == name)
        registry.renew(newcomer, facts())
        assert registry.assign(alice).host == host
        place.a_minute_passes()

        assert registry.assign(alice).host == (host if place.remembers else newcomer)

    def test_nobody_is_over_the_bound_when_all_come_back_after_a_minute(self, registry, place):
        """They were at two hosts; a third has come since."""
        everybody = crowd(30)
        for n in (1, 2):
            registry.renew(f"web-{n}.{n}", facts())
        for user in everybody:
            registry.assign(user)
        place.a_minute_passes()
        registry.renew("web-3.3", facts())
        for user in everybody:
            registry.assign(user)

        held = users(registry)
        assert sum(held.values()) == 30
        assert max(held.values()) <= ceil(1.25 * 10)

    def test_nobody_is_sent_to_a_host_that_is_gone(self, registry, place, alice):
        for n in (1, 2):
            registry.renew(f"web-{n}.{n}", facts(f"web-{n}"))
        first = registry.assign(alice).host
        registry.route(first, add=[alice])
        registry.leave(first)

        assert place.another().assign(alice).host != first

    def test_after_a_wipe_users_are_found_where_their_sockets_are(self, registry, place, alice):
        for n in (1, 2, 3):
            registry.renew(f"web-{n}.{n}", facts(f"web-{n}"))
        host = next(host for host in registry.hosts() if host != registry.assign(alice).host)
        registry.route(host, add=[alice])
        place.is_wiped()
        for n in (1, 2, 3):
            registry.renew(f"web-{n}.{n}", facts(f"web-{n}"))
        registry.route(host, add=[alice])

        assert registry.assign(alice).host == host


def test_a_host_of_the_version_before_gets_its_pushes_and_nobody_is_sent_there(alice):
    with in_valkey() as place:
        place.registry.renew("web-1.1", facts())
        valkey.client().set(valkey.key("host", "web-0.7"), '{"url": "http://old", "load": 3}', px=5_000)
        valkey.client().sadd(valkey.key("hosts"), "web-0.7")
        valkey.client().sadd(valkey.key("users", "web-0.7"), alice)

        assert place.registry.hosts() == ["web-0.7", "web-1.1"]
        assert place.registry.holding(["web-0.7", "web-1.1"], [alice]) == {"web-0.7": {alice}, "web-1.1": set()}
        assert [state.id for state in place.registry.states()] == ["web-1.1"]
        assert place.registry.assign(alice).host == "web-1.1"
        assert not place.registry.drain("web-0.7", 1)


class TestDraining:
    def test_a_draining_host_is_told_and_takes_nobody(self, registry, place, alice):
        for n in (1, 2):
            registry.renew(f"web-{n}.{n}", facts(f"web-{n}"))
        host = registry.assign(alice).host
        registry.route(host, add=[alice])
        assert registry.renew(host, facts()).drain_s is None

        assert place.another().drain(host, 12.5)

        assert registry.renew(host, facts()).drain_s == 12.5
        assert {state.id for state in registry.states() if state.draining} == {host}
        assert all(registry.assign(str(uuid7())).host != host for _ in range(10))
        assert registry.assign(alice).host != host

    def test_a_host_may_say_itself_that_it_is_going(self, registry, alice):
        registry.renew("web-1.1", facts(draining=True))

        with pytest.raises(NoHost):
            registry.assign(alice)

    def test_a_drain_can_be_taken_back(self, registry, alice):
        registry.renew("web-1.1", facts())
        registry.drain("web-1.1", 5)
        assert registry.drain("web-1.1", None)

        assert registry.renew("web-1.1", facts()).drain_s is None
        assert registry.assign(alice).host == "web-1.1"

    @pytest.mark.parametrize("loss", ["its lease", "everything"])
    def test_a_host_that_is_being_emptied_goes_on_with_it_when_the_registry_has_forgotten(
        self, registry, place, alice, loss
    ):
        registry.renew("web-1.1", facts())
        registry.drain("web-1.1", 12.5)
        assert registry.renew("web-1.1", facts(draining=True, drain_s=12.5)).drain_s == 12.5
        place.loses_lease("web-1.1") if loss == "its lease" else place.is_wiped()

        assert registry.renew("web-1.1", facts(draining=True, drain_s=12.5)).drain_s == 12.5

        with pytest.raises(NoHost):
            registry.assign(alice)
        assert registry.renew("web-1.1", facts(draining=True, drain_s=12.5)).drain_s == 12.5
        # And it can be taken back as before, also from a host that has nobody.
        assert place.another().drain("web-1.1", None)
        assert registry.renew("web-1.1", facts(draining=True, drain_s=12.5)).drain_s is None

    def test_who_is_told_to_hurry_is_being_emptied_all_the_while(self, registry, place, alice):
        """Until the new order is there, the old one is."""
        registry.renew("web-1.1", facts())
        registry.drain("web-1.1", 600)
        hurrying = place.another()
        with ThreadPoolExecutor(1) as threads:
            told = [threads.submit(hurrying.drain, "web-1.1", seconds) for seconds in range(500, 400, -1)]
            while not all(each.done() for each in told):
                assert registry.renew("web-1.1", facts(draining=True, drain_s=600)).drain_s is not None
        assert registry.renew("web-1.1", facts(draining=True, drain_s=600)).drain_s == 401

    def test_nobody_can_be_drained_who_is_not_there(self, registry):
        assert not registry.drain("web-9.9", 5)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
@pytest.mark.parametrize("name", NAMES)
def test_every_registry_chooses_as_the_pure_function_does(name, data):
    with PLACES[name]() as place:
        registry, loads, sent = place.registry, [], {}
        for n in range(data.draw(st.integers(1, 4))):
            capacity, draining = data.draw(st.sampled_from([0, 2, 4])), data.draw(st.booleans())
            load = Load(f"web-{n}.{n}", data.draw(st.integers(0, 5)), capacity, draining)
            registry.renew(load.host, facts(capacity=capacity, draining=draining))
            registry.route(load.host, add=crowd(load.users))
            loads.append(load)
        for user in crowd(3):
            was = data.draw(st.sampled_from([None, *(load.host for load in loads)]))
            if was is not None:
                registry.route(was, add=[user])
                registry.route(was, remove=[user])
            counted, last = ([] if was is None else [was]), []
            if data.draw(st.booleans()):
                for other, host in sent.items():
                    registry.route(host, add=[other])
                place.a_minute_passes()
                counted, last = [], counted if place.remembers else []
            wanted = choose(user, loads, counted=counted, last=last)
            if wanted is None:
                with pytest.raises(NoHost):
                    registry.assign(user)
            else:
                assert registry.assign(user).host == sent.setdefault(user, wanted)
                loads = [
                    Load(load.host, load.users + (load.host == wanted), load.capacity, load.draining) for load in loads
                ]
