"""Alice, who has set up her keys, and others."""

import pytest

from tests.keys.keyring import Keyring


@pytest.fixture
async def alice(cast):
    return await cast.person("alice")


@pytest.fixture
async def bob(cast):
    return await cast.person("bob")


@pytest.fixture
async def keys(alice):
    """Alice's, set up from her phone."""
    made = Keyring(alice)
    await made.sets_up()
    return made
