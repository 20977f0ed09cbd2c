"""`manage.py hosts` beside hosts that this test plays: what draining waits for, and what does not confuse it."""

import io
import json
import threading

import pytest
from django.core.management import CommandError, call_command

from tests.hosts.registries import facts, in_valkey, wait_until


class Told:
    """The command, in a thread. `said` is what it has printed, `error` with what it ended."""

    def __init__(self, *arguments):
        self._out, self.error = io.StringIO(), None
        self._thread = threading.Thread(target=self._run, args=arguments)
        self._thread.start()

    def _run(self, *arguments):
        try:
            call_command("hosts", *arguments, stdout=self._out)
        except CommandError as error:
            self.error = error

    @property
    def said(self):
        return self._out.getvalue()

    def is_over(self, within_s=0.0):
        self._thread.join(within_s)
        return not self._thread.is_alive()


def draining_of(host, seconds=30.0):
    return Told("drain", host, "--seconds", str(seconds))


@pytest.fixture
def place():
    with in_valkey() as made:
        yield made


def test_it_does_not_believe_what_a_host_said_before_it_knew(place):
    place.registry.renew("web-1.1", facts(sockets=0))
    place.registry.renew("web-2.2", facts())
    draining = draining_of("web-1.1")
    wait_until(lambda: place.registry.renew("web-1.1", facts(sockets=0)).drain_s)
    assert not draining.is_over(within_s=1)

    # Somebody had come in the last moment.
    place.registry.renew("web-1.1", facts(sockets=1, draining=True, drain_s=30))
    wait_until(lambda: "1 sockets left" in draining.said)
    place.registry.renew("web-1.1", facts(sockets=0, draining=True, drain_s=30))

    assert draining.is_over(within_s=10)
    assert (draining.error, "web-1.1 is empty" in draining.said) == (None, True)


def test_a_host_whose_lease_has_ended_for_a_moment_is_not_gone(place):
    for host in ("web-1.1", "web-2.2"):
        place.registry.renew(host, facts(sockets=3))
    draining = draining_of("web-1.1")
    wait_until(lambda: "3 sockets left" in draining.said)
    place.is_wiped()
    assert not draining.is_over(within_s=1)

    place.registry.renew("web-1.1", facts(sockets=2, draining=True, drain_s=30))
    wait_until(lambda: "2 sockets left" in draining.said)
    place.registry.leave("web-1.1")

    assert draining.is_over(within_s=20)
    assert (draining.error, "web-1.1 is gone" in draining.said) == (None, True)


def test_two_who_empty_the_last_two_hosts_at_once_leave_one_that_takes_users(place):
    """Each looks first and orders then; whoever finds afterwards that none is left takes the order back."""
    hosts = ("web-1.1", "web-2.2")

    def play():
        """What the hosts do all the time; answers whether one of them takes users."""
        for host in hosts:
            drain_s = place.registry.renew(host, facts(sockets=1)).drain_s
            is_emptied = drain_s is not None
            place.registry.renew(host, facts(sockets=int(not is_emptied), draining=is_emptied, drain_s=drain_s))
        return not all(state.draining for state in place.registry.states())

    for _ in range(5):
        play()
        drainings = [draining_of(host, seconds=0.1) for host in hosts]
        wait_until(lambda made=drainings: play() and any(each.is_over() for each in made))
        for host in hosts:
            place.registry.leave(host)
        assert all(each.is_over(within_s=20) for each in drainings)


def test_it_ends_when_the_host_takes_users_again(place):
    place.registry.renew("web-1.1", facts(draining=True, drain_s=30))
    undraining = Told("undrain", "web-1.1")
    wait_until(lambda: "web-1.1 is told to take users again" in undraining.said)
    assert not undraining.is_over(within_s=1)

    place.registry.renew("web-1.1", facts())

    assert undraining.is_over(within_s=10)
    assert (undraining.error, "web-1.1 takes users again" in undraining.said) == (None, True)


def test_a_host_that_ends_instead_takes_nobody_again(place):
    place.registry.renew("web-1.1", facts(draining=True))
    undraining = Told("undrain", "web-1.1")
    wait_until(lambda: undraining.said)

    place.registry.leave("web-1.1")

    assert undraining.is_over(within_s=20)
    assert str(undraining.error) == "web-1.1 is gone"


def test_programs_read_it_as_json(place):
    place.registry.renew("web-1.1", facts(sockets=3, capacity=1000))
    place.registry.renew("web-2.2", facts("web-2", draining=True))
    out = io.StringIO()

    call_command("hosts", "--json", stdout=out)

    first, second = json.loads(out.getvalue())["hosts"]
    assert 0 < first.pop("lease_ms") <= 4_000
    assert first == {
        "id": "web-1.1",
        "url": "http://web-1.example",
        "users": 0,
        "sockets": 3,
        "capacity": 1000,
        "state": "open",
    }
    assert (second["id"], second["state"]) == ("web-2.2", "drained")
