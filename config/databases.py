"""What Django is told of PostgreSQL, from a URL."""

from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit


def of(url: str) -> dict[str, Any]:
    """An entry of `DATABASES`. The URL's query goes to libpq as it is; `host` and `port` there win, for Unix sockets."""
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query))
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": options.pop("host", unquote(parts.hostname or "")),
        "PORT": options.pop("port", str(parts.port or 5432)),
        # A request has a thread of its own under ASGI, so a kept connection would never be used again.
        "CONN_MAX_AGE": 0,
        "OPTIONS": {
            "connect_timeout": 3,
            "application_name": "letterlock",
            # A process that is frozen or cut off in a transaction must not hold its locks for as long (kernel/database.py).
            "options": "-c idle_in_transaction_session_timeout=5000",
            "keepalives_idle": 5,
            "keepalives_interval": 2,
            "keepalives_count": 3,
            # Keepalives say nothing while something that was sent is not confirmed.
            "tcp_user_timeout": 10_000,
            **options,
        },
    }


def hasten(database: dict[str, Any]) -> None:
    """What this process asks of the database from now on is short, or fails: 10 s a statement, 3 s for a lock.

    For web processes, whose requests wait in few threads; migrations and commands take longer. A pooler does not look at
    it and has the same in its own configuration. Not by PGOPTIONS, which libpq ignores where options are given.
    """
    database["OPTIONS"]["options"] += " -c statement_timeout=10000 -c lock_timeout=3000"
