"""`/healthz`: this process answers. `/readyz`: it can do its work, or what it lacks (docs/operations.md says what each part means)."""

import json
import threading
import time

import psycopg2
import redis
from django.conf import settings
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.utils import Error as DatabaseError
from django.http import HttpRequest, HttpResponse

# Set when the process has been told to stop: it still answers what it has, but wants nothing new.
stopping = threading.Event()
_migrated = False


def healthz(request: HttpRequest) -> HttpResponse:
    """200 as long as the process can answer at all."""
    return HttpResponse(b'{"status":"ok"}', content_type="application/json")


def readyz(request: HttpRequest) -> HttpResponse:
    """200 when sends can be accepted, else 503; `parts` says for each part `ok`, or what is wrong.

    Valkey is reported and does not count: without it messages are still accepted, and delivered by the sweeper.
    """
    needed = {"process": _process(), "database": _database(), "runtime": _runtime()}
    if needed["database"] == "ok":
        needed["migrations"] = _migrations()
    ready = all(state == "ok" for state in needed.values())
    valkey = _valkey()
    status = "unavailable" if not ready else "ok" if valkey == "ok" else "degraded"
    body = {"status": status, "host": settings.HOST_NAME, "parts": {**needed, "valkey": valkey}}
    return HttpResponse(json.dumps(body), status=200 if ready else 503, content_type="application/json")


def _process() -> str:
    return "stopping" if stopping.is_set() else "ok"


def _database() -> str:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_is_in_recovery()")
            (standby,) = cursor.fetchone() or (True,)
    except (DatabaseError, psycopg2.Error) as error:
        return f"away: {type(error).__name__}"
    return "read-only" if standby else "ok"


def _migrations() -> str:
    global _migrated
    if not _migrated:
        executor = MigrationExecutor(connection)
        _migrated = not executor.migration_plan(executor.loader.graph.leaf_nodes())
    return "ok" if _migrated else "missing: run manage.py migrate"


def _runtime() -> str:
    """What the web process itself reports: its committer and its receiver of pushes."""
    # Here and not above: what a web process runs loads the whole delivery side, which a command does not need.
    from config import runtime

    return "; ".join(runtime.problems()) or "ok"


def _valkey() -> str:
    started = time.monotonic()
    try:
        client = redis.Redis.from_url(settings.VALKEY_URL, socket_timeout=0.5, socket_connect_timeout=0.5, retry=None)
        client.ping()
        client.close()
    except redis.RedisError as error:
        return f"away: {type(error).__name__} after {time.monotonic() - started:.1f} s"
    return "ok"
