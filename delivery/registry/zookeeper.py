"""The registry in ZooKeeper, for those who run one. What a host has said ends with its session.

<root>/hosts/<id>             ephemeral: what the host says; the lease is its session
<root>/drains/<id>            seconds, when somebody has asked the host to empty itself
<root>/routes/<id>            how many users have sockets there
<root>/routes/<id>/<slot>     ephemeral: those users, one a line, by slot of their ids
<root>/sent/<id>/<user>       ephemeral of whoever sent the user there, or of the host that the user has left; when that was
                              last, as a word of whoever said so
<root>/turns/<slot>           its version rises with every user of the slot who is sent somewhere

Who pushes asks for routes with every batch: they are kept in memory, and watches say which to read anew.
A user who has no socket is known for as long as it counts, `COUNTED_S` and not `KEPT_S`: nodes are dear (docs/adr/0051).
"""

import threading
import time
from collections import deque
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple
from uuid import uuid4
from zlib import crc32

from kazoo.exceptions import NoNodeError

from delivery.hosts import Load, choose
from delivery.registry import COUNTED_S, AllFull, Facts, HostState, NoHost, Place, RegistryAway, Renewal
from delivery.registry.zookeeper_session import Node, Session, Transaction, facts_by_name

SLOTS = 256
TRIES = 30
SWEEP_S = 30.0
# So many nodes are taken away by one question.
AT_ONCE = 100
BASE = ("/hosts", "/drains", "/routes", "/sent", "/turns")


def slot_of(user: str) -> str:
    """Where a user's route is noted."""
    return f"{crc32(user.encode()) % SLOTS:02x}"


def _word() -> bytes:
    """One that nobody else says."""
    return uuid4().bytes


class _Live(NamedTuple):
    """A live host, as it was just read."""

    facts: Facts
    routed: int
    sent: Node
    draining: bool

    def load(self, host: str, *, without: bool) -> Load:
        """For `choose`: the user who is asked about does not count."""
        return Load(host, self.routed + self.sent.children - without, self.facts.capacity, self.draining)


class ZooKeeperRegistry:
    """See `delivery.registry.Registry`."""

    def __init__(self, url: str) -> None:
        self._session = Session(url)
        self._is_ready = False
        # One asker at a time in each process; between processes the versions decide.
        self._asking = threading.Lock()
        self._routes: dict[str, dict[str, set[str]]] = {}
        # What we have noted of users who were sent, by when it is to be forgotten, and with which word.
        self._sent: deque[tuple[float, str, bytes]] = deque()
        self._swept = time.monotonic()

    def close(self) -> None:
        """End the session; for tests and for a process that ends."""
        self._session.close()

    # --- leases --------------------------------------------------------------------------------------------------------

    def renew(self, host: str, facts: Facts) -> Renewal:
        """See `Registry.renew`: the session renews itself, so this looks whether it is still the one that began."""
        self._prepare()
        path, data = f"/hosts/{host}", facts.dump()
        node, drain, routes, sent = self._session.nodes([path, f"/drains/{host}", f"/routes/{host}", f"/sent/{host}"])
        drain_s = None if drain is None else float(drain.data)
        # Who tidies up behind dead hosts may have taken what a host that came back had just made.
        was_known = node is not None and node.owner == self._session.id and None not in (routes, sent)
        if node is None or not was_known:
            if drain is None:
                drain_s = facts.drain_s
            self._begin(host, path, data, node, drain_s if drain is None else None)
        elif node.data != data:
            self._session.set(path, data)
        self._tidy()
        return Renewal(was_known and bool(self._routes.get(host)), drain_s)

    def _begin(self, host: str, path: str, data: bytes, old: Node | None, drain_s: float | None) -> None:
        """Register, after a first start, a lost session or a wipe; `drain_s` is an order that is known no more."""
        self._is_ready = False
        self._prepare()
        self._routes.pop(host, None)
        if old is not None:  # of the session before, which the server has not given up yet
            self._session.delete([path])
        self._session.delete_tree(f"/routes/{host}")
        self._session.ensure(f"/sent/{host}", f"/routes/{host}")
        self._session.set(f"/routes/{host}", b"0")

        def plan(step: Transaction) -> None:
            step.create(path, data)
            # Not a moment later: who finds a host registered and no order gives up emptying it.
            if drain_s is not None:
                step.create(f"/drains/{host}", str(drain_s).encode(), ephemeral=False)

        if not self._session.together(plan):
            raise RegistryAway  # somebody has written the same meanwhile: the next renewal sees what

    def leave(self, host: str) -> None:
        """See `Registry.leave`."""
        self._session.delete([f"/hosts/{host}", f"/drains/{host}"])
        self._routes.pop(host, None)
        for kind in ("routes", "sent"):
            self._session.delete_tree(f"/{kind}/{host}")

    def _prepare(self) -> None:
        if not self._is_ready:
            self._session.ensure(*BASE)
            self._is_ready = True

    def _tidy(self) -> None:
        """Forget who was sent and did not come; now and then, what dead hosts have left."""
        now = time.monotonic()
        while over := self._over(now):
            nodes = self._session.nodes([path for path, _ in over])
            # Where another word stands, somebody has sent the user there again since.
            mine = [path for (path, word), node in zip(over, nodes, strict=True) if node and node.data == word]
            self._session.delete(mine)
            # Not before: what could not be deleted counts for as long as our session, and must be tried again.
            for _ in over:
                self._sent.popleft()
        if now - self._swept > SWEEP_S:
            self._swept = now
            noted = self._session.children(["/routes", "/sent", "/drains"])
            # Asked for last: a host registers before it notes anything.
            (live,) = self._session.children(["/hosts"])
            for kind, names in zip(("routes", "sent", "drains"), noted, strict=True):
                for name in set(names) - set(live):
                    self._session.delete_tree(f"/{kind}/{name}")

    def _over(self, now: float) -> list[tuple[str, bytes]]:
        """Those to be forgotten by now, a few of them. By their places: other threads add behind them meanwhile."""
        found: list[tuple[str, bytes]] = []
        for place in range(min(len(self._sent), AT_ONCE)):
            due, path, word = self._sent[place]
            if due > now:
                break
            found.append((path, word))
        return found

    # --- routes --------------------------------------------------------------------------------------------------------

    def route(self, host: str, *, add: Iterable[str] = (), remove: Iterable[str] = ()) -> None:
        """See `Registry.route`."""
        added, removed = set(add), set(remove)
        routes = self._routes.setdefault(host, {})
        changed: dict[str, set[str]] = {}
        for user in added | removed:
            slot = slot_of(user)
            users = changed.setdefault(slot, set(routes.get(slot, ())))
            users.add(user) if user in added else users.discard(user)
        left = [user for user in removed if user in routes.get(slot_of(user), ())]
        for slot, users in changed.items():
            self._note(f"/routes/{host}/{slot}", "\n".join(sorted(users)).encode())
            routes[slot] = users
        self._session.set(f"/routes/{host}", b"%d" % sum(map(len, routes.values())))
        self._expected_no_more(added)
        for user in left:
            self._remember(host, user)

    def _note(self, path: str, data: bytes) -> None:
        try:
            if not self._session.set(path, data):
                self._session.create(path, data)
        except NoNodeError as error:
            # Everything was wiped, or our session has ended: the next renewal begins anew.
            raise RegistryAway from error

    def _expected_no_more(self, users: set[str]) -> None:
        if not users:
            return
        hosts = self._session.children(["/sent"])[0]
        if len(users) == 1:
            (user,) = users
            paths = [f"/sent/{host}/{user}" for host in hosts]
            there = [path for path, is_there in zip(paths, self._session.exist(paths), strict=True) if is_there]
        else:
            found = self._session.children([f"/sent/{host}" for host in hosts])
            there = [
                f"/sent/{host}/{user}" for host, sent in zip(hosts, found, strict=True) for user in users & set(sent)
            ]
        self._session.delete(there)

    def _remember(self, host: str, user: str) -> None:
        path, word = f"/sent/{host}/{user}", _word()
        try:
            if not self._session.create(path, word):
                self._session.set(path, word)
        except NoNodeError:
            return
        self._forget_later(path, word)

    def hosts(self) -> list[str]:
        """See `Registry.hosts`."""
        return sorted(self._session.children(["/hosts"])[0])

    def holding(self, hosts: Collection[str], users: Collection[str]) -> dict[str, set[str]]:
        """See `Registry.holding`: from memory, but for what has changed.

        While nobody can be asked, from what was known last; any host may hold those of whom nothing is known.
        """
        by_slot: dict[str, set[str]] = {}
        for user in users:
            by_slot.setdefault(slot_of(user), set()).add(user)
        noted = self._session.cached(f"/routes/{host}/{slot}" for host in hosts for slot in by_slot)
        held: dict[str, set[str]] = {host: set() for host in hosts}
        for host in hosts:
            for slot, asked in by_slot.items():
                path = f"/routes/{host}/{slot}"
                held[host] |= asked & set((noted[path] or b"").decode().split("\n")) if path in noted else asked
        return held

    # --- assignments -----------------------------------------------------------------------------------------------------

    def states(self) -> list[HostState]:
        """See `Registry.states`."""
        return [
            HostState(host, live.facts, live.routed + live.sent.children, live.draining, self._session.timeout_ms)
            for host, live in sorted(self._live().items())
        ]

    def _live(self) -> Mapping[str, _Live]:
        hosts, drains = self._session.children(["/hosts", "/drains"])
        facts = facts_by_name(hosts, self._session.nodes([f"/hosts/{host}" for host in hosts]))
        noted = self._session.nodes([f"/{kind}/{host}" for host in facts for kind in ("routes", "sent")])
        found: dict[str, _Live] = {}
        for host, routes, sent in zip(facts, noted[::2], noted[1::2], strict=True):
            if routes is not None and sent is not None:
                said = Facts.load(facts[host].data)
                found[host] = _Live(said, int(routes.data or 0), sent, said.draining or host in drains)
        return found

    def assign(self, user: str) -> Place:
        """See `Registry.assign`: read, choose, and write if nothing has changed since; else again."""
        with self._asking:
            for _ in range(TRIES):
                if place := self._try_to_assign(user):
                    return place
        raise RegistryAway  # too many ask at the same time

    def _try_to_assign(self, user: str) -> Place | None:
        self._prepare()
        turn, slot = f"/turns/{slot_of(user)}", slot_of(user)
        (turned,) = self._session.nodes([turn])
        if turned is None:
            self._session.ensure(turn)
            return None
        live = self._live()
        routes = self._session.nodes([f"/routes/{host}/{slot}" for host in live])
        holding = {
            host for host, node in zip(live, routes, strict=True) if node and user.encode() in node.data.split(b"\n")
        }
        sent = [f"/sent/{host}/{user}" for host in live]
        counted = {host for host, is_there in zip(live, self._session.exist(sent), strict=True) if is_there}
        loads = [each.load(host, without=host in counted) for host, each in live.items()]
        chosen = choose(user, loads, holding=holding, counted=counted)
        if chosen is None:
            raise AllFull if any(not load.draining for load in loads) else NoHost

        noted, word = f"/sent/{chosen}/{user}", _word()

        def plan(step: Transaction) -> None:
            step.set(turn, b"", turned.version)
            for host in counted - {chosen}:
                step.delete(f"/sent/{host}/{user}")
            if chosen in holding:
                return
            if chosen in counted:
                step.set(noted, word)  # the user counts from now on, whoever of us has sent it there before
            else:
                # Whoever sends somebody else there at the same time has counted without this user.
                step.set(f"/sent/{chosen}", b"", live[chosen].sent.version)
                step.create(noted, word)

        if chosen not in holding or counted - {chosen}:
            try:
                if not self._session.together(plan):
                    return None
            except RegistryAway:
                # It may have been done all the same, and must not count for ever.
                self._forget_later(noted, word)
                raise
            if chosen not in holding:
                self._forget_later(noted, word)
        return Place(chosen, live[chosen].facts.url)

    def _forget_later(self, path: str, word: bytes) -> None:
        self._sent.append((time.monotonic() + COUNTED_S, path, word))

    def drain(self, host: str, seconds: float | None) -> bool:
        """See `Registry.drain`."""
        self._prepare()
        if not self._session.exist([f"/hosts/{host}"])[0]:
            return False
        path = f"/drains/{host}"
        if seconds is None:
            self._session.delete([path])
        elif not self._session.set(path, (data := str(seconds).encode())):
            self._session.create(path, data, ephemeral=False)
        return True
