"""One session with ZooKeeper: short waits, reads side by side, and a cache that watches keep true.

ZooKeeper ends a session whose process it has not heard of for the session's time-out; ephemeral nodes end with it.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from kazoo.client import KazooClient, KazooState, TransactionRequest
from kazoo.exceptions import KazooException, NodeExistsError, NoNodeError
from kazoo.handlers.threading import KazooTimeoutError
from kazoo.retry import KazooRetry

from delivery.registry import LEASE_MS, RegistryAway

logger = logging.getLogger(__name__)

# How long one answer is waited for; and the first connection.
ANSWER_S = 1.0
CONNECT_S = 2.0


class Node(NamedTuple):
    """What a node holds."""

    data: bytes
    version: int
    children: int
    owner: int  # the session that it ends with; 0: none


class Session:
    """A client of its own. Every call raises `RegistryAway` when there is no answer in time."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.root = parts.path.rstrip("/")
        self._zk = KazooClient(
            hosts=parts.netloc, timeout=LEASE_MS / 1000,
            connection_retry=KazooRetry(max_tries=-1, delay=0.1, max_delay=1.0),
            command_retry=KazooRetry(max_tries=0),
        )  # fmt: skip
        self._zk.add_listener(self._state_changed)
        self._starting = threading.Lock()
        self._began = 0.0
        self._is_closing = False
        self._cached: dict[str, bytes | None] = {}
        # The same as it was when the connection was lost last.
        self._last_known: dict[str, bytes | None] = {}
        # How often something was to be forgotten; for each path, and for all, when that was last.
        self._changes = 0
        self._changed: dict[str, int] = {}
        self._changed_all = 0
        self._cache_lock = threading.Lock()

    @property
    def id(self) -> int:
        """The session's id; another one after it was lost."""
        found: int | None = self._zk.client_id[0] if self._zk.client_id else None
        return found or 0

    @property
    def timeout_ms(self) -> int:
        """After how long the server takes this process for dead."""
        return int(getattr(self._zk, "_session_timeout", LEASE_MS))

    def close(self) -> None:
        """End the session, and with it what is ephemeral."""
        self._is_closing = True
        self._zk.stop()
        self._zk.close()

    def _state_changed(self, state: str) -> None:
        # What changes while we are away is told to nobody: forget it all, but for the time in which nobody can be asked.
        if state != KazooState.CONNECTED:
            with self._cache_lock:
                self._last_known = dict(self._cached) or self._last_known
        self._forget_all()
        if state == KazooState.LOST and not self._is_closing:
            logger.warning("the session with ZooKeeper was lost")

    def _client(self) -> Any:
        if not self._began:
            with self._starting:
                if not self._began:
                    self._zk.start_async()
                    self._began = time.monotonic()
        if not self._zk.connected:
            # Only in the beginning is there something to wait for.
            patience = self._began + CONNECT_S - time.monotonic()
            if patience <= 0 or not _waited(lambda: bool(self._zk.connected), patience):
                raise RegistryAway
        return self._zk

    # --- reading -----------------------------------------------------------------------------------------------------

    def nodes(self, paths: Sequence[str]) -> list[Node | None]:
        """These nodes, asked for side by side; None for one that is not there."""
        client = self._client()
        return [_node(answer) for answer in _answers([client.get_async(self.root + path) for path in paths])]

    def children(self, paths: Sequence[str]) -> list[list[str]]:
        """The names of the nodes below these; none of one that is not there."""
        client = self._client()
        return [answer or [] for answer in _answers([client.get_children_async(self.root + path) for path in paths])]

    def exist(self, paths: Sequence[str]) -> list[bool]:
        """Whether there are such nodes."""
        client = self._client()
        return [answer is not None for answer in _answers([client.exists_async(self.root + path) for path in paths])]

    def cached(self, paths: Iterable[str]) -> dict[str, bytes | None]:
        """The data of these nodes, as new as ZooKeeper's last word to us: what is known needs no question.

        Without a connection, the data that these had when it was lost; what was not known then is left out.
        """
        paths = list(paths)
        try:
            return self._cached_or_asked(paths)
        except RegistryAway:
            with self._cache_lock:
                known = {**self._last_known, **self._cached}
            return {path: known[path] for path in paths if path in known}

    def _cached_or_asked(self, paths: Sequence[str]) -> dict[str, bytes | None]:
        client = self._client()
        with self._cache_lock:
            known = {path: self._cached[path] for path in paths if path in self._cached}
            began = self._changes
        missing = [path for path in paths if path not in known]
        asked = [client.get_async(self.root + path, watch=self._forget) for path in missing]
        for path, answer in zip(missing, _answers(asked), strict=True):
            known[path] = answer[0] if answer is not None else None
        absent = [path for path in missing if known[path] is None]
        # A watch on a node that is not there yet is set by another question.
        stats = _answers([client.exists_async(self.root + path, watch=self._forget) for path in absent])
        came = {path for path, stat in zip(absent, stats, strict=True) if stat is not None}
        with self._cache_lock:
            for path in missing:
                # A watch may have spoken before we came here: then the answer is an old one.
                if path not in came and max(self._changed.get(path, 0), self._changed_all) <= began:
                    self._cached[path] = known[path]
        return known

    def _forget(self, event: Any) -> None:
        if event.path is None:
            self._forget_all()
            return
        path = event.path[len(self.root) :]
        with self._cache_lock:
            self._changes += 1
            self._changed[path] = self._changes
            self._cached.pop(path, None)

    def _forget_all(self) -> None:
        with self._cache_lock:
            self._changes += 1
            self._changed_all = self._changes
            self._changed.clear()
            self._cached.clear()

    # --- writing -----------------------------------------------------------------------------------------------------

    def ensure(self, *paths: str) -> None:
        """Make these nodes, which outlive us, if they are not there."""
        client = self._client()
        for path in paths:
            self._do(partial(client.ensure_path_async, self.root + path))

    def create(self, path: str, data: bytes = b"", *, ephemeral: bool = True) -> bool:
        """Make a node; False if it is there."""
        client = self._client()
        try:
            self._do(lambda: client.create_async(self.root + path, data, ephemeral=ephemeral))
        except NodeExistsError:
            return False
        return True

    def set(self, path: str, data: bytes) -> bool:
        """Write into a node; False if it is not there."""
        client = self._client()
        return _answers([client.set_async(self.root + path, data)])[0] is not None

    def delete(self, paths: Iterable[str]) -> None:
        """Remove these nodes, if they are there."""
        client = self._client()
        _answers([client.delete_async(self.root + path) for path in paths])

    def delete_tree(self, path: str) -> None:
        """Remove a node with its children."""
        for name in self.children([path])[0]:
            self.delete_tree(f"{path}/{name}")
        self.delete([path])

    def together(self, plan: Callable[["Transaction"], None]) -> bool:
        """Do all of it, or nothing if one part does not fit any more: then False."""
        transaction = Transaction(self._client(), self.root)
        plan(transaction)
        results = self._do(transaction.request.commit_async)
        return not any(isinstance(result, Exception) for result in results)

    def _do(self, begin: Callable[[], Any]) -> Any:
        try:
            return begin().get(timeout=ANSWER_S)
        except (NodeExistsError, NoNodeError):
            raise
        except (KazooException, KazooTimeoutError, OSError) as error:
            raise RegistryAway from error


class Transaction:
    """The parts of one step."""

    def __init__(self, client: Any, root: str) -> None:
        self.request = TransactionRequest(client)
        self._root = root

    def create(self, path: str, data: bytes = b"", *, ephemeral: bool = True) -> None:
        """Make a node."""
        self.request.create(self._root + path, data, ephemeral=ephemeral)

    def set(self, path: str, data: bytes, version: int = -1) -> None:
        """Write, if the version is still this one."""
        self.request.set_data(self._root + path, data, version)

    def delete(self, path: str) -> None:
        """Remove."""
        self.request.delete(self._root + path)


def _answers(asked: Sequence[Any]) -> list[Any]:
    """The answers to questions that are under way; None where there is no such node."""
    deadline = time.monotonic() + ANSWER_S
    found: list[Any] = []
    try:
        for question in asked:
            try:
                found.append(question.get(timeout=max(0.001, deadline - time.monotonic())))
            except NoNodeError:
                found.append(None)
    except (KazooException, KazooTimeoutError, OSError) as error:
        raise RegistryAway from error
    return found


def _node(answer: tuple[bytes, Any] | None) -> Node | None:
    if answer is None:
        return None
    data, stat = answer
    return Node(data, stat.version, stat.numChildren, stat.ephemeralOwner)


def _waited(true: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.01)
    return True


def facts_by_name(names: Iterable[str], nodes: Iterable[Node | None]) -> Mapping[str, Node]:
    """The nodes that are there, by name."""
    return {name: node for name, node in zip(names, nodes, strict=True) if node is not None}
