"""The whole system as one thing: start it, watch it, stop it. `manage.py up` and the tests use the same."""

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psycopg2

from config import running
from config.metrics import sharing
from config.supervisor import ports
from config.supervisor.place import place_for
from config.supervisor.postgres import Postgres
from config.supervisor.processes import Child, Wish
from config.supervisor.valkey import Valkey
from config.supervisor.watch import Watch

CHECKOUT = Path(__file__).resolve().parent.parent.parent

# Together less than the 10 s that stopping may take.
ASK_S = 6.0
ASK_SERVERS_S = 2.5
# Workers whose group has no queue any more; who stops all may have to wait for that.
ASK_IDLE_S = 1.0
# Of the first, for moving users from one web process to another.
DRAIN_S = 1.5
# How often the map is looked at for worker groups that come and go.
FOLLOW_S = 1.0
# Deaths in a row after which a start is given up.
TRIES = 6


class StartFailed(Exception):
    """The system could not be started; the text says why, for people."""


class System:
    """Parts by name: `postgres` and `valkey` unless URLs replace them, `web-1`…, `worker-1`…, `beat`.

    Everything about it lies in the folder `var` (and, as root, in the servers' `data`, see place.py).
    """

    def __init__(
        self,
        var: Path,
        *,
        web: int = 1,
        workers: int = 1,
        beat: bool = True,
        host: str = "127.0.0.1",
        port: int = 8000,
        database_url: str = "",
        valkey_url: str = "",
        broker_url: str = "",
        environment: Mapping[str, str] | None = None,
        data: Path | None = None,
        before: Sequence[str] = (),
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`port` 0 takes free ports; `environment` is added to the children's; `tell` gets a line for people now and then.

        `before` stands in front of each program's command: what gives it a network or limits of its own, and becomes it.
        """
        self.var = var.resolve()
        self._watch = Watch(tell)
        self.parts = self._watch.parts
        self.database_url, self.valkey_url, self.broker_url = database_url, valkey_url, broker_url
        self._numbers = (web, workers, beat)
        self._host = host
        self._ports = [port + number if port else ports.free(host) for number in range(web)]
        self._extra = dict(environment or {})
        self._data = data
        self._before = list(before)
        self._lock_file: int | None = None
        # Every worker that was started, and its group; and those that were ended because their group had no queue any more.
        self._workers: dict[str, int] = {}
        self._idle: set[str] = set()
        self._over = threading.Event()
        # Held while workers are added, so that none is behind the back of who stops all.
        self._starting = threading.Lock()
        self._postgres: Postgres | None = None
        self._valkey: Valkey | None = None

    # --- what it looks like from outside ---------------------------------------------------------------------------

    @property
    def urls(self) -> list[str]:
        """The base URL of each web process."""
        name = f"[{self._host}]" if ":" in self._host else self._host
        name = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(name, name)  # noqa: S104 (a client cannot dial `any`)
        return [f"http://{name}:{port}" for port in self._ports]

    @property
    def url(self) -> str:
        """The base URL of the first web process."""
        return self.urls[0]

    @property
    def ws_url(self) -> str:
        """The socket's URL at the first web process."""
        return self.ws_urls[0]

    @property
    def ws_urls(self) -> list[str]:
        """The socket's URL at each web process."""
        return [f"{url.replace('http', 'ws', 1)}/api/v1/socket" for url in self.urls]

    @property
    def environment(self) -> dict[str, str]:
        """What a command needs to work on this system."""
        return {
            **os.environ,
            "PYTHONUNBUFFERED": "1",
            "LETTERLOCK_VAR": str(self.var),
            "DATABASE_URL": self.database_url,
            "VALKEY_URL": self.valkey_url,
            "BROKER_URL": self.broker_url,
            **self._extra,
        }

    # --- from start to stop ------------------------------------------------------------------------------------------

    def start(self, timeout: float = 180) -> None:
        """Start everything and wait until it is ready. Raises StartFailed, with nothing left running."""
        self._claim()
        # What a former system counted is not this one's.
        sharing.clear(Path(self.environment.get("METRICS_DIR") or self.var / "run" / "metrics"))
        try:
            deadline = time.monotonic() + timeout
            self._watch.start()
            self._start_servers(deadline)
            self._migrate()
            self._start_programs()
            self._record()
            self._wait_for_all(deadline)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop everything, within 10 s: first what uses the servers, then the servers. Nothing is left."""
        with self._starting:
            self._over.set()
        servers = [part for name, part in self.parts.items() if name in ("postgres", "valkey")]
        programs = [part for part in self.parts.values() if part not in servers]
        self._watch.end(programs, ASK_S)
        self._watch.end(servers, ASK_SERVERS_S)
        self._watch.close()
        if self._lock_file is not None:
            running.forget(self.var)
            os.close(self._lock_file)
            self._lock_file = None

    # --- one part ------------------------------------------------------------------------------------------------------

    def kill(self, name: str, number: int = signal.SIGKILL) -> None:
        """Send a signal to one part; what dies of it is started again. `kill -9` unless told otherwise."""
        self.parts[name].signal(number)

    def freeze(self, name: str) -> None:
        """SIGSTOP, with all that the part has started (PostgreSQL's sessions are processes of their own)."""
        self.parts[name].signal(signal.SIGSTOP, tree=True)

    def thaw(self, name: str) -> None:
        """SIGCONT."""
        self.parts[name].signal(signal.SIGCONT, tree=True)

    def stop_part(self, name: str) -> None:
        """End one part and keep it down."""
        self._watch.end([self.parts[name]], ASK_S)

    def start_part(self, name: str) -> None:
        """Let the part come up again after `stop_part`."""
        part = self.parts[name]
        part.not_before, part.failures = 0.0, 0
        part.wish = Wish.UP

    def wait_ready(self, name: str, seconds: float = 30) -> None:
        """Wait until a part can do its work; raises StartFailed with the end of its log if it cannot in time."""
        deadline = time.monotonic() + seconds
        while not self.is_ready(name):
            if time.monotonic() > deadline:
                words = self.parts[name].last_words()
                raise StartFailed(
                    f"{name} is not ready after {seconds:.0f} s. The end of {self.parts[name].log}:\n{words}"
                )
            time.sleep(0.05)

    def wait_restarted(self, name: str, pid: int | None, seconds: float = 30) -> None:
        """Wait until the part runs as another process than `pid`, and is ready."""
        deadline = time.monotonic() + seconds
        while self.parts[name].pid in (pid, None):
            if time.monotonic() > deadline:
                raise StartFailed(
                    f"{name} was not started again within {seconds:.0f} s:\n{self.parts[name].last_words()}"
                )
            time.sleep(0.02)
        self.wait_ready(name, max(1.0, deadline - time.monotonic()))

    def is_ready(self, name: str) -> bool:
        """Whether a part can do its work now."""
        part = self.parts[name]
        if not part.is_alive:
            return False
        if name == "postgres" and self._postgres:
            return self._postgres.is_ready()
        if name == "valkey" and self._valkey:
            return self._valkey.is_ready()
        if name.startswith("web-"):
            return _answers(f"{self.urls[int(name[4:]) - 1]}/readyz")
        return part.ready_file is None or part.ready_file.exists()

    # --- inside ----------------------------------------------------------------------------------------------------------

    def _claim(self) -> None:
        """One system per var folder; and the ports must be free before anything is touched."""
        path = running.private(self.var / "run") / "up.lock"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            found = running.read(self.var)
            where = f" at {found['public_url']}" if found else ""
            raise StartFailed(
                f"Letterlock already runs on {self.var}{where} (process {_content(path) or 'unknown'})."
            ) from None
        self._lock_file = descriptor
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        for port in self._ports:
            if not ports.is_free(self._host, port):
                os.close(descriptor)
                self._lock_file = None
                raise StartFailed(
                    f"Port {port} on {self._host} is taken by another program. Choose another with --port."
                )

    def _start_servers(self, deadline: float) -> None:
        logs = running.private(self.var / "log")
        if not (self.database_url and self.valkey_url):
            place = place_for(self.var, data=self._data)
        if not self.database_url:
            self._postgres = Postgres(place, ports.free(), running.secret(self.var, "postgres"), logs / "postgres.log")
            self.database_url = self._postgres.url
            self._watch.add(self._postgres.child())
        if not self.valkey_url:
            self._valkey = Valkey(place, ports.free(), running.secret(self.var, "valkey"), logs / "valkey.log")
            self.valkey_url = self._valkey.url
            self._watch.add(self._valkey.child())
        self.broker_url = self.broker_url or self.valkey_url
        self._wait_for_all(deadline)
        if self._postgres:
            self._postgres.create()

    def _wait_for_all(self, deadline: float) -> None:
        """Wait for every part; a part that does not stay up will not by waiting longer."""
        for name, part in self.parts.items():
            while not self.is_ready(name):
                if time.monotonic() > deadline or part.failures >= TRIES:
                    raise StartFailed(f"{name} does not come up. The end of {part.log}:\n{part.last_words()}")
                time.sleep(0.05)

    def _migrate(self) -> None:
        command = [sys.executable, "manage.py", "migrate", "--no-input", "--verbosity", "0"]
        done = subprocess.run(command, cwd=CHECKOUT, env=self.environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise StartFailed(f"The database could not be brought up to date:\n{done.stderr.strip()[-2000:]}")

    def _start_programs(self) -> None:
        _, workers, beat = self._numbers
        for number, (port, url) in enumerate(zip(self._ports, self.urls, strict=True), start=1):
            drain_s = min(DRAIN_S, float(self.environment.get("DRAIN_SECONDS") or DRAIN_S))
            # On each of several machines, another one.
            host = f"{self.environment.get('HOST_NAME') or 'web'}-{number}"
            extra = {"HOST_NAME": host, "DRAIN_SECONDS": str(drain_s)}
            public = self.environment.get("PUBLIC_URL")
            extra["PUBLIC_URL"] = public or url
            # A page that was loaded from one of them may be sent to another; with a PUBLIC_URL, back to that.
            others = self.urls if len(self.urls) > 1 and not public else []
            extra["HOST_ORIGINS"] = self.environment.get("HOST_ORIGINS") or ",".join(others)
            self._program(f"web-{number}", ["manage.py", "web", "--host", self._host, "--port", str(port)], extra)
        if workers:
            self._suit_workers(self._groups())
            threading.Thread(target=self._follow_groups, name="groups", daemon=True).start()
        if beat:
            schedule = str(self.var / "run" / "beat")
            self._program(
                "beat",
                ["-m", "celery", "-A", "config", "--quiet", "beat", "-l", "WARNING", "--pidfile=", "-s", schedule],
                {},
            )

    def _program(self, name: str, arguments: list[str], extra: Mapping[str, str], *, says_ready: bool = False) -> None:
        ready = self.var / "run" / f"{name}.ready" if says_ready else None
        environment = {**self.environment, "PART_NAME": name, **extra}
        if ready:
            environment["READY_FILE"] = str(ready)
        self._watch.add(
            Child(
                name=name,
                command=[*self._before, sys.executable, *arguments],
                log=self.var / "log" / f"{name}.log",
                environment=environment,
                folder=CHECKOUT,
                ready_file=ready,
            )
        )

    def _suit_workers(self, groups: Sequence[int]) -> None:
        """So many workers as were asked for, of each of these groups; none of a group that has no queue any more."""
        _, workers, _ = self._numbers
        new = [group for group in groups if group not in self._workers.values()]
        for group in [group for _ in range(workers) for group in new]:
            name = f"worker-{len(self._workers) + 1}"
            self._workers[name] = group
            self._program(name, ["manage.py", "worker", "--group", str(group)], {}, says_ready=True)
        without = {name for name, group in self._workers.items() if group not in groups}
        for name in self._idle - without:
            self.start_part(name)
        self._watch.end([self.parts[name] for name in sorted(without - self._idle)], ASK_IDLE_S)
        self._idle = without

    def _follow_groups(self) -> None:
        """Suit the workers to the groups that come and go while we run (`manage.py queues add`, `isolate`, `remove`)."""
        while not self._over.wait(FOLLOW_S):
            try:
                groups = self._groups()
            except psycopg2.Error:
                continue  # a database that is away has no news
            with self._starting:
                if not self._over.is_set():
                    self._suit_workers(groups)

    def _groups(self) -> list[int]:
        """The worker groups that the queues are divided into."""
        connection = psycopg2.connect(self.database_url, connect_timeout=2, options="-c statement_timeout=2000")
        try:
            with connection.cursor() as cursor:
                cursor.execute('SELECT DISTINCT "group" FROM delivery_queue ORDER BY 1')
                return [group for (group,) in cursor.fetchall()]
        finally:
            connection.close()

    def _record(self) -> None:
        """Tell the other commands where the parts are."""
        public = self.environment.get("PUBLIC_URL") or next(iter(self.urls), "")
        running.write(self.var, {
            "pid": os.getpid(), "public_url": public, "urls": self.urls, "database_url": self.database_url,
            "valkey_url": self.valkey_url, "broker_url": self.broker_url,
        })  # fmt: skip


def _answers(url: str) -> bool:
    """Whether a GET is answered 200; a machine that is busy with something else may take its time."""
    with contextlib.suppress(OSError, urllib.error.URLError):
        with urllib.request.urlopen(url, timeout=10) as response:
            return bool(response.status == 200)
    return False


def _content(path: Path) -> str:
    return path.read_text().strip() if path.exists() else ""
