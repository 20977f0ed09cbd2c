"""What browsers are told about the web client's files. Pure.

A page of ours that ran somebody else's script would give away keys and texts; so nothing runs but our own files, nothing is
loaded from or sent to anywhere but our own hosts, and no string becomes markup or a script (Trusted Types, one policy:
web/src/worker/trusted.ts). A worker has the policy of its own file, not that of the page.
"""

import re
from collections.abc import MutableMapping, Sequence
from typing import Final

PREFIX: Final = "/static/web/"
# Vite puts a hash of the content into these names.
IMMUTABLE: Final = rf"^{PREFIX}(assets|workers)/[\w.-]+-[\w-]{{8}}\.\w+$"

_ORIGIN: Final = re.compile(r"https?://([a-z0-9.-]+|\[[0-9a-f:]+\])(:\d+)?")
_TRUSTED_TYPES: Final = "require-trusted-types-for 'script'; trusted-types letterlock"
WORKER: Final = f"default-src 'none'; script-src 'self'; {_TRUSTED_TYPES}"
# Where passwords are stretched, by WebAssembly of its own file's: with that goes no right to compile text.
STRETCHING: Final = f"default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; {_TRUSTED_TYPES}"
_STRETCHER: Final = re.compile(rf"{PREFIX}workers/argon2-[\w-]{{8}}\.js")
SERVICE_WORKER: Final = f"default-src 'none'; script-src 'self'; connect-src 'self'; {_TRUSTED_TYPES}"

# The camera reads a contact's safety code.
PERMISSIONS: Final = (
    "accelerometer=(), autoplay=(), camera=(self), display-capture=(), encrypted-media=(), fullscreen=(self), geolocation=(), "
    "gyroscope=(), magnetometer=(), microphone=(), midi=(), payment=(), publickey-credentials-get=(), usb=(), xr-spatial-tracking=()"
)


def page(host: str, origins: Sequence[str], *, is_secure: bool) -> str:
    """The Content-Security-Policy of the page at `host`, whose device may be sent to the hosts at `origins`."""
    # 'self' covers the socket in some browsers only.
    own = f"{'wss' if is_secure else 'ws'}://{host}"
    connect = dict.fromkeys(["'self'", own, *(each for origin in origins for each in (origin, socket_origin(origin)))])
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; "
        f"connect-src {' '.join(connect)}; manifest-src 'self'; worker-src 'self'; "
        f"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; {_TRUSTED_TYPES}"
    )


def socket_origin(origin: str) -> str:
    """Where the sockets of a host are."""
    return origin.replace("http", "ws", 1)


def is_origin(text: str) -> bool:
    """Whether it is an http or https origin as browsers write it: scheme, host and port, and nothing behind it."""
    return bool(_ORIGIN.fullmatch(text))


def add_headers(headers: MutableMapping[str, str], path: str, url: str) -> None:
    """WhiteNoise's hook: the files of the client get a policy of their own, since workers among them take it from there."""
    if url.startswith(PREFIX):
        headers["Content-Security-Policy"] = STRETCHING if _STRETCHER.fullmatch(url) else WORKER
        headers["Cross-Origin-Resource-Policy"] = "same-origin"
        headers["X-Content-Type-Options"] = "nosniff"
