"""The client's cryptography stands on `cryptography` and the standard library, and on what it says itself."""

import sys

import grimp
import pytest

# Of the client: the root of all errors, and the names of the kinds of ids.
OURS = {"client.errors", "client.protocol.ids"}
# Random bytes and hashes are the standard library's; clocks, networks and stores are the caller's.
FORBIDDEN = {"time", "datetime", "socket", "threading", "asyncio", "random", "secrets", "sqlite3", "logging", "pickle"}


@pytest.fixture(scope="module")
def imported():
    graph = grimp.build_graph("client", include_external_packages=True, cache_dir=None)
    return {
        found
        for module in graph.find_descendants("client.crypto")
        for found in graph.find_modules_directly_imported_by(module)
        if not found.startswith("client.crypto")
    }


def test_nothing_else_is_imported(imported):
    others = imported - OURS - {"cryptography"}

    assert others <= sys.stdlib_module_names
    assert not others & FORBIDDEN
