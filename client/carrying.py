"""The carrier of clients that send without a socket."""

import asyncio
import contextlib
import time

from client.errors import LetterlockError, Refused, SignedOut
from client.protocol.answers import Accepted, decode_results
from client.protocol.frames import Outgoing, message_fields
from client.protocol.problems import Problem
from client.sending import Sender
from client.session import Session


class RestCarrier:
    """Sends by `POST /api/v1/messages`, one POST after the other."""

    def __init__(self, sender: Sender, session: Session) -> None:
        self._sender = sender
        self._session = session

    async def run(self) -> None:
        """Send whatever comes into the outbox, until cancelled. Raises SignedOut."""
        while True:
            self._sender.awake.clear()
            while batch := self._sender.take():
                await self._post(batch)
            now = time.monotonic()
            timeout = self._sender.outbox.next_at(now) - now
            # Not by `wait_for`, which before Python 3.12 forgets a cancellation that comes just when there is something to send.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if timeout == float("inf") else timeout):
                    await self._sender.awake.wait()

    async def _post(self, batch: list[Outgoing]) -> None:
        body = {"messages": [message_fields(message) for message in batch]}
        try:
            results = decode_results(await self._session.request_once("POST", "messages", body))
        except SignedOut:
            self._sender.disconnected()
            raise
        except LetterlockError as error:
            # No answer, or none that can be read: the outcome is unknown. The same ids are answered as the first time.
            problem = error.problem if isinstance(error, Refused) else Problem("unavailable", 503, str(error))
            results = [(message.id, problem) for message in batch]
        self._sender.answered(answer for _, answer in results if isinstance(answer, Accepted))
        for id_, answer in results:
            if isinstance(answer, Problem):
                self._sender.refused(id_, answer)
