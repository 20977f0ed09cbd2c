"""Where a device's state is, and which server it belongs to.

`$XDG_DATA_HOME/letterlock/<profile>/device.db` is the client's store (mode 0600, in a folder of mode 0700); `device.json` beside
it keeps the server's address. Both are found from `--profile`, or `--store` names the file itself.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from client import UserId

DEFAULT_URL: Final = "http://127.0.0.1:8000"
DEFAULT_PROFILE: Final = "default"
NAMES: Final = 10_000
_PROFILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")


class WrongPlace(ValueError):
    """A profile, a path or an address that cannot be used; the text says why."""


@dataclass(frozen=True, slots=True)
class Place:
    """A store and its server."""

    store: Path
    url: str
    profile: str | None = None

    @property
    def notes(self) -> Path:
        """The file beside the store that keeps the server's address."""
        return self.store.with_suffix(".json")

    def prepare(self) -> None:
        """Make the folder, for its owner only. Raises WrongPlace."""
        folder = self.store.parent
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self.profile is not None:
                folder.chmod(0o700)
        except OSError as error:
            raise WrongPlace(f"{folder}: {error.strerror}") from error

    def keep(self) -> None:
        """Remember the server of this store."""
        if _kept_url(self.notes) == self.url:
            return
        self.notes.touch(mode=0o600)
        self.notes.write_text(json.dumps({"url": self.url}) + "\n", encoding="utf-8")

    # The server tells the names of those who are in a room, not of those who have left; what they said is still there.

    @property
    def names(self) -> Path:
        """The file beside the store that keeps user names."""
        return self.store.with_suffix(".names.json")

    def kept_names(self) -> dict[str, str]:
        """User names by id, as they were first known."""
        try:
            kept = json.loads(self.names.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return {str(user): str(name) for user, name in kept.items()} if isinstance(kept, dict) else {}

    def keep_names(self, names: Mapping[UserId, str]) -> None:
        """Remember user names; of very many, the last ones."""
        newest = dict(list(names.items())[-NAMES:])
        self.names.touch(mode=0o600)
        self.names.write_text(json.dumps(newest) + "\n", encoding="utf-8")


def find(environment: Mapping[str, str], *, profile: str | None, store: str | None, url: str | None) -> Place:
    """The place that was asked for. An address is taken from the command line, `LETTERLOCK_URL`, or what was kept. Raises WrongPlace."""
    if store is not None:
        path, profile = Path(store).expanduser(), None
        if path.is_dir():
            raise WrongPlace(f"{path} is a folder; --store names a file")
    else:
        profile = profile or environment.get("LETTERLOCK_PROFILE") or DEFAULT_PROFILE
        if not _PROFILE.fullmatch(profile):
            raise WrongPlace(
                "a profile's name has letters, digits, '.', '_' and '-', and begins with a letter or a digit"
            )
        path = data_home(environment) / "letterlock" / profile / "device.db"
    kept = _kept_url(path.with_suffix(".json"))
    return Place(path, checked_url(url or environment.get("LETTERLOCK_URL") or kept or DEFAULT_URL), profile)


def data_home(environment: Mapping[str, str]) -> Path:
    """`$XDG_DATA_HOME`; as the XDG base directory specification has it, a relative one does not count."""
    given = Path(environment.get("XDG_DATA_HOME", ""))
    return given if given.is_absolute() else Path.home() / ".local" / "share"


def _kept_url(notes: Path) -> str | None:
    try:
        kept = json.loads(notes.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    url = kept.get("url") if isinstance(kept, dict) else None
    return url if isinstance(url, str) else None


def checked_url(url: str) -> str:
    """The address of a server, without a slash at its end; a bare host gets https. Raises WrongPlace."""
    url = url.strip()
    url = (url if "://" in url else f"https://{url}").rstrip("/")
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise WrongPlace(f"{url} is no address of a server") from error
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment or parts.username:
        raise WrongPlace(f"{url} is no address of a server: it looks like https://chat.example.org")
    return url


def is_in_the_open(url: str) -> bool:
    """Whether who listens on the way can see who talks to whom: plain http to another machine."""
    parts = urlsplit(url)
    return parts.scheme == "http" and not _is_loopback(parts.hostname or "")


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
