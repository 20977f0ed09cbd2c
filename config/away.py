"""What a command says when a part that it needs does not answer. Never a password."""

from urllib.parse import urlsplit

from django.conf import settings

from config import env, running


def database(error: Exception) -> str:
    """In a line: why, where there is a database to ask; else what to do."""
    if is_nowhere():
        return "nothing runs here: start it with `manage.py up`, or name a database in DATABASE_URL"
    reason = str(error).splitlines()[0]
    return f"the database is away ({reason}){'' if env.is_given('DATABASE_URL') else _HINT}"


def is_nowhere() -> bool:
    """Whether nobody has named a database, and no system that runs has one."""
    return not env.is_given("DATABASE_URL") and not running.read(settings.VAR_DIR)


def registry() -> str:
    """The registry of hosts, and where it was looked for."""
    name = "VALKEY_URL" if settings.REGISTRY_URL == "valkey" else "REGISTRY_URL"
    if env.is_given(name):
        return f"the registry is away ({_address(getattr(settings, name))})"
    if not running.read(settings.VAR_DIR):
        return "nothing runs here: start it with `manage.py up`, or name a Valkey in VALKEY_URL"
    return f"the registry is away ({_address(settings.VALKEY_URL)}){_HINT}"


_HINT = "; is `manage.py up` running?"


def _address(url: str) -> str:
    """A URL without user and password."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
