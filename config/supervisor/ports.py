"""Finding a TCP port of our own on this machine."""

import random
import socket
from collections import deque
from pathlib import Path

EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")

# What was given lately: whoever got it may not listen there yet.
_given: deque[int] = deque(maxlen=1_000)


def is_free(host: str, port: int) -> bool:
    """Whether something could listen there now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def free(host: str = "127.0.0.1") -> int:
    """A free port below the range from which the kernel takes the ports of outgoing connections.

    In that range a client's own connection could hold the port while its server is being restarted, and a client that
    dials a dead port there again and again ends up connected to itself. Nobody else in this process is given it soon.
    """
    last = int(EPHEMERAL.read_text().split()[0]) if EPHEMERAL.exists() else 32_768
    for _ in range(200):
        port = random.randrange(min(20_000, last - 2_000), last)
        if port not in _given and is_free(host, port):
            _given.append(port)
            return port
    raise OSError("no free port below the ephemeral range")
