"""Which host to open the socket at (protocol §4.5)."""

import asyncio
import logging

from client.errors import Refused, Unreachable
from client.session import Session

# A server that takes longer is taken for away.
ASK_S = 5.0

logger = logging.getLogger("letterlock.client")


class HostFinder:
    """Asks the first URL where this user's devices belong, and falls back to it."""

    def __init__(self, url: str, session: Session) -> None:
        self.first = url.rstrip("/")
        self._session = session
        # Where we were sent last: of use while nobody answers at the first URL.
        self._last = self.first

    async def find(self) -> str:
        """The URL to try first. Raises SignedOut, and Refused when every host is full."""
        try:
            async with asyncio.timeout(ASK_S):
                answer = await self._session.request_once("GET", "hosts/assignment")
        except (Unreachable, TimeoutError):
            return self._last
        except Refused as refusal:
            if refusal.code == "overloaded":
                raise
            # An older server, or one that does not know at the moment; and what else is wrong, the socket will say.
            return self.first
        self._last = self.accepted(answer.get("url") if isinstance(answer, dict) else None) or self.first
        return self._last

    def accepted(self, url: object) -> str | None:
        """A URL that the server names, if it can be followed: one as well protected as the first URL."""
        if not isinstance(url, str) or not url.startswith(("https://", "http://")):
            return None
        if self.first.startswith("https:") and not url.startswith("https:"):
            logger.warning("a host without TLS was named, and is not followed")
            return None
        return url.rstrip("/")
