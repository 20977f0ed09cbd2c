"""RabbitMQ nodes of a test's own: in its folder, on its ports, with its own name service (epmd); watched like our other parts.

Nothing that already listens on this machine is used or touched. The distribution's `rabbitmq-server` wrapper is passed by:
it insists on the user, the folders and the epmd of the installed service.
"""

import contextlib
import secrets
import shutil
import signal
import time
from pathlib import Path

from kombu.connection import Connection

from config.supervisor import ports
from config.supervisor.processes import Child, Wish
from config.supervisor.watch import Watch

HOMES = ("/usr/lib/rabbitmq/bin", "/usr/local/lib/rabbitmq/bin", "/opt/rabbitmq/sbin")
STOP_S = 10.0

CONFIGURATION = """\
listeners.tcp.default = 127.0.0.1:{port}
default_user = letterlock
default_pass = {password}
loopback_users.letterlock = true
log.console = true
log.console.level = warning
log.file = false
# This machine has other work, and a test's disk may be small.
vm_memory_high_watermark.absolute = 1GB
disk_free_limit.absolute = 50MB
"""


def why_not() -> str:
    """Why no node can be started here; empty when one can."""
    if _script() is None:
        return f"rabbitmq-server is not installed (looked into {', '.join(HOMES)})"
    if shutil.which("epmd") is None:
        return "Erlang's epmd is not installed"
    return ""


def _script() -> Path | None:
    found = (Path(home) / "rabbitmq-server" for home in HOMES)
    return next((script for script in found if script.exists()), None)


class RabbitMQ:
    """One node, called `broker`, with the interface of `config.supervisor.system.System` for one part."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._port, self._password = ports.free(), secrets.token_urlsafe(18)
        self._watch = Watch(lambda _: None)
        self.parts = self._watch.parts

    @property
    def url(self) -> str:
        """For `BROKER_URL`."""
        return self.url_at("127.0.0.1", self._port)

    @property
    def port(self) -> int:
        """Where it listens, on 127.0.0.1."""
        return self._port

    @property
    def node(self) -> str:
        """What the node is called among Erlang's."""
        return f"letterlock-{self._port}@localhost"

    def url_at(self, host: str, port: int) -> str:
        """The same by another way."""
        return f"amqp://letterlock:{self._password}@{host}:{port}//"

    def start(self, timeout: float = 60.0) -> None:
        """Start the name service and the node, and wait until it takes connections."""
        self.launch()
        self.wait_ready("broker", timeout)

    def launch(self) -> None:
        """Start both, and do not wait: it takes some seconds, in which other things can start."""
        assert not why_not(), why_not()
        epmd = ports.free()
        self._configure()
        environment = self._environment(epmd)
        self._watch.start()
        self._add("epmd", ["/bin/sh", "-c", f"exec {shutil.which('epmd')} -port {epmd}"], environment)
        self._add("broker", [str(_script())], environment)

    def _configure(self, more: str = "") -> None:
        text = CONFIGURATION.format(port=self._port, password=self._password)
        (self._folder / "rabbitmq.conf").write_text(text + more)
        (self._folder / "enabled_plugins").write_text("[].\n")

    def _environment(self, epmd: int) -> dict[str, str]:
        return {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "LC_ALL": "C.UTF-8",
            "HOME": str(self._folder),
            "ERL_EPMD_PORT": str(epmd),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": self.node,
            "RABBITMQ_DIST_PORT": str(ports.free()),
            "RABBITMQ_MNESIA_BASE": str(self._folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self._folder / "log"),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_CONFIG_FILE": str(self._folder / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self._folder / "enabled_plugins"),
            "RABBITMQ_CONF_ENV_FILE": str(self._folder / "none"),
            # So the script becomes the node, whose process is then the one that signals reach.
            "RUNNING_UNDER_SYSTEMD": "1",
            # Schedulers that wait busily take a core from everything else.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
                "+sbwt none +sbwtdcpu none +sbwtdio none +S 1:1 -kernel inet_dist_use_interface {127,0,0,1}"
            ),
        }

    def _add(self, name: str, command: list[str], environment: dict[str, str]) -> None:
        log = self._folder / f"{name}.log"
        self._watch.add(Child(name=name, command=command, log=log, environment=environment, folder=self._folder))

    def stop(self) -> None:
        """End both; nothing is left."""
        self._watch.end([part for name, part in self.parts.items() if name == "broker"], STOP_S)
        self._watch.end(list(self.parts.values()), 1.0)
        self._watch.close()

    # --- System's words for one part -------------------------------------------------------------------------------------

    def kill(self, name: str, number: int = signal.SIGKILL) -> None:
        """Send a signal; what dies of it is started again."""
        self.parts[name].signal(number)

    def freeze(self, name: str) -> None:
        """SIGSTOP, with all that the node has started."""
        self.parts[name].signal(signal.SIGSTOP, tree=True)

    def thaw(self, name: str) -> None:
        """SIGCONT."""
        self.parts[name].signal(signal.SIGCONT, tree=True)

    def stop_part(self, name: str) -> None:
        """End it and keep it down."""
        self._watch.end([self.parts[name]], STOP_S)

    def start_part(self, name: str) -> None:
        """Let it come up again after `stop_part`."""
        part = self.parts[name]
        part.not_before, part.failures = 0.0, 0
        part.wish = Wish.UP

    def is_ready(self, name: str) -> bool:
        """Whether it takes connections and says who it is."""
        if name != "broker":
            return self.parts[name].is_alive
        with contextlib.suppress(OSError, ConnectionError):
            with Connection(self.url, connect_timeout=2, transport_options={"read_timeout": 2}) as connection:
                connection.connect()
                return True
        return False

    def wait_ready(self, name: str, seconds: float = 60.0) -> None:
        """Wait until it does."""
        deadline = time.monotonic() + seconds
        while not self.is_ready(name):
            assert time.monotonic() < deadline, f"{name} is not ready:\n{self.parts[name].last_words()}"
            time.sleep(0.1)
