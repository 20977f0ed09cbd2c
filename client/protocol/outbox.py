"""What leaves: each room's messages strictly in order, everything repeated until it is accepted or refused for good.

A room is a *lane*. Several of its messages may be on the way at once (over one socket, or in one POST, the server
keeps their order). As soon as one is refused for the time being, the lane sends nothing until all that is on the way
is answered; then it starts again from the first that is left, after a back-off. The server on its side refuses the
later ones (`earlier_send_refused`), so none overtakes.

A lane can be *stopped*: one of the two people of its room blocks the other. Nothing of it is sent or repeated then, and what
waits in it leaves the outbox (`leave_stopped`); what is on the way is still answered.

A message can wait *unsealed*, because its room's epoch is not at hand. Neither it nor what is behind it goes before that. And
one under another epoch waits for the answers to those before it: if the server has outdated theirs, it must not overtake them.

A message whose id has a time that the server does not take needs another id. It gets one only if it has been sent no other time:
what was sent before may be stored under the first one, and would be there twice.
"""

import random
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import Enum

from client.protocol.backoff import Backoff
from client.protocol.frames import FRAME_BYTES, FRAME_MESSAGES, Outgoing
from client.protocol.ids import MessageId, RoomId
from client.protocol.problems import EVERYTHING, Problem

IN_FLIGHT = 400
ANSWER_S = 30.0


class Verdict(Enum):
    """What a refusal means for the message."""

    REPEAT = "repeat"  # it stays in the outbox and goes again
    RENEW = "renew"  # it needs another id, and no server has it under this one
    RESEAL = "reseal"  # it has to be sealed for another epoch first, under the same id
    ACCEPTED = "accepted"  # it had been accepted, in an earlier form
    FAILED = "failed"  # it will never be accepted
    STOPPED = "stopped"  # it would go again, but its room is stopped


@dataclass(slots=True)
class _Queued:
    position: int
    message: Outgoing
    sent_at: float | None = None  # the last time; None: never
    was_sent: bool = False  # before the last time, by whomever: the server may have it
    turned_away: bool = False  # on this connection, for the time being: the server waits for its repeat


@dataclass(slots=True)
class _Lane:
    waiting: deque[_Queued] = field(default_factory=deque)
    on_the_way: OrderedDict[MessageId, _Queued] = field(default_factory=OrderedDict)
    backoff: Backoff = field(default_factory=Backoff)
    not_before: float = 0.0
    settling: bool = False  # something came back: wait for the answers to the rest

    def put_back(self, items: list[_Queued]) -> None:
        self.waiting = deque(sorted([*items, *self.waiting], key=lambda item: item.position))

    def may_send(self, now: float) -> bool:
        return self.is_ready and self.not_before <= now

    @property
    def is_ready(self) -> bool:
        if not self.waiting or self.settling or not self.waiting[0].message.is_sealed:
            return False
        ahead = next(reversed(self.on_the_way.values()), None)
        return ahead is None or ahead.message.epoch == self.waiting[0].message.epoch


class Outbox:
    """The sending policy. `now` is a monotonic clock in seconds; `chance` gives random numbers in [0, 1)."""

    def __init__(self, *, chance: Callable[[], float] = random.random) -> None:
        self._chance = chance
        self._lanes: dict[RoomId, _Lane] = {}
        self._room_of: dict[MessageId, RoomId] = {}
        self._in_flight = 0
        self._window = IN_FLIGHT  # how many may be on the way: halved by each refusal of too much, and grown again
        self._backoff = Backoff()
        self._not_before = 0.0  # for all lanes
        self._stopped: set[RoomId] = set()
        # The server waits for the repeat of a message that will not go again: only a new connection makes it forget that.
        self.is_stuck = False

    def __len__(self) -> int:
        return len(self._room_of)

    def __contains__(self, message: MessageId) -> bool:
        return message in self._room_of

    def add(self, position: int, message: Outgoing, *, was_sent: bool = False) -> None:
        """Queue a message; positions grow in the order in which the user sent. `was_sent`: an earlier process may have sent it."""
        lane = self._lanes.setdefault(message.room, _Lane())
        lane.waiting.append(_Queued(position, message, was_sent=was_sent))
        self._room_of[message.id] = message.room

    def take(self, now: float) -> list[Outgoing]:
        """The messages of the next frame or POST: at most 100, and what fits in 64 KiB. Empty when nothing may go."""
        taken: list[Outgoing] = []
        if now < self._not_before:
            return taken
        room_left = FRAME_BYTES - 200
        for room in [room for room, lane in self._lanes.items() if lane.may_send(now) and room not in self._stopped]:
            lane = self._lanes[room]
            while lane.is_ready and len(taken) < FRAME_MESSAGES and self._in_flight < self._window:
                item = lane.waiting[0]
                if taken and item.message.size > room_left:
                    return taken
                lane.waiting.popleft()
                item.was_sent = item.was_sent or item.sent_at is not None
                item.sent_at = now
                lane.on_the_way[item.message.id] = item
                self._in_flight += 1
                room_left -= item.message.size
                taken.append(item.message)
            if len(taken) == FRAME_MESSAGES or self._in_flight >= self._window:
                break
            # The next frame begins with another room: a long queue in one does not hold up the others.
            self._lanes[room] = self._lanes.pop(room)
        return taken

    def accepted(self, message: MessageId) -> bool:
        """The server has it. False when it was not (or no longer) in the outbox."""
        lane = self._leave(message)
        if lane is None:
            return False
        lane.backoff = self._backoff = Backoff()
        self._window = min(IN_FLIGHT, self._window + 1)
        return True

    def refused(self, message: MessageId, problem: Problem, now: float) -> Verdict:
        """The server refused a message that is on the way; decides what becomes of it."""
        room = self._room_of.get(message)
        lane = self._lanes.get(room) if room is not None else None
        if lane is None or message not in lane.on_the_way:
            return Verdict.REPEAT  # an answer to an earlier attempt, whose repeat has its own answer coming
        if problem.code == "id_conflict" and "accepted_at" in problem.more:
            self._leave(message)
            return Verdict.ACCEPTED
        if _is_out_of_time(problem) and not lane.on_the_way[message].was_sent:
            self._leave(message)
            return Verdict.STOPPED if room in self._stopped else Verdict.RENEW
        if problem.code != "epoch_stale" and not problem.may_retry:
            self._leave(message)
            return Verdict.FAILED
        if room in self._stopped:
            self.is_stuck = self.is_stuck or problem.code != "epoch_stale"
            self._leave(message)
            return Verdict.STOPPED
        item = lane.on_the_way.pop(message)
        item.turned_away = problem.code != "epoch_stale"
        self._in_flight -= 1
        lane.put_back([item])
        if not lane.settling:
            self._hold(lane, problem, now)
        lane.settling = bool(lane.on_the_way)
        return Verdict.RESEAL if problem.code == "epoch_stale" else Verdict.REPEAT

    def _hold(self, lane: _Lane, problem: Problem, now: float) -> None:
        if problem.code in EVERYTHING:
            self._not_before = now + self._backoff.delay(self._chance(), problem.retry_after)
            self._backoff = self._backoff.failed()
            self._window = max(FRAME_MESSAGES, self._window // 2)
        elif problem.code != "epoch_stale" or lane.backoff.failures:
            lane.not_before = now + lane.backoff.delay(self._chance(), problem.retry_after)
        lane.backoff = lane.backoff.failed()

    def _leave(self, message: MessageId) -> _Lane | None:
        room = self._room_of.pop(message, None)
        if room is None:
            return None
        lane = self._lanes[room]
        if lane.on_the_way.pop(message, None) is not None:
            self._in_flight -= 1
        else:
            lane.waiting = deque(item for item in lane.waiting if item.message.id != message)
        lane.settling = lane.settling and bool(lane.on_the_way)
        if not lane.waiting and not lane.on_the_way:
            del self._lanes[room]
        return lane

    def discard(self, message: MessageId) -> bool:
        """Give up a message that was never sent. False otherwise: one that was may have been accepted, and the server
        may be waiting for its repeat before it takes the next.
        """
        room = self._room_of.get(message)
        items = self._lanes[room].waiting if room is not None else ()
        if not any(item.message.id == message and item.sent_at is None for item in items):
            return False
        self._leave(message)
        return True

    def rooms(self) -> list[RoomId]:
        """The rooms that something waits for, or is on the way to."""
        return list(self._lanes)

    def stop(self, room: RoomId, *, stopped: bool = True) -> None:
        """Send nothing more in this room; or, `stopped` being False, go on."""
        self._stopped.add(room) if stopped else self._stopped.discard(room)

    def leave_stopped(self) -> list[MessageId]:
        """Take out what waits in stopped rooms, in order; whatever was sent already may have been accepted."""
        leaving = [item for room in self._stopped if room in self._lanes for item in self._lanes[room].waiting]
        for item in leaving:
            self.is_stuck = self.is_stuck or item.turned_away
            self._leave(item.message.id)
        return [item.message.id for item in sorted(leaving, key=lambda item: item.position)]

    def waiting_in(self, room: RoomId) -> list[Outgoing]:
        """The messages of a room that are not on the way."""
        return [item.message for item in self._waiting(room)]

    def unsealed_in(self, room: RoomId) -> list[Outgoing]:
        """The messages of a room that wait for its epoch."""
        return [message for message in self.waiting_in(room) if not message.is_sealed]

    def replace(self, room: RoomId, messages: Iterable[Outgoing]) -> None:
        """The same messages, sealed or unsealed anew; each keeps its id and its place."""
        fresh = {message.id: message for message in messages}
        for item in self._lanes[room].waiting if fresh else ():
            item.message = fresh.get(item.message.id, item.message)

    def give_up(self, room: RoomId) -> list[MessageId]:
        """Take out what waits unsealed in a room, in order: its epoch cannot be had."""
        leaving = [item for item in self._waiting(room) if not item.message.is_sealed]
        for item in leaving:
            self.is_stuck = self.is_stuck or item.turned_away
            self._leave(item.message.id)
        return [item.message.id for item in leaving]

    def _waiting(self, room: RoomId) -> list[_Queued]:
        lane = self._lanes.get(room)
        return list(lane.waiting) if lane else []

    def disconnected(self) -> None:
        """The connection is gone: what was on the way goes again, first, on the next one."""
        for lane in self._lanes.values():
            lane.put_back(list(lane.on_the_way.values()))
            lane.on_the_way.clear()
            lane.settling = False
            for item in lane.waiting:
                item.turned_away = False
        self._in_flight = 0
        self.is_stuck = False

    def next_at(self, now: float) -> float:
        """When `take` will have something without any further event; infinity when it waits for answers."""
        if self._in_flight >= self._window:
            return float("inf")
        times = [
            max(lane.not_before, self._not_before, now)
            for room, lane in self._lanes.items()
            if lane.is_ready and room not in self._stopped
        ]
        return min(times, default=float("inf"))

    def overdue(self, now: float) -> bool:
        """Whether something has been on the way for 30 s without an answer: then the connection is not to be trusted."""
        firsts = (next(iter(lane.on_the_way.values())) for lane in self._lanes.values() if lane.on_the_way)
        return any(first.sent_at is not None and now - first.sent_at > ANSWER_S for first in firsts)


def _is_out_of_time(problem: Problem) -> bool:
    """The id's time is too far from the server's: it waited for long, or the clock is wrong.

    That is looked at before what is stored is, so it does not say that the message is not stored.
    """
    is_time = problem.more.get("field") == "id" and isinstance(problem.more.get("server_time"), int)
    return problem.code == "invalid" and is_time
