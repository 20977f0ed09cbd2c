"""Three RabbitMQ nodes of a test's own as one cluster on this machine, with a name service, ports and folders of their own."""

import json
import secrets
import signal
import subprocess
import time
from contextlib import contextmanager

from config.supervisor import ports
from config.supervisor.processes import Wish
from tests import rabbitmq
from tests.rabbitmq import RabbitMQ

CLUSTERED = """\
cluster_formation.peer_discovery_backend = classic_config
cluster_formation.randomized_startup_delay_range.min = 0
cluster_formation.randomized_startup_delay_range.max = 1
"""


class Node(RabbitMQ):
    """One of them: it shares the others' secrets."""

    def join(self, password, cookie):
        self._password = password
        file = self._folder / ".erlang.cookie"
        file.write_text(cookie)
        file.chmod(0o400)

    def begin(self, epmd, peers):
        """Start it, without waiting: the first waits for nobody, the others for the first."""
        self._configure(
            CLUSTERED
            + "".join(f"cluster_formation.classic_config.nodes.{n} = {peer.node}\n" for n, peer in enumerate(peers, 1))
        )
        self.environment = self._environment(epmd)
        self._watch.start()
        self._add("broker", [str(rabbitmq._script())], self.environment)

    def dies(self):
        """kill -9, and it stays down until `start_part`."""
        self.parts["broker"].wish = Wish.DOWN
        self.parts["broker"].signal(signal.SIGKILL, tree=True)

    def ctl(self, *arguments):
        """What `rabbitmqctl` says."""
        script = rabbitmq._script().with_name("rabbitmqctl")
        done = subprocess.run(
            [str(script), "-n", self.node, "--quiet", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=90,
        )
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout

    def lists(self, what, *columns):
        """Rows of `rabbitmqctl list_<what>`."""
        return json.loads(self.ctl(f"list_{what}", "--formatter", "json", *columns))


class Cluster:
    """All three. `url` names all of them, as `BROKER_URL` does."""

    def __init__(self, folder):
        folder.mkdir(parents=True)
        self.names = RabbitMQ(folder / "names")
        self.nodes = [Node(folder / name) for name in ("a", "b", "c")]

    @property
    def url(self):
        return ";".join(node.url for node in self.nodes)

    def start(self, seconds=120):
        epmd, password, cookie = ports.free(), secrets.token_urlsafe(18), secrets.token_hex(16)
        # A node would start a name service itself, and nobody would end that one.
        self.names._watch.start()
        self.names._add("epmd", ["/bin/sh", "-c", f"exec epmd -port {epmd}"], self.names._environment(epmd))
        deadline = time.monotonic() + seconds
        while not self.names.is_ready("epmd"):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        for node in self.nodes:
            node.join(password, cookie)
        for node in self.nodes:
            node.begin(epmd, self.nodes)
        for node in self.nodes:
            node.wait_ready("broker", max(1.0, deadline - time.monotonic()))
        self.nodes[0].ctl("await_online_nodes", str(len(self.nodes)), "--timeout", "60")

    @property
    def running(self):
        return [node for node in self.nodes if node.parts["broker"].is_alive]

    def leader_of(self, queue):
        """The node that leads this queue."""
        for row in self.running[0].lists("queues", "name", "leader"):
            if row["name"] == queue:
                return next(node for node in self.nodes if node.node == row["leader"])
        raise LookupError(queue)

    def make_leader(self, node, queue):
        """Have this node lead the queue, and wait until it does."""
        deadline = time.monotonic() + 30
        while (leader := self.leader_of(queue)) is not node:
            assert time.monotonic() < deadline, f"{queue} is led by {leader.node}"
            here, there = (f'{{list_to_atom("%2F_{queue}"), list_to_atom("{each.node}")}}' for each in (leader, node))
            leader.ctl("eval", f"ra:transfer_leadership({here}, {there}).")

    def stop(self):
        for node in self.nodes:
            node.stop()
        self.names.stop()


@contextmanager
def cluster(folder):
    made = Cluster(folder)
    try:
        made.start()
        yield made
    finally:
        made.stop()
