"""Databases of our own on servers that were there before; which tests need which."""

import os
import secrets
from urllib.parse import urlsplit

import psycopg2
import pytest

NEEDED = ("LETTERLOCK_TEST_DATABASE_URL", "LETTERLOCK_TEST_VALKEY_URL", "LETTERLOCK_TEST_BROKER_URL")

# Nothing that happens to listen on this machine is touched unasked. tests/conftest.py says so at the end of the run.
collect_ignore = [] if all(os.environ.get(name) for name in NEEDED) else ["test_installed.py"]


@pytest.fixture
def database():
    """Makes an empty database on a server, and drops it afterwards."""
    made = []

    def make(server):
        name = f"letterlock_test_{secrets.token_hex(4)}"
        _execute(server, f"CREATE DATABASE {name}")
        made.append((server, name))
        return urlsplit(server)._replace(path=f"/{name}").geturl()

    yield make
    for server, name in made:
        _execute(server, f"DROP DATABASE {name} WITH (FORCE)")


def _execute(server, statement):
    connection = psycopg2.connect(server)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(statement)
    connection.close()
