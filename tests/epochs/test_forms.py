"""The lists of an epoch are read as columns, and no less strictly than one by one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat import epoch_documents
from chat.epoch_documents import STRIDE
from kernel.errors import DomainError
from tests.cast import b64

RECORD = {
    "payloadType": epoch_documents.KIND,
    "payload": b64(b"{}"),
    "signatures": [{"keyid": "phone", "sig": b64(bytes(64))}],
}
key = st.binary(min_size=32, max_size=32).map(b64)
wrap = st.binary(min_size=80, max_size=80)
members = st.dictionaries(st.uuids().map(str), st.tuples(key, st.integers(1, 2**31 - 1), wrap), min_size=1, max_size=8)
characters = st.sampled_from("AZaz09-_+/= \nBgQ\u0661\u212a\ud83d")
anything = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.none())


def body(people):
    return {
        "members_version": 1,
        "record": RECORD,
        "roster": [[user, identity, version] for user, (identity, version, _) in people.items()],
        "wraps": {user: {"ver": version, "ct": b64(sealed)} for user, (_, version, sealed) in people.items()},
    }


def read(data):
    return epoch_documents.read_new(data, device="phone")


@given(members)
def test_each_wrap_is_at_the_place_of_its_user(people):
    found = read(body(people))

    assert found.roster == sorted((user, identity, version) for user, (identity, version, _) in people.items())
    for place, (user, _, _) in enumerate(found.roster):
        assert found.wraps[place * STRIDE : (place + 1) * STRIDE] == people[user][2] + b"\0"
    assert len(found.wraps) == STRIDE * len(people)


@given(members, st.data(), characters, st.integers(0, 106))
def test_a_wrap_has_one_spelling(people, data, character, place):
    form = body(people)
    user = data.draw(st.sampled_from(sorted(people)))
    text = form["wraps"][user]["ct"]
    form["wraps"][user]["ct"] = spoilt = text[:place] + character + text[place + 1 :]
    try:
        found = read(form)
    except DomainError:
        assert spoilt != text
        return
    at = [line[0] for line in found.roster].index(user) * STRIDE
    assert b64(found.wraps[at : at + 80]) == spoilt


@given(members, st.data(), anything)
def test_another_thing_in_place_of_any_part_is_refused(people, data, thing):
    form = body(people)
    user = data.draw(st.sampled_from(sorted(people)))
    line = [user, *people[user][:2]]
    place = data.draw(st.sampled_from(["wrap", "ver", "ct", 0, 1, 2, "line"]))
    if place in ("ver", "ct"):
        form["wraps"][user][place] = thing
    elif place == "wrap":
        form["wraps"][user] = thing
    else:
        line = [*line[:place], thing, *line[place + 1 :]] if isinstance(place, int) else thing
        form["roster"][place_of(form, user)] = line
    if place == 1 and isinstance(thing, str):
        # Whether it is the member's key is asked later.
        read(form)
        return
    if place in ("ver", 2) and type(thing) is int and thing == people[user][1]:
        return
    with pytest.raises(DomainError):
        read(form)


def place_of(form, user):
    return [line[0] for line in form["roster"]].index(user)


@given(members, st.sampled_from([0, -1, 2**31, 2**63, 2**70]))
def test_a_version_that_nobody_has_is_no_mistake_of_the_server(people, version):
    """It is compared with what the member has, and goes nowhere else."""
    user = min(people)
    people[user] = (people[user][0], version, people[user][2])

    assert (user, people[user][0], version) in read(body(people)).roster
