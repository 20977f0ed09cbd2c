"""The system under faults as it stands on two machines, and a name for each of its parts.

    near: PostgreSQL (on a disk of its own), Valkey, perhaps RabbitMQ; web-1, worker-1, beat
    far:  web-2, worker-2, with a network and a clock of their own, behind wires to the near servers

Everybody's Valkey is behind wires that can go deaf. Whatever the kernel does not give us is missing, with its reason in `unable`.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from urllib.parse import quote, urlsplit

from config.supervisor import ports
from config.supervisor.system import System
from tests.faults.machines import Clock, Disk, Network, Unable
from tests.faults.wires import Route, Wires
from tests.rabbitmq import RabbitMQ
from tests.services import Prepared, services

SERVERS = ("postgres", "valkey", "broker")
_numbers = count(1)


class FarSystem(Prepared):
    """The programs of a machine that is reached at another address than its own processes listen on."""

    reached_at: list[str]

    @property
    def urls(self) -> list[str]:
        return self.reached_at


class Site:
    """Parts by name, wherever they run: web-1, web-2, worker-1, worker-2, beat, postgres, valkey, broker."""

    def __init__(self) -> None:
        self.unable: dict[str, str] = {}
        self.network: Network | None = None
        self.disk: Disk | None = None
        self.clock: Clock | None = None
        self.wires: Wires
        self.servers: System
        self.broker: RabbitMQ | None = None
        self._places: dict[str, tuple[System | RabbitMQ, str]] = {}

    @property
    def parts(self) -> list[str]:
        """The names."""
        return list(self._places)

    @property
    def urls(self) -> list[str]:
        """Where clients find the hosts."""
        return [*self.near.urls, *self.far.urls]

    def at(self, part: str) -> tuple[System | RabbitMQ, str]:
        """Whose part it is, and under which name."""
        return self._places[part]

    def send(self, part: str, number: int) -> None:
        """A signal, to the part's own process; what dies is started again."""
        system, name = self._places[part]
        system.kill(name, number)

    def started_at(self, part: str) -> float:
        """When its process was started (monotonic)."""
        system, name = self._places[part]
        return system.parts[name].started_at

    def pid(self, part: str) -> int:
        """Its process."""
        system, name = self._places[part]
        return system.parts[name].pid

    def down(self, part: str) -> None:
        """End it, and keep it down."""
        system, name = self._places[part]
        system.stop_part(name)

    def up(self, part: str) -> None:
        """Let it come up again."""
        system, name = self._places[part]
        system.start_part(name)

    def freeze(self, part: str) -> None:
        """SIGSTOP."""
        system, name = self._places[part]
        system.freeze(name)

    def thaw(self, part: str) -> None:
        """SIGCONT."""
        system, name = self._places[part]
        system.thaw(name)

    def wait_ready(self, part: str, seconds: float) -> None:
        """Wait until it can do its work."""
        system, name = self._places[part]
        system.wait_ready(name, seconds)

    def logs(self) -> dict[str, Path]:
        """Of our own processes: the servers have a word of their own."""
        return {part: system.parts[name].log for part, (system, name) in self._places.items() if part not in SERVERS}

    def cut(self, *, yes: bool) -> None:
        """Cut the far machine off from everybody, or no longer."""
        if self.network is not None:
            self.network.cut(yes=yes)
        else:
            self.wires.cut(yes)


@contextmanager
def two_machines(*, rabbitmq: bool) -> Iterator[Site]:
    """A running site; taken down with all that was made for it."""
    site = Site()
    folder = services().folder / f"site-{next(_numbers)}"
    folder.mkdir()
    folder.chmod(0o711)
    with ExitStack() as stack:
        _ask_the_kernel(site, folder, stack)
        data = {"data": site.disk.folder / "data"} if site.disk is not None else {}
        if rabbitmq:
            site.broker = RabbitMQ(folder / "rabbitmq")
            stack.callback(site.broker.stop)
            site.broker.launch()
        site.servers = _started(stack, f"{folder.name}-servers", web=0, workers=0, beat=False, **data)
        if site.broker is not None:
            site.broker.wait_ready("broker")
        _lay_wires(site, folder.name, stack)
        yield site


def _ask_the_kernel(site: Site, folder: Path, stack: ExitStack) -> None:
    try:
        site.network = Network()
        stack.callback(site.network.close)
    except Unable as why:
        site.unable["a network of its own"] = f"{why}; a relay is cut instead"
    try:
        site.disk = Disk(folder / "disk")
        stack.callback(site.disk.close)
    except Unable as why:
        site.unable["disk full"] = str(why)
    try:
        site.clock = Clock(folder)
    except Unable as why:
        site.unable["a clock that is off"] = str(why)


def _started(stack: ExitStack, name: str, **options: object) -> System:
    system = services().system(name, **options)
    stack.callback(system.stop)
    return system


def _lay_wires(site: Site, name: str, stack: ExitStack) -> None:
    """Every route, and the programs at their ends."""
    near = "127.0.0.1"
    far = site.network.near if site.network is not None else near
    valkey, postgres = urlsplit(site.servers.valkey_url), site.servers.database_url
    valkey_at = (near, valkey.port or 0)
    account = urlsplit(postgres)
    postgres_at = (near, _postgres_port(postgres))
    broker_at = (near, site.broker.port) if site.broker is not None else valkey_at
    at = {
        name: ports.free(near)
        for name in ("near valkey", "far valkey", "far postgres", "far broker", "far web", "web-2")
    }
    routes = [
        Route("near valkey", (near, at["near valkey"]), valkey_at, is_pubsub=True),
        Route("far valkey", (far, at["far valkey"]), valkey_at, is_pubsub=True, is_far=True),
        Route("far postgres", (far, at["far postgres"]), postgres_at, is_far=True),
        Route("far broker", (far, at["far broker"]), broker_at, is_far=True),
    ]
    if site.network is None:
        routes.append(Route("far web", (near, at["far web"]), (near, at["web-2"]), is_far=True))
    site.wires = stack.enter_context(Wires(routes))

    def valkey_by(host: str, port: int) -> str:
        return f"redis://:{quote(valkey.password or '')}@{host}:{port}/0"

    broker = site.broker
    site.near = _started(
        stack,
        f"{name}-near",
        kind=Prepared,
        web=1,
        workers=1,
        beat=True,
        environment={"HOST_NAME": "near"},
        database_url=postgres,
        valkey_url=valkey_by(near, at["near valkey"]),
        broker_url=broker.url if broker is not None else site.servers.valkey_url,
    )
    reached = (
        f"http://{site.network.far}:{at['web-2']}" if site.network is not None else f"http://{near}:{at['far web']}"
    )
    FarSystem.reached_at = [reached]
    site.far = _started(
        stack,
        f"{name}-far",
        kind=FarSystem,
        web=1,
        workers=1,
        beat=False,
        host="0.0.0.0" if site.network is not None else near,
        port=at["web-2"],
        before=site.network.command if site.network is not None else (),
        database_url=account._replace(
            netloc=f"{account.username}:{account.password}@{far}:{at['far postgres']}", query=""
        ).geturl(),
        valkey_url=valkey_by(far, at["far valkey"]),
        broker_url=broker.url_at(far, at["far broker"]) if broker is not None else valkey_by(far, at["far broker"]),
        environment={"HOST_NAME": "far", **(site.clock.environment if site.clock is not None else {})},
    )
    site._places = {
        "web-1": (site.near, "web-1"),
        "web-2": (site.far, "web-1"),
        "worker-1": (site.near, "worker-1"),
        "worker-2": (site.far, "worker-1"),
        "beat": (site.near, "beat"),
        "postgres": (site.servers, "postgres"),
        "valkey": (site.servers, "valkey"),
        **({"broker": (broker, "broker")} if broker is not None else {}),
    }


def _postgres_port(url: str) -> int:
    """Of the embedded server, whose URL may name its Unix socket."""
    asked = urlsplit(url)
    query = dict(part.split("=", 1) for part in asked.query.split("&") if part)
    return int(query.get("port") or asked.port or 5432)
