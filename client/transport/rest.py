"""REST: requests out, decoded JSON or a refusal back (protocol §2, §3)."""

import json
import ssl
from dataclasses import replace
from typing import Any

import httpx

from client.errors import Refused, Unreachable
from client.protocol.problems import Problem, decode_problem

TIMEOUT_S = 20.0


class Rest:
    """One server's REST API. Raises Refused for every answer that is not 2xx, Unreachable when there is none."""

    def __init__(self, url: str) -> None:
        # trust_env: where the messages go is said by `url` alone, not by a proxy variable somewhere.
        # verify: whom the machine trusts (also by SSL_CERT_FILE), as the socket does. Without TLS there are no certificates
        # to read, and reading them takes tens of milliseconds.
        verify = ssl.create_default_context() if url.startswith("https:") else False
        self._http = httpx.AsyncClient(
            base_url=url.rstrip("/") + "/api/v1/", timeout=TIMEOUT_S, trust_env=False, verify=verify
        )

    async def request(
        self, method: str, path: str, body: Any = None, *, token: str | None = None, if_match: int | None = None
    ) -> Any:
        """The decoded answer; None for 204. `path` is relative to /api/v1/ and may carry a query. `if_match`: a version."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        if if_match is not None:
            headers["If-Match"] = str(if_match)
        try:
            answer = await self._http.request(method, path, json=body, headers=headers)
        except httpx.HTTPError as error:
            raise Unreachable(f"{method} {path}: {type(error).__name__}") from error
        if not answer.is_success:
            raise Refused(_problem(answer))
        return _json(answer) if answer.content else None

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()


def _problem(answer: httpx.Response) -> Problem:
    problem = decode_problem(_json(answer), status=answer.status_code)
    # A proxy's 503 has no body of ours, but may have the header (RFC 9110 §10.2.3; its form with a date is passed over).
    after = answer.headers.get("Retry-After", "")
    return replace(problem, retry_after=float(after)) if problem.retry_after is None and after.isdigit() else problem


def _json(answer: httpx.Response) -> Any:
    try:
        return json.loads(answer.content)
    except ValueError:
        return None
