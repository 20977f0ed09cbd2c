"""People on the second system, whose settings are the other ones."""

from collections.abc import AsyncIterator

import pytest

from config.supervisor.system import System
from tests.cast import Cast


@pytest.fixture
async def strict(restricted: System) -> AsyncIterator[Cast]:
    """Makes people there."""
    async with Cast(restricted.url) as made:
        yield made
