"""A real nginx with our configuration, in a folder of its own: only ports, paths and certificate are others."""

import datetime as dt
import os
import re
import shutil
import signal
import ssl
import subprocess
import time
from collections.abc import Collection, Mapping
from ipaddress import IPv4Address
from pathlib import Path

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from config.supervisor import ports
from config.supervisor.system import CHECKOUT
from tests.deploy.programs import program

CONFIGURATION = CHECKOUT / "deploy" / "nginx"
# Of the old configuration's sockets: a test does not wait for a minute.
SHUTDOWN_S = 2


class Gateway:
    """nginx in front of `hosts` (name → port). `url` is what clients are given; `certificate` is whom they must trust."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port, self.plain_port = ports.free(), ports.free()
        self.url = f"https://127.0.0.1:{self.port}"
        self.certificate = folder / "certificate.pem"
        certify(self.certificate, folder / "key.pem")
        shutil.copy(CONFIGURATION / "socket.conf", folder)
        self.hosts: Mapping[str, int] = {}

    def start(self) -> None:
        """Start it, as a process that stays ours; raises if it does not answer."""
        self._process = subprocess.Popen(self._command("-g", "daemon off;"))
        deadline = time.monotonic() + 15
        while True:
            try:
                httpx.get(f"{self.url}/healthz", verify=False, timeout=5)
                return
            except httpx.TransportError:
                assert self._process.poll() is None, (self.folder / "error.log").read_text()
                assert time.monotonic() < deadline
                time.sleep(0.05)

    def reload(self, *, down: Collection[str] = ()) -> None:
        """What an operator does to take hosts out, or put them in again: edit hosts.conf, have it checked, reload."""
        self.set_hosts(self.hosts, down=down)
        subprocess.run(self._command("-t", "-q"), check=True)
        self._process.send_signal(signal.SIGHUP)

    def stop(self) -> None:
        """End it at once."""
        self._process.terminate()
        self._process.wait(10)

    def _command(self, *words: str) -> list[str]:
        return [program("nginx"), "-c", str(self.folder / "nginx.conf"), "-p", str(self.folder), *words]

    def set_hosts(self, hosts: Mapping[str, int], *, down: Collection[str] = ()) -> None:
        """Write its configuration for these hosts; the running one goes on as it is."""
        self.hosts = hosts
        text = (CONFIGURATION / "nginx.conf").read_text()
        for theirs, ours in {
            "listen 443 ssl http2;": f"listen 127.0.0.1:{self.port} ssl http2;",
            "listen 80;": f"listen 127.0.0.1:{self.plain_port};",
            "/etc/letterlock/tls/fullchain.pem": str(self.certificate),
            "/etc/letterlock/tls/privkey.pem": str(self.folder / "key.pem"),
            "/run/nginx.pid": str(self.folder / "nginx.pid"),
            "/var/log/nginx/letterlock-error.log": str(self.folder / "error.log"),
            "/var/log/nginx/letterlock-access.log": str(self.folder / "access.log"),
            "worker_shutdown_timeout 60s;": f"worker_shutdown_timeout {SHUTDOWN_S}s;",
            "chat.example.com": "127.0.0.1",
        }.items():
            assert theirs in text, f"nginx.conf says {theirs!r} no more"
            text = text.replace(theirs, ours)
        text = re.sub(r" *listen \[::\].*\n", "", text)
        if os.geteuid() == 0:
            # Its workers must read a folder that is root's alone.
            text = "user root;\n" + text
        (self.folder / "nginx.conf").write_text(text)
        (self.folder / "hosts.conf").write_text(self._hosts(hosts, down))

    @staticmethod
    def _hosts(hosts: Mapping[str, int], down: Collection[str]) -> str:
        """hosts.conf with other hosts: its example lines, once for each, and `down` behind the two lines of some."""
        text = (CONFIGURATION / "hosts.conf").read_text()
        server = re.search(r" *server 127\.0\.0\.1:8001 .*\n", text)
        named = re.search(r"upstream web-8001 \{.*?\n\}\n", text, re.DOTALL)
        line = re.search(r" *web-8001 web-8001;\n", text)
        assert server and named and line
        servers = "".join(
            server[0].replace("8001", str(port)).replace(";", " down;" if name in down else ";")
            for name, port in hosts.items()
        )
        upstreams = "".join(
            named[0].replace("web-8001", name).replace("8001", str(port)) for name, port in hosts.items()
        )
        lines = "".join(line[0].replace("web-8001", name) for name in hosts)
        text = re.sub(r"( *server 127\.0\.0\.1:800\d .*\n)+", servers, text)
        text = re.sub(r"(upstream web-\d+ \{.*?\n\}\n)+", upstreams, text, flags=re.DOTALL)
        return re.sub(r"( *web-\d+ web-\d+;\n)+", lines, text)


def trusting(gateway: Gateway) -> ssl.SSLContext:
    """For clients: they trust this gateway alone."""
    return ssl.create_default_context(cafile=str(gateway.certificate))


def certify(certificate: Path, key: Path) -> None:
    """A certificate of our own for 127.0.0.1."""
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(private, hashes.SHA256())
    )
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
