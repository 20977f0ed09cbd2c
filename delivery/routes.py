"""The routes of one host's users in the registry: who has a socket here, told to the workers that push."""

import asyncio
import logging
from collections import deque
from collections.abc import Collection, KeysView
from concurrent.futures import ThreadPoolExecutor

from delivery.registry import Registry, RegistryAway

logger = logging.getLogger(__name__)


class Routes:
    """Publishes who comes and goes, in the registry's one thread: a crowd is one call and not thousands.

    `here` is a view of the users that have sockets, as it is at any moment. All but `_publish` runs on the event loop.
    """

    def __init__(self, *, host: str, registry: Registry, threads: ThreadPoolExecutor, here: KeysView[str]) -> None:
        self._host = host
        self._registry = registry
        self._threads = threads
        self._here = here
        # Users whose route is known to be published; more may be.
        self._published: set[str] = set()
        # Who has come or gone since routes were published last, with where to note that it is done.
        self._changed: deque[tuple[str, list[str]]] = deque()
        # Users who have gone and whose route could not be taken away. Of the registry's thread.
        self._left_behind: set[str] = set()

    def __contains__(self, user: str) -> bool:
        return user in self._published

    async def came(self, users: Collection[str]) -> bool:
        """Publish the routes of these users; False when none could be: the next renewal tries again."""
        done: list[str] = []
        self._changed.extend((user, done) for user in users)
        await asyncio.get_running_loop().run_in_executor(self._threads, self._publish)
        self._published.update(self._here & done)
        return bool(done)

    def left(self, user: str) -> None:
        """The user's last socket is gone."""
        self._published.discard(user)
        self._changed.append((user, []))
        self._threads.submit(self._take_away)

    async def renewed(self, *, is_known: bool) -> bool:
        """Publish what is missing, everything if the registry had forgotten this host; whether anything was published."""
        if not is_known:
            self._published.clear()
        return await self.came(self._here - self._published)

    def _take_away(self) -> None:
        """`_publish`, where nobody waits for it who would be told."""
        try:
            self._publish()
        except Exception:
            logger.exception(
                "routes of users who have gone could not be taken away; that is tried again with the next change"
            )

    def _publish(self) -> None:
        """In the registry's thread: the routes of all who have come or gone.

        Who is here is asked only now: what has changed since is in the queue again, for the next turn.
        """
        batch = []
        while self._changed:
            batch.append(self._changed.popleft())
        users = {user for user, _ in batch} | self._left_behind
        if not users:
            return
        here = {user for user in users if user in self._here}
        self._left_behind = users - here
        try:
            self._registry.route(self._host, add=here, remove=users - here)
        except RegistryAway:
            logger.debug("routes stay as they are until the next renewal")
            return
        self._left_behind = set()
        for user, done in batch:
            done.append(user)
