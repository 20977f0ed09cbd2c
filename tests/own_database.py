"""A database of their own for the tests that run the message path in their own process (tests/delivery/depot.py)."""

import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connection

NAME = "letterlock_depot"


@pytest.fixture(scope="session")
def _depot(_orm):
    """Its name; migrated once per run."""
    shared = connection.settings_dict["NAME"]
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {NAME}")
    _use(NAME)
    call_command("migrate", verbosity=0)
    _use(shared)
    return NAME


@pytest.fixture(scope="module")
def depot(_depot):
    """While a module's tests run, this process works on that database; the live system stays on its own."""
    shared = connection.settings_dict["NAME"]
    _use(_depot)
    yield
    _use(shared)


def _use(name):
    connection.close()
    # Of requests, and of the sessions of the message path.
    connection.settings_dict["NAME"] = settings.DATABASE_DIRECT["NAME"] = name
