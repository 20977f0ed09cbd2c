"""One push: sealed for the browser (RFC 8291), signed for its push service (RFC 8292), sent (RFC 8030).

A connection is one push's: since the answer's body is not read, nothing else can go over it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import httpcore
from pywebpush import WebPusher

from delivery.webpush import endpoints, vapid
from delivery.webpush.models import Subscription
from kernel.sealed import b64

# The same for everything: neither the push service nor the service worker learns what there is.
PAYLOAD: Final = b'{"v":1}'
# A push that could not be given to the browser for so long says nothing new.
TTL_S: Final = 3 * 86_400
# A push as a whole, from the look-up of the name to the end of the answer's header.
PUSH_S: Final = 15.0

GONE: Final = frozenset({404, 410})


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it. `retry_after`: seconds, if the service said so. `why`: for the log, without the endpoint."""

    is_sent: bool = False
    is_gone: bool = False
    retry_after: int | None = None
    why: str = ""


def send(subscription: Subscription, *, seconds: float = PUSH_S) -> Outcome:
    """Tell the device that there is something. Never raises: what is wrong with one push must not hold up the others."""
    deadline = endpoints.Deadline(seconds)
    try:
        body = _sealed(subscription)
        status, headers = _post(subscription.endpoint, body, deadline)
    except Exception as error:
        # Its name only: the text may have the endpoint.
        return Outcome(why=type(error).__name__)
    if 200 <= status < 300:
        return Outcome(is_sent=True)
    return Outcome(is_gone=status in GONE, retry_after=_retry_after(headers), why=f"answered {status}")


def _sealed(subscription: Subscription) -> bytes:
    keys = {"p256dh": b64(bytes(subscription.p256dh)), "auth": b64(bytes(subscription.auth))}
    pusher = WebPusher({"endpoint": subscription.endpoint, "keys": keys})
    return bytes(pusher.encode(PAYLOAD, "aes128gcm")["body"])


def _post(endpoint: str, body: bytes, deadline: endpoints.Deadline) -> tuple[int, Mapping[bytes, bytes]]:
    origin = endpoints.origin(endpoint)
    headers: dict[bytes | str, bytes | str] = {
        # httpcore leaves out the brackets of an address of version 6.
        "Host": origin.partition("://")[2],
        "Authorization": vapid.authorization(origin),
        "Content-Encoding": "aes128gcm",
        "Content-Type": "application/octet-stream",
        "TTL": str(TTL_S),
        "Urgency": "high",
        # A later one takes the place of one that still waits.
        "Topic": "letterlock",
        "User-Agent": "letterlock",
    }
    # The answer's body is nobody's business and is not read.
    with (
        httpcore.ConnectionPool(ssl_context=endpoints.tls(), network_backend=endpoints.PublicOnly(deadline)) as pool,
        pool.stream("POST", endpoint, headers=headers, content=body) as answer,
    ):
        return answer.status, {name.lower(): value for name, value in answer.headers}


def _retry_after(headers: Mapping[bytes, bytes]) -> int | None:
    text = headers.get(b"retry-after", b"")
    return int(text) if text.isdigit() and len(text) < 10 else None
