"""Alice, Bob and Mallory, who have set up their keys."""

import pytest

from tests.epochs.maker import Room
from tests.keys.keyring import Keyring


@pytest.fixture
async def alice(cast):
    return await with_keys(cast, "alice")


@pytest.fixture
async def bob(cast):
    return await with_keys(cast, "bob")


@pytest.fixture
async def mallory(cast):
    return await with_keys(cast, "mallory")


@pytest.fixture
async def room(alice, bob):
    """The direct room of Alice and Bob."""
    return Room(await alice.person.direct_room(bob.person), alice, bob)


@pytest.fixture
async def group(cast, alice, bob):
    """A group of Alice, its owner, and Bob."""
    return Room(await cast.group(alice.person, bob.person), alice, bob)


async def with_keys(cast, name):
    keys = Keyring(await cast.person(name))
    await keys.sets_up()
    return keys
