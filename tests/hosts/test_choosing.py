"""Where users are sent (delivery/hosts.py), as properties."""

from collections import Counter
from math import ceil

from hypothesis import given
from hypothesis import strategies as st

from delivery.hosts import Load, bound, choose, name_of, ranked

NAMES = st.sets(st.integers(1, 30), min_size=1, max_size=8).map(lambda numbers: [f"web-{n}.{n * 7}" for n in numbers])
USERS = st.text("abcdef0123456789", min_size=4, max_size=12)


@st.composite
def hosts(draw):
    """Hosts in any state."""
    return [
        Load(name, draw(st.integers(0, 40)), draw(st.sampled_from([0, 0, 1, 5, 20, 40])), draw(st.booleans()))
        for name in draw(NAMES)
    ]


@given(USERS, hosts(), st.data())
def test_whoever_is_chosen_takes_users_and_has_room(user, loads, data):
    names = [load.host for load in loads]
    holding, counted, last = (data.draw(st.sets(st.sampled_from(names))) for _ in range(3))
    by_name = {load.host: load for load in loads}

    chosen = choose(user, loads, holding=holding, counted=counted, last=last)

    if chosen is None:
        assert all(load.draining or load.is_full for load in loads)
        return
    assert not by_name[chosen].draining
    open_holding = {name for name in holding if not by_name[name].draining}
    if open_holding:
        assert chosen in open_holding
        return
    assert not by_name[chosen].is_full
    free = {load.host: load for load in loads if not load.draining and not load.is_full}
    if counted & free.keys():
        assert chosen in counted
        return
    most = ceil(1.25 * (sum(load.users for load in free.values()) + 1) / len(free))
    below = {name for name, load in free.items() if load.users + 1 <= most}
    assert chosen in below
    assert chosen in last or not last & below


@given(USERS, hosts(), st.randoms())
def test_the_order_in_which_hosts_are_listed_does_not_matter(user, loads, random):
    shuffled = random.sample(loads, len(loads))

    assert choose(user, loads) == choose(user, shuffled)


@given(NAMES, st.integers(1, 200), st.integers(0, 60))
def test_no_host_goes_over_the_bound_or_its_capacity_as_users_come(names, users, capacity):
    held = Counter(dict.fromkeys(names, 0))
    for number in range(users):
        chosen = choose(f"user {number}", [Load(name, held[name], capacity) for name in names])
        if chosen is None:
            assert all(count == capacity for count in held.values())
            break
        held[chosen] += 1
        assert held[chosen] <= ceil(1.25 * held.total() / len(names))
        assert not capacity or held[chosen] <= capacity


@given(NAMES, st.lists(USERS, min_size=1, max_size=40, unique=True))
def test_a_host_that_goes_away_moves_its_own_users_only(names, users):
    gone = names[0]
    for user in users:
        before, after = ranked(user, names), ranked(user, names[1:])
        assert after == [name for name in before if name != gone]


@given(USERS, st.sets(st.integers(1, 9), min_size=2).map(sorted))
def test_a_host_that_was_started_again_keeps_its_place(user, numbers):
    before = [name_of(host) for host in ranked(user, [f"web-{n}.{n}" for n in numbers])]
    after = [name_of(host) for host in ranked(user, [f"web-{n}.{1000 - n}" for n in numbers])]

    assert before == after


def test_users_spread_evenly():
    names = [f"web-{n}.1" for n in range(4)]
    first = Counter(ranked(f"user {n}", names)[0] for n in range(4_000))

    assert all(850 < count < 1150 for count in first.values()), first


def test_the_bound_is_a_quarter_over_the_mean():
    assert [bound(users, 4) for users in (0, 3, 7, 99, 399)] == [1, 2, 3, 32, 125]
