"""What sending is: check the form, queue for the commit, answer after it. Table of contents of the sender service.

Two ways in, the same rules: `submit` for sockets (answers come to the lane) and `post` for REST (waits for them).
"""

import threading
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.conf import settings

from chat import drafts
from chat.intake import Answer, Intake, Submission
from delivery.lane import Answered, Lane
from kernel import metrics, rates
from kernel.errors import DomainError, InvalidInput, Overloaded, TooManyRequests, Unavailable
from kernel.ids import now_ms
from kernel.limits import POST_MESSAGES, WAITING_POSTS

# Longer than the committer needs to find out that the database is away.
ANSWER_S = 15.0

_intake: Intake | None = None
_places = threading.BoundedSemaphore(WAITING_POSTS)


def bind(intake: Intake | None) -> None:
    """Called by `config.runtime`: the intake of this process (None: no longer)."""
    global _intake
    _intake = intake


def submit(
    intake: Intake, messages: Sequence[Any], *, user: str, device: str, lane: Lane, ref: str | None
) -> list[Answer]:
    """Check the form of these sends and queue the good ones; answers at once what is refused before the queue."""
    now = now_ms()
    refused: list[Answer] = []
    good: list[Submission] = []
    for raw in messages:
        try:
            draft = drafts.parse(raw, sender=user, now_ms=now, algs=settings.MESSAGE_ALGS)
        except DomainError as error:
            _give_up(raw, lane)
            refused.append(_refusal(raw, error, ref))
        else:
            good.append(Submission(draft, user, device, lane, ref))
    refused += intake.submit(good)
    if refused:
        metrics.refused(answer.error.code for answer in refused if answer.error)
    return refused


def post(messages: list[Any], *, user: UUID, device: UUID) -> list[Answered]:
    """Send these from a request's thread; answers in the order of `messages`, after the commit. The list is empty afterwards.

    Raises `Unavailable` when this process does not take sends now, `Overloaded` when as many wait as may, `TooManyRequests` over
    the device's rate.
    """
    if not 1 <= len(messages) <= POST_MESSAGES:
        raise InvalidInput(f"messages must be a list of 1 to {POST_MESSAGES}", field="messages")
    intake = _intake  # once: the process may begin to end between two messages
    if intake is None:
        raise Unavailable(retry_after=1)
    try:
        rates.take("send", device, len(messages))
    except TooManyRequests as error:
        metrics.refused([error.code] * len(messages))
        raise
    if not _places.acquire(blocking=False):
        metrics.refused([Overloaded.code] * len(messages))
        raise Overloaded(retry_after=2)
    try:
        lane = Post(len(messages))
        for place in range(len(messages)):
            lane.take(
                submit(
                    intake, messages[place : place + 1], user=str(user), device=str(device), lane=lane, ref=str(place)
                )
            )
        # What was taken counts for the bound on what waits. What was refused, up to `POST_BYTES` of it, must not wait with that.
        messages.clear()
        return lane.wait(ANSWER_S)
    finally:
        _places.release()


class Post(Lane):
    """The lane of one POST: its answers by place, and an event when the last has come."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self._count = count
        self._answers: dict[int, Answered] = {}
        self._lock = threading.Lock()
        self._complete = threading.Event()

    def take(self, answers: Sequence[Answered]) -> None:
        """Note answers; `ref` is the place."""
        with self._lock:
            for answer in answers:
                self._answers[int(answer.ref or 0)] = answer
            if len(self._answers) == self._count:
                self._complete.set()

    answered = take

    def wait(self, seconds: float) -> list[Answered]:
        """All answers, in order. Raises `Unavailable` after `seconds`: what is stored by then stays so, the same ids will be answered."""
        if not self._complete.wait(seconds):
            raise Unavailable(retry_after=1)
        return [self._answers[place] for place in range(self._count)]


def _give_up(raw: Any, lane: Lane) -> None:
    """Later sends need not wait for one that was turned away before its form was looked at, if the form is wrong."""
    id = drafts.id_of(raw)
    if id is not None and isinstance(raw.get("room"), str) and lane.turned_away.get(raw["room"]) == id:
        del lane.turned_away[raw["room"]]


def _refusal(raw: Any, error: DomainError, ref: str | None) -> Answer:
    id = drafts.id_of(raw)
    if id is not None:
        error.fields["id"] = id
    # Where it was raised still knows `raw`, which is as long as may be.
    error.__traceback__ = error.__context__ = None
    return Answer(id or "", ref, None, error)
