"""Alerts to an HTTP endpoint, signed by the Standard Webhooks specification (standardwebhooks.com): one POST per alert.

The receiver checks `webhook-signature`: base64 of HMAC-SHA256, keyed with the secret, over "id.timestamp.body". It answers
2xx when it has the alert, whatever else makes it come again; and by `webhook-id` it knows what it has had before.
"""

import base64
import binascii
import hashlib
import hmac
import time
from collections.abc import Sequence
from typing import Final

import httpx
import orjson
from django.conf import settings

from delivery.alerts.reports import Report
from delivery.alerts.untold import Untold

AT_ONCE: Final = 1
TIMEOUT_S: Final = 5.0

_PREFIX: Final = "whsec_"
_KEY_BYTES: Final = range(24, 65)


def is_on() -> bool:
    """Whether there is an endpoint."""
    return bool(settings.ABUSE_WEBHOOK_URL)


def key_of(secret: str) -> bytes:
    """The key in a secret of the form that the specification gives: whsec_ and base64 of 24 to 64 bytes. Raises `ValueError`."""
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith(_PREFIX) or len(key) not in _KEY_BYTES:
        raise ValueError("a webhook's secret is whsec_ and base64 of 24 to 64 bytes")
    return key


def signature(key: bytes, *, id: str, timestamp: int, body: bytes) -> str:
    """The value of `webhook-signature`."""
    digest = hmac.new(key, f"{id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()


def tell(reports: Sequence[Report]) -> None:
    """POST these, one after the other. Raises `Untold`."""
    try:
        key = key_of(settings.ABUSE_WEBHOOK_SECRET)
    except ValueError as error:
        raise Untold(f"ABUSE_WEBHOOK_SECRET: {error}") from error
    # Neither proxies nor .netrc of the environment: it goes to this endpoint or nowhere, and no further.
    with httpx.Client(timeout=TIMEOUT_S, follow_redirects=False, trust_env=False) as client:
        for report in reports:
            _post(client, report, key)


def _post(client: httpx.Client, report: Report, key: bytes) -> None:
    body, now = orjson.dumps(report.as_json()), int(time.time())
    headers = {
        "content-type": "application/json",
        "user-agent": "letterlock",
        "webhook-id": report.name,
        "webhook-timestamp": str(now),
        "webhook-signature": signature(key, id=report.name, timestamp=now, body=body),
    }
    try:
        # The answer's body is nobody's business and is not read.
        with client.stream("POST", settings.ABUSE_WEBHOOK_URL, content=body, headers=headers) as answer:
            status = answer.status_code
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise Untold(type(error).__name__) from error
    if not 200 <= status < 300:
        raise Untold(f"answered {status}")
