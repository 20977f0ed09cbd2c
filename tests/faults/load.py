"""The load under which things are killed: phones on sockets and REST at a steady rate, and how long messages take.

The rate is offered, not asked for: while something is down, messages gather in the phones' outboxes, as they would with
people. A message is *delivered* when every device of every member of its room has it; commuters do not count.
"""

import asyncio
import logging
import os
import random
import secrets
import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, count
from pathlib import Path
from typing import Any, Self

import httpx

from tests.faults.ledger import Ledger, Message, Receipt
from tests.faults.phone import PATIENT_S, Phone, Post, Silence

TICK_S = 0.02
RUNNING = Path("/proc/loadavg")
PEOPLE = 10
PAIRS = 12
GROUP = 6
MOVE_S = 0.4
READ_S = 0.2
COMMUTE_S = 4.0


@dataclass(slots=True)
class Journey:
    """One message on its way: seconds on the monotonic clock, and how many devices still lack it."""

    composed_at: float
    lacking: int
    accepted_at: float = 0.0
    delivered_at: float = 0.0


# A line for each request and each socket would be most of what a failed run shows.
for _chatty in ("httpx", "picows"):
    logging.getLogger(_chatty).setLevel(logging.WARNING)


class Load:
    """`async with Load(urls, rate=320) as load`: from then on messages flow until `quiet`."""

    def __init__(self, urls: Sequence[str], *, rate: float) -> None:
        self.urls = list(urls)
        self.rate = rate
        self.ledger = Ledger()
        self.phones: list[Phone] = []
        self.journeys: dict[str, Journey] = {}
        self.slowest_tick = 0.0
        self._crowds: list[tuple[float, int]] = []
        # In order of their beginning; those under way too.
        self.posts: list[Post] = []
        self.silences: list[Silence] = []
        # When a send was last refused for the time being.
        self.last_refusal = 0.0
        # While something is struck, nobody is sent back to the host that it was given: it may be the one that is away.
        self.struck = 0
        # When something was composed, and when something was accepted, in order of time.
        self._composed: list[float] = []
        self._accepted: list[float] = []
        self._undelivered: dict[str, Journey] = {}
        self._devices_of: dict[str, int] = {}
        self._writers: list[tuple[Phone, str]] = []
        self._events = count(1)
        self._tasks: list[asyncio.Task[None]] = []
        self._is_composing = False

    async def __aenter__(self) -> Self:
        self.http = httpx.AsyncClient(
            timeout=30.0, limits=httpx.Limits(max_connections=50), trust_env=False, verify=False
        )
        await self._cast()
        for phone in self.phones:
            self._tasks.append(asyncio.create_task(phone.live()))
            if phone.by_rest:
                self._tasks.append(asyncio.create_task(phone.post()))
        self._is_composing = True
        self._tasks.append(asyncio.create_task(self._tick()))
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.http.aclose()

    # --- phones.World ----------------------------------------------------------------------------------------------------

    def at(self) -> int:
        """See `World.at`."""
        return next(self._events)

    def composed(self, message: Message) -> None:
        """A phone has a new message in its outbox."""
        self.ledger.tried[message.id] = message
        journey = Journey(time.monotonic(), self._devices_of[message.room])
        self.journeys[message.id] = self._undelivered[message.id] = journey
        self._composed.append(journey.composed_at)

    def accepted(self, id: str) -> None:
        """It was answered."""
        self.journeys[id].accepted_at = now = time.monotonic()
        self._accepted.append(now)

    def posting(self, post: Post) -> None:
        """A POST begins."""
        self.posts.append(post)

    def posted(self, post: Post) -> None:
        """It was answered, or was not."""
        if post.status in (429, 503):
            self.refused()

    def silent(self, silence: Silence) -> None:
        """A send over a socket was not answered for as long as its device waits."""
        self.silences.append(silence)

    def refused(self) -> None:
        """A send was refused for the time being."""
        self.last_refusal = time.monotonic()

    def arrived(self, phone: Phone, id: str) -> None:
        """A device has it, for the first time."""
        journey = self.journeys.get(id)
        if journey is None or phone.is_commuter:
            return
        journey.lacking -= 1
        if not journey.lacking:
            journey.delivered_at = time.monotonic()
            self._undelivered.pop(id, None)

    # --- what can be seen of it --------------------------------------------------------------------------------------------

    def oldest(self) -> float:
        """The age in seconds of the oldest message that not every device has."""
        journey = next(iter(self._undelivered.values()), None)
        return time.monotonic() - journey.composed_at if journey else 0.0

    def latencies(self, since: float, until: float) -> list[float]:
        """Seconds from the outbox to the last device, for the messages composed in this time, in rising order."""
        found = (j for j in self.journeys.values() if since <= j.composed_at < until and j.delivered_at)
        return sorted(journey.delivered_at - journey.composed_at for journey in found)

    def accepted_between(self, since: float, until: float) -> int:
        """How many messages were accepted in this time."""
        return bisect_left(self._accepted, until) - bisect_left(self._accepted, since)

    def composed_between(self, since: float, until: float) -> int:
        """How many were offered in this time: fewer than the rate says if this process was held up."""
        return bisect_left(self._composed, until) - bisect_left(self._composed, since)

    def unanswered(self, since: float, until: float, within: float) -> list[Post | Silence]:
        """What was sent in this time and got no answer at all within so many seconds.

        Of POSTs, all that failed or took longer; of sends over sockets, those whose devices waited that long.
        """
        posts = [post for post in self.posts if not post.status or post.seconds > within]
        silences = [silence for silence in self.silences if silence.seconds > within]
        return [sent for sent in (*posts, *silences) if since <= sent.began <= until]

    def crowd(self, since: float, until: float) -> float:
        """How many threads of this machine wanted to run at a time, for each of its cores, on average; 0 where that cannot be known."""
        found = [
            running
            for _, running in self._crowds[
                bisect_left(self._crowds, (since, 0)) : bisect_left(self._crowds, (until, 0))
            ]
        ]
        return sum(found) / len(found) / (os.cpu_count() or 1) if found else 0.0

    async def quiet(self, seconds: float) -> bool:
        """Send nothing new and wait until everything is answered, delivered and acknowledged; False if it is not in time."""
        self._is_composing = False
        deadline = time.monotonic() + seconds
        while self._undelivered or self._unsettled():
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(0.05)
        return True

    async def markers(self) -> list[Receipt]:
        """What each user is told when asking how far the others have come with the user's messages (§3, receipts of a room)."""
        found = []
        phones = {phone.user: phone for phone in self.phones}
        for room, members in self.ledger.rooms.items():
            for user in members:
                answer = await self._get(phones[user], f"rooms/{room}/receipts")
                for told in answer["receipts"]:
                    for what in ("delivered", "read"):
                        if told[what]:
                            found.append(
                                Receipt(self.at(), user, told["user"], room, told["device"], told[what], what == "read")
                            )
        return found

    def held_up(self) -> str:
        """What the oldest message waits for, for people: its sender, until it is accepted, then devices."""
        if (oldest := next(iter(self._undelivered), None)) is None:
            return "nothing is held up"
        message, journey = self.ledger.tried[oldest], self.journeys[oldest]
        age, members = time.monotonic() - journey.composed_at, self.ledger.rooms[message.room]
        if not journey.accepted_at:
            sender = next(phone for phone in self.phones if phone.id == message.device)
            return f"{age:.1f} s old and not accepted, sender: {sender.id} {sender.state()}"
        lacking = [phone for phone in self.phones if phone.user in members and phone.lacks(oldest)]
        states = "; ".join(f"{phone.id} {phone.state()}" for phone in lacking if not phone.is_commuter)
        return (
            f"{age:.1f} s old, accepted after {journey.accepted_at - journey.composed_at:.1f} s, missing on: {states}"
        )

    def unsettled(self) -> str:
        """What keeps `quiet` and recoveries waiting, for people."""
        found = [f"{len(self._undelivered)} undelivered, {sum(phone.unanswered for phone in self.phones)} unanswered"]
        if oldest := next(iter(self._undelivered), None):
            message, journey = self.ledger.tried[oldest], self.journeys[oldest]
            age, answer = time.monotonic() - journey.composed_at, "accepted" if journey.accepted_at else "not answered"
            found.append(f"the oldest: {message}, {age:.1f} s old, {answer}, missing on {journey.lacking} devices")
        return "\n".join([*found, *(f"{phone.id} {phone.state()}" for phone in self._unsettled())])

    def _unsettled(self) -> list[Phone]:
        newest: dict[str, int] = defaultdict(int)
        for phone in self.phones:
            newest[phone.user] = max(newest[phone.user], phone.has)
        return [phone for phone in self.phones if not phone.is_settled(newest[phone.user])]

    # --- inside --------------------------------------------------------------------------------------------------------------

    async def _tick(self) -> None:
        owed = 0.0
        last = time.monotonic()
        next_read = next_move = next_trip = last
        while True:
            await asyncio.sleep(TICK_S)
            now = time.monotonic()
            self.slowest_tick = max(self.slowest_tick, now - last)
            # What could not be offered because this process itself was held up is not made up for.
            owed += self.rate * min(now - last, 0.5)
            last = now
            if self._is_composing:
                for _ in range(int(owed)):
                    phone, room = random.choice(self._writers)
                    phone.compose(room)
                owed -= int(owed)
                if now >= next_move and not self.struck:
                    next_move = now + MOVE_S
                    any(phone.go_home() for phone in random.sample(self.phones, len(self.phones)))
                if now >= next_trip:
                    next_trip = now + COMMUTE_S
                    random.choice([phone for phone in self.phones if phone.is_commuter]).go_offline(
                        random.uniform(0.5, 3.0)
                    )
                if now >= next_read:
                    next_read = now + READ_S
                    random.choice(self.phones).reads()
            if RUNNING.exists():
                self._crowds.append((now, int(RUNNING.read_text().split()[3].split("/")[0])))
            for phone in self.phones:
                phone.tick(now)

    async def _cast(self) -> None:
        """People with two devices each, some with a third that comes and goes; pairs and two groups."""
        people = []
        for number in range(PEOPLE):
            people.append(await self._person(number))
        for pair in random.sample(list(combinations(people, 2)), PAIRS):
            self._room(await self._post(pair[0][0], "rooms", {"kind": "direct", "peer": pair[1][0].user}), pair)
        for members in (people[:GROUP], people[-GROUP:]):
            others = [phones[0].user for phones in members[1:]]
            self._room(await self._post(members[0][0], "rooms", {"kind": "group", "members": others}), members)

    async def _person(self, number: int) -> list[Phone]:
        name, password = f"faults.{secrets.token_hex(6)}", secrets.token_urlsafe(16)
        phones = []
        for index in range(3 if number < 3 else 2):
            path = "sign-in" if index else "register"
            form = {"username": name, "password": password, "device_name": f"device {index}"}
            answer = await self.http.post(f"{self.urls[0]}/api/v1/accounts/{path}", json=form)
            answer.raise_for_status()
            made = len(self.phones)
            phone = Phone(
                self,
                answer.json(),
                home=made % len(self.urls),
                asks=number % 2 == 1,
                by_rest=made % 4 == 3,
                is_commuter=index == 2,
                patience_s=3.0 if made % 3 else PATIENT_S,
            )
            phones.append(phone)
            self.phones.append(phone)
        return phones

    async def _post(self, phone: Phone, path: str, form: dict[str, Any]) -> Any:
        return await self._ask(phone, "POST", path, json=form)

    async def _get(self, phone: Phone, path: str) -> Any:
        return await self._ask(phone, "GET", path)

    async def _ask(self, phone: Phone, method: str, path: str, **more: Any) -> Any:
        await phone.refresh_if_due()
        headers = {"Authorization": f"Bearer {phone.session['access']}"}
        answer = await self.http.request(method, f"{self.urls[0]}/api/v1/{path}", headers=headers, **more)
        answer.raise_for_status()
        return answer.json()

    def _room(self, room: dict[str, Any], people: Sequence[list[Phone]]) -> None:
        members = [phone for phones in people for phone in phones]
        self.ledger.rooms[room["id"]] = frozenset(phone.user for phone in members)
        self._devices_of[room["id"]] = sum(not phone.is_commuter for phone in members)
        # Commuters only listen: what they would write off-line would look slow. Groups have a third of the writers that they
        # could have, because what is written there goes to three times as many.
        writers = [phone for phone in members if not phone.is_commuter]
        self._writers += [(phone, room["id"]) for phone in (writers if len(people) == 2 else writers[::3])]


def summary(phones: Sequence[Phone]) -> dict[str, int]:
    """Sums over all phones."""
    sums: dict[str, int] = defaultdict(int)
    for phone in phones:
        sums["doubles on the wire, dropped"] += phone.doubles
        sums["reconnects"] += phone.reconnects
        sums["refusals and repeats"] += phone.repeats
        sums["goodbyes (1012)"] += phone.goodbyes
        sums["sockets without welcome"] += phone.unwelcome
        sums["assignments"] += phone.placed
        sums["of them to another host"] += phone.placed_elsewhere
    return dict(sums)
