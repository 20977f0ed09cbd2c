"""What a frozen process and a failed statement leave behind in PostgreSQL: no locks for long, and no bodies in its log."""

import secrets
import time
from pathlib import Path

import psycopg2
import pytest
from django.db import connection, transaction
from django.db.utils import Error

from tests.services import services


@pytest.mark.usefixtures("system")
def test_a_request_that_freezes_in_its_transaction_loses_it_within_seconds():
    with pytest.raises(Error), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (pid,) = cursor.fetchone()
        other = psycopg2.connect(**connection.get_connection_params())
        other.autocommit = True
        with other.cursor() as watching:
            deadline = time.monotonic() + 10
            alive = True
            while alive and time.monotonic() < deadline:
                time.sleep(0.05)
                watching.execute("SELECT 1 FROM pg_stat_activity WHERE pid = %s", (pid,))
                alive = watching.fetchone() is not None
        other.close()
        assert not alive
        cursor.execute("SELECT 1")
    connection.close()


def test_a_statement_that_fails_is_not_written_into_the_log_with_its_values():
    secret = secrets.token_hex(16)
    other = psycopg2.connect(services().shared.database_url)
    with pytest.raises(psycopg2.Error), other.cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE t (body text CHECK (body = '')); INSERT INTO t VALUES (%s)", (secret,))
    other.close()

    log = Path(services().shared.parts["postgres"].log).read_text(errors="replace")
    assert "violates check constraint" in log
    assert secret not in log
