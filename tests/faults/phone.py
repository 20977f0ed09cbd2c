"""One device under faults: its socket, its outbox, its notes in the ledger. It does what docs/protocol.md §4.4 asks of a client.

It keeps each message until it is accepted, repeats with the same id and in order per room, backs off with full jitter,
honours `retry_after`, acknowledges what it has written down, resumes after whatever cut it off. A device sends either on
its socket or over REST, as it was made; order is promised for each of the two by itself.
"""

import asyncio
import random
import time
from collections import defaultdict
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import httpx
from picows import WSError, ws_connect

from tests.faults import wire
from tests.faults.backoff import Tries
from tests.faults.ledger import Ack, Connection, DeviceLog, Got, Ledger, Message, Read, Receipt
from tests.faults.line import Line

ACK_S = 0.045  # §4.4: at the latest after 50 ms …
IN_FLIGHT = 200  # of one room, on a socket
IN_A_FRAME = 50
IN_A_POST = 100
POST_S = 0.2  # between the POSTs of one phone
SILENT_S = 50.0
# What the most patient wait for an answer; over REST, all of them.
PATIENT_S = 20.0
HANDSHAKE_S = 5.0
ASK_S = 3.0
WELCOME_S = 12.0
REFRESH_BEFORE_MS = 120_000


@dataclass(slots=True)
class Post:
    """One POST of messages: when it began (monotonic) and, when it is over, how long it took and what came (0: nothing)."""

    began: float
    seconds: float = 0.0
    status: int | None = None


class Silence(NamedTuple):
    """A send over a socket for whose answer its device did not wait any longer: when it began, how long it had waited."""

    began: float
    seconds: float


class World(Protocol):
    """What a phone needs of the load around it."""

    urls: list[str]
    http: httpx.AsyncClient
    ledger: Ledger

    def at(self) -> int:
        """The number of the next event."""

    def composed(self, message: Message) -> None: ...
    def accepted(self, id: str) -> None: ...
    def refused(self) -> None: ...
    def posting(self, post: Post) -> None: ...
    def posted(self, post: Post) -> None: ...
    def silent(self, silence: Silence) -> None: ...
    def arrived(self, phone: "Phone", id: str) -> None: ...


class Phone:
    """A device. `patience_s` is how long it waits for an answer before it tries another host.

    If it `asks`, it goes where the server assigns it (§4.5); else to the hosts in turn, and home again after a while.
    """

    def __init__(
        self,
        world: World,
        session: dict[str, Any],
        *,
        home: int,
        asks: bool,
        by_rest: bool,
        is_commuter: bool,
        patience_s: float,
    ) -> None:
        self.world, self.session = world, session
        self.user, self.id = session["user"]["id"], session["device"]["id"]
        self.log = world.ledger.devices.setdefault(self.id, DeviceLog(self.user))
        self.rooms: list[str] = []
        self.asks, self.is_commuter, self.by_rest = asks, is_commuter, by_rest
        self.doubles = self.reconnects = self.repeats = self.goodbyes = self.unwelcome = 0
        # How often it was told where to go, and how often that was another host than the one that told it.
        self.placed = self.placed_elsewhere = 0
        self._home, self._patience_s = home, patience_s
        self._at = home
        self._line: Line | None = None
        self._connecting = Tries()
        self._offline_until = 0.0
        # When it is to go to which of the hosts, because its own asked it to.
        self._leaving: tuple[float, int] | None = None
        # The mailbox as far as it is written down here.
        self.has = 0
        self._latest: dict[str, int] = {}
        # Sending: per room, what is not answered yet, in order; what of it is under way on this socket, since when.
        self._numbers: dict[str, int] = defaultdict(int)
        self._sent_at = 0
        self._outbox: dict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
        self._under_way: dict[str, dict[str, float]] = defaultdict(dict)
        self._stalled_until: dict[str, float] = defaultdict(float)
        self._sending: dict[str, Tries] = defaultdict(Tries)
        self._refreshing = asyncio.Lock()
        # What its socket waits for and what its POSTs do, each since when (monotonic), for people.
        self._doing = self._posting = ("nothing yet", 0.0)
        # The server has revoked the device: there is no coming back.
        self.is_signed_out = False

    @property
    def is_up(self) -> bool:
        """Whether it has a socket that was welcomed."""
        return self._line is not None and self._line.log is not None

    def is_settled(self, newest: int) -> bool:
        """Connected, caught up with its user's other devices, everything answered and acknowledged."""
        line = self._line
        return line is not None and line.drained and not self.unanswered and line.acked == line.newest == newest

    @property
    def unanswered(self) -> int:
        """How many messages have no answer yet."""
        return sum(map(len, self._outbox.values()))

    def state(self) -> str:
        """Where it is, for people."""
        line = self._line
        socket = (
            f"{self._at} drained={line.drained} {line.newest} acknowledged={line.acked}"
            if line and line.log
            else "none"
        )
        now = time.monotonic()
        doing, posting = (f"{what} for {now - since:.1f} s" for what, since in (self._doing, self._posting))
        sends = f"REST ({posting})" if self.by_rest else "socket"
        sends += ", signed out," if self.is_signed_out else ""
        return (
            f"of {self.user} sends by {sends}, {self.unanswered} unanswered; has {self.has}; "
            f"socket {socket} ({doing}); {self.reconnects} reconnects"
        )

    def lacks(self, id: str) -> bool:
        """Whether this message is not among the last that it got."""
        got = (entry.message for log in self.log.connections[-2:] for entry in log.entries[-2_000:])
        return not any(message is not None and message.id == id for message in got)

    # --- the socket ----------------------------------------------------------------------------------------------------

    async def live(self) -> None:
        """Be connected, for ever."""
        while True:
            await asyncio.sleep(max(0.0, self._offline_until - time.monotonic()))
            line, self._line, self._leaving = None, None, None
            try:
                self._does("refreshing")
                await self.refresh_if_due()
                self._line = line = await self._opened()
                self._does("connected")
                if not await line.welcomed(WELCOME_S):
                    self.unwelcome += 1
                    continue
                await line.over.wait()
            except (OSError, WSError, TimeoutError, httpx.HTTPError):
                pass
            finally:
                if line is not None:
                    line.drop()
                self.reconnects += 1
                self._at = (self._at + 1) % len(self.world.urls)
            self._does("backing off")
            await asyncio.sleep(self._connecting.failed())

    def _does(self, what: str) -> None:
        self._doing = (what, time.monotonic())

    async def _opened(self) -> Line:
        """A socket at the host in turn or, if it asks, at the one it is told; if that cannot be reached, at the one that told it."""
        asked = self._at
        if self.asks:
            self._does(f"asking {asked}")
            self._at = await self._assignment(asked)
        if self._at != asked:
            try:
                return await self._dialled()
            except (OSError, WSError, TimeoutError):
                self._at = asked
        return await self._dialled()

    async def _dialled(self) -> Line:
        line = Line(self)
        self._does(f"dialling {self._at}")
        url = f"{self.world.urls[self._at].replace('http', 'ws', 1)}/api/v1/socket"
        try:
            await ws_connect(lambda: line, url, websocket_handshake_timeout=HANDSHAKE_S, proxy=None)
        except BaseException:
            line.drop()
            raise
        return line

    async def _assignment(self, asked: int) -> int:
        """Which of the hosts one of them says; that one itself if it does not say."""
        urls, headers = self.world.urls, {"Authorization": f"Bearer {self.session['access']}"}
        try:
            answer = await self.world.http.get(f"{urls[asked]}/api/v1/hosts/assignment", headers=headers, timeout=ASK_S)
        except (OSError, httpx.HTTPError):
            return asked
        if answer.status_code == 401:
            self.session["access_expires_at"] = 0
        elif answer.status_code == 200 and (url := answer.json()["url"]) in urls:
            self.placed += 1
            self.placed_elsewhere += urls.index(url) != asked
            return urls.index(url)
        elif answer.status_code not in (429, 503):
            self._surprise(f"assignment: {answer.status_code} {answer.text[:200]}")
        return asked

    def hung_up(self, code: int | None) -> None:
        """The server said goodbye. Only a restart is a reason for it here."""
        self.goodbyes += 1
        if code != 1012:
            self._surprise(f"close {code}")

    def go_offline(self, seconds: float) -> None:
        """Vanish for a while."""
        self._offline_until = time.monotonic() + seconds
        if self._line is not None:
            self._line.drop()

    def go_home(self) -> bool:
        """Move to the host it was given, if it is elsewhere and does not ask."""
        if self.asks or self._line is None or self._line.log is None or self._at == self._home:
            return False
        self._at = self._home - 1
        self._line.drop()
        return True

    def tick(self, now: float) -> None:
        """About every 20 ms."""
        line = self._line
        if line is None or line.log is None:
            return
        if self._leaving is not None and now >= self._leaving[0]:
            self._at = self._leaving[1] - 1
            self._leaving = None
            line.drop()
            return
        if line.newest > line.acked and (now - line.acked_at >= ACK_S or line.newest - line.acked >= line.window // 4):
            line.acked, line.acked_at = line.newest, now
            self.log.acks.append(Ack(self.world.at(), line.newest))
            line.send(wire.frame("ack", seq=line.newest))
        if now - line.heard_at > SILENT_S:
            line.drop()
        if not self.by_rest:
            self._pump(line, now)

    def reads(self) -> None:
        """Its user has read one of the rooms."""
        if self.is_up and self._latest and self._line is not None:
            room, seq = random.choice(list(self._latest.items()))
            self.world.ledger.reads.append(Read(self.world.at(), self.user, room, seq))
            self._line.send(wire.frame("read", room=room, seq=seq, ref="read"))

    def heard(self, line: Line, frame: dict[str, Any]) -> None:
        """A frame of §4.2."""
        match frame:
            case {"type": "entries", "entries": entries}:
                self._take(line, entries)
            case {"type": "accepted", "messages": messages}:
                for message in messages:
                    self._accepted(message)
            case {"type": "receipts", "receipts": receipts}:
                self._told(receipts)
            case {"type": "welcome"}:
                line.log = Connection(self.world.at(), frame["acknowledged"])
                line.window = frame["window"]
                self.log.connections.append(line.log)
                line.newest = line.acked = frame["acknowledged"]
                self._under_way.clear()
                self._connecting.worked()
                line.begun.set()
            case {"type": "drained", "seq": seq} if line.log and not line.drained:
                line.drained = True
                last = line.log.entries[-1].seq if line.log.entries else line.log.acknowledged
                if seq != last:
                    self._surprise(f"drained at {seq}, the last entry was {last}")
            case {"type": "error", "problem": {"status": 401}}:
                self.session["access_expires_at"] = 0
            case {"type": "error", "ref": "read", "problem": {"status": 503}}:
                pass
            case {"type": "error", "problem": problem}:
                self._refused(problem)
            case {"type": "reconnect", "url": url, "after_ms": after_ms}:
                known = self.world.urls.index(url) if url in self.world.urls else self._at + 1
                self._leaving = time.monotonic() + random.uniform(0.0, after_ms / 1000), known % len(self.world.urls)
            case {"type": "read"}:
                pass
            case _:
                self._surprise(f"frame {frame}")

    def _take(self, line: Line, entries: list[dict[str, Any]]) -> None:
        if line.log is None:
            self._surprise("entries before welcome")
            return
        for entry in entries:
            message = wire.message_of(entry)
            # Kept once, however many devices get it: a long run receives millions.
            if message is not None and message == (tried := self.world.ledger.tried.get(message.id)):
                message = tried
            line.newest = entry["seq"]
            line.log.entries.append(Got(entry["seq"], message))
            if entry["seq"] <= self.has:
                self.doubles += 1
                continue
            self.has = entry["seq"]
            if message is not None:
                self._latest[message.room] = entry["seq"]
                self.world.arrived(self, message.id)

    def _told(self, receipts: list[dict[str, Any]]) -> None:
        at = self.world.at()
        for told in receipts:
            for what in ("delivered", "read"):
                if told.get(what):
                    receipt = Receipt(
                        at, self.user, told["user"], told["room"], told["device"], told[what], what == "read"
                    )
                    self.world.ledger.receipts.append(receipt)

    # --- sending -------------------------------------------------------------------------------------------------------

    def compose(self, room: str) -> None:
        """Put one more message in the outbox."""
        self._numbers[room] += 1
        self._sent_at = max(time.time_ns() // 1_000_000, self._sent_at + 1)
        message = Message(wire.new_id(), room, self.user, self.id, self._numbers[room])
        self.world.composed(message)
        self._outbox[room][message.id] = wire.composed(message, self._sent_at)

    def _pump(self, line: Line, now: float) -> None:
        """Send what is not under way; everything of a room again, in order, after a refusal or on a new socket."""
        due = []
        for room, outbox in self._outbox.items():
            under_way = self._under_way[room]
            if under_way and now - (began := next(iter(under_way.values()))) > self._patience_s:
                self.world.silent(Silence(began, now - began))
                line.drop()
                return
            if len(under_way) < len(outbox) and now >= self._stalled_until[room]:
                for id in list(outbox)[:IN_FLIGHT]:
                    if id not in under_way:
                        under_way[id] = now
                        due.append(outbox[id])
        for start in range(0, len(due), IN_A_FRAME):
            line.send(wire.frame("send", messages=due[start : start + IN_A_FRAME]))

    async def post(self) -> None:
        """Send over REST, one POST at a time, to either host, to the other one after a failure; for phones made so."""
        tries = Tries()
        at = self._home
        while True:
            batch = [message for outbox in self._outbox.values() for message in list(outbox.values())[:IN_A_POST]][
                :IN_A_POST
            ]
            if not batch:
                await asyncio.sleep(0.05)
                continue
            post, failure = None, ""
            try:
                self._posting = (f"refreshing before a POST, after {self._posting[0]}", time.monotonic())
                await self.refresh_if_due()
                post = Post(time.monotonic())
                self.world.posting(post)
                self._posting = (f"a POST to {at % len(self.world.urls)}", post.began)
                wait, status = await self._post(self.world.urls[at % len(self.world.urls)], batch)
            except (OSError, httpx.HTTPError) as error:
                wait, status = 0.0, 0
                failure = f" ({error!r} at {at % len(self.world.urls)})"
                at += 1
            if post is not None:
                post.seconds, post.status = time.monotonic() - post.began, status
                self.world.posted(post)
            self._posting = (f"resting after status {status}{failure}, failure {tries.failures}", time.monotonic())
            if wait is None:
                tries.worked()
                await asyncio.sleep(random.uniform(0.5, 1.5) * POST_S)
            else:
                self.repeats += 1
                await asyncio.sleep(tries.failed(wait))

    async def _post(self, url: str, batch: list[dict[str, Any]]) -> tuple[float | None, int]:
        """One POST; None when everything was accepted, else how long to wait at least before the next; and the status."""
        headers = {"Authorization": f"Bearer {self.session['access']}"}
        answer = await self.world.http.post(
            f"{url}/api/v1/messages", json={"messages": batch}, headers=headers, timeout=PATIENT_S
        )
        if answer.status_code == 401:
            self.session["access_expires_at"] = 0
            return 0.0, 401
        if answer.status_code != 200:
            if answer.status_code not in (429, 503):
                self._surprise(f"POST: {answer.status_code} {answer.text[:200]}")
            return float(answer.headers.get("retry-after", 0)), answer.status_code
        wait, status = None, 200
        for result in answer.json()["results"]:
            if result["status"] == 200:
                self._accepted(result["message"])
            elif result["status"] in (429, 503):
                wait, status = max(wait or 0.0, float(result["error"].get("retry_after", 0))), result["status"]
            else:
                self._surprise(f"POST: {result['error']}")
        return wait, status

    def _accepted(self, message: dict[str, Any]) -> None:
        self.world.ledger.accepted.setdefault(message["id"], set()).add(message["accepted_at"])
        room = message["room"]
        self._sending[room].worked()
        if self._outbox[room].pop(message["id"], None) is not None:
            self.world.accepted(message["id"])
        self._under_way[room].pop(message["id"], None)

    def _refused(self, problem: dict[str, Any]) -> None:
        """A send was refused on the socket: wait, then send all of the room again, in order."""
        id = problem.get("id", "")
        room = next((room for room, outbox in self._outbox.items() if id in outbox), None)
        if room is None and problem["status"] == 503 and id in self.world.ledger.accepted:
            return  # of an earlier copy; a later one was accepted
        if room is None or problem["status"] not in (429, 503):
            self._surprise(f"error {problem}")
            return
        self.repeats += 1
        self.world.refused()
        if self._under_way.pop(room, None):
            self._stalled_until[room] = time.monotonic() + self._sending[room].failed(
                float(problem.get("retry_after", 0))
            )

    async def refresh_if_due(self) -> None:
        """One at a time (§3.4); the same token again if the answer was lost."""
        async with self._refreshing:
            if self.session["access_expires_at"] - time.time() * 1000 <= REFRESH_BEFORE_MS:
                await self._refresh()

    async def _refresh(self) -> None:
        """At either host; at the other one if that cannot be reached, since everybody comes back at once when a host has died."""
        first, *others = random.sample(self.world.urls, len(self.world.urls))
        try:
            answer = await self._ask_for_tokens(first)
        except httpx.ConnectError:
            answer = await self._ask_for_tokens(others[0])
        if answer.status_code == 200:
            self.session.update(answer.json())
        elif answer.status_code not in (429, 503):
            self._surprise(f"refresh: {answer.status_code} {answer.text[:200]}")
            self.is_signed_out = answer.status_code == 401
            await asyncio.sleep(1.0)

    async def _ask_for_tokens(self, url: str) -> httpx.Response:
        form = {"refresh": self.session["refresh"]}
        return await self.world.http.post(f"{url}/api/v1/accounts/refresh", json=form, timeout=5.0)

    def _surprise(self, what: str) -> None:
        self.world.ledger.surprises.append(f"{self.id}: {what}")
