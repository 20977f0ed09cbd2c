"""Telling the devices that are due. In a worker, beside the drains: one thread decides and notes, a few send.

Each is claimed by a time before which nobody else tries (`claimed_until`). Whoever dies after claiming leaves it to the next run
after that; if it died between sending and noting, the device is told twice, which it cannot tell from once. What a drain marks
meanwhile stays marked: a look ends only the mark that it began with.

What a push service does costs its own device and nobody else: a push has a deadline (`sending.PUSH_S`), a round begins none after
`ROUND_S`, and what came of each is noted as it comes. All times of rows are PostgreSQL's, and are compared with no other clock.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from datetime import timedelta
from enum import Enum, auto
from queue import Empty, SimpleQueue
from typing import Any, Final
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Case, F, Q, QuerySet, Value, When
from django.db.models.functions import Greatest, Now

from accounts import devices
from delivery.webpush import due, mutes
from delivery.webpush.models import Subscription
from delivery.webpush.sending import PUSH_S, Outcome, send
from kernel import metrics, ports
from kernel.limits import PUSH_QUIET_S
from messages import unseen

logger = logging.getLogger(__name__)

AT_ONCE: Final = 64
SENDERS: Final = 8
# A round begins no push after so long: one of slow services does not keep the next round waiting.
ROUND_S: Final = 60.0
# Within this a deadline is met.
SPARE_S: Final = 5.0
# What deciding and noting take, and much more.
BESIDE_S: Final = 40.0
# Longer than a round of them takes, whatever push services do.
CLAIM: Final = timedelta(seconds=ROUND_S + PUSH_S + SPARE_S + BESIDE_S)
QUIET: Final = timedelta(seconds=PUSH_QUIET_S)
PAUSE: Final = timedelta(seconds=1)
# What is due within this is waited for, and not left to the next task.
LINGER_S: Final = 5.0

FIRST_RETRY: Final = timedelta(minutes=1)
LAST_RETRY: Final = timedelta(hours=6)
# A service may ask for more patience, and not for more than that.
LONGEST_RETRY: Final = timedelta(days=1)
# Failures in a row after which nobody is there any more: about five days.
GIVE_UP: Final = 30


class Decision(Enum):
    """What is to be done for one device."""

    RING = auto()
    LATER = auto()  # it was told lately and has not come
    NOT_NOW = auto()  # its user is suspended: once that is over, beat finds it by its mailbox
    NOTHING = auto()  # it is there, or nothing has come that is worth it
    GO_ON = auto()  # nothing so far, and there is more than a look goes through
    FORGET = auto()  # the device is no more


def ring_due() -> int:
    """Look at every device that is due, in rounds; answers how many were told."""
    told = 0
    while claimed := _claim():
        decisions = _decide(claimed)
        ringing = []
        for each in claimed:
            decision, looked = decisions[each.device_id]
            if decision is Decision.RING:
                ringing.append(each)
            else:
                _note(each, decision, looked, None)
        for each, outcome in _send_all(ringing):
            _note(each, *decisions[each.device_id], outcome)
            told += outcome is not None and outcome.is_sent
    return told


def retry_after(failures: int, asked: int | None) -> timedelta:
    """How long to wait after so many failures in a row, and no less than the service asked for."""
    mine = min(LAST_RETRY, FIRST_RETRY * 2 ** min(failures - 1, 10))
    return max(mine, min(timedelta(seconds=asked or 0), LONGEST_RETRY))


def _claim() -> list[Subscription]:
    """Some that are due and that nobody else is at."""
    now = Now()
    free = Q(claimed_until=None) | Q(claimed_until__lte=now)
    with transaction.atomic():
        rows = list(
            Subscription.objects.filter(free, due_at__lte=now)
            .select_for_update(skip_locked=True)
            .order_by("due_at")[:AT_ONCE]
        )
        Subscription.objects.filter(pk__in=[row.pk for row in rows]).update(claimed_until=now + CLAIM)
    return rows


def _decide(claimed: list[Subscription]) -> dict[UUID, tuple[Decision, int]]:
    """Device → what to do, and the number up to which that settles it."""
    tellable = devices.tellable([each.device_id for each in claimed])
    # Before the entries: what comes in between is looked at again.
    reached = unseen.reached([(each.user_id, each.device_id) for each in claimed])
    after = {each.device_id: max(each.looked_seq, reached[each.device_id].acknowledged) for each in claimed}
    news = unseen.messages([(each.device_id, each.user_id, after[each.device_id]) for each in claimed])
    worth = _worth_it({each.device_id: each.user_id for each in claimed}, news)
    found = {}
    for each in claimed:
        newest, acknowledged, now = reached[each.device_id]
        end = after[each.device_id] + unseen.MOST
        is_quiet = each.quiet_until is not None and each.quiet_until > now and acknowledged < each.rung_seq
        if each.device_id not in tellable:
            found[each.device_id] = (Decision.FORGET, newest)
        elif not tellable[each.device_id]:
            found[each.device_id] = (Decision.NOT_NOW, newest)
        elif each.device_id in worth:
            found[each.device_id] = (Decision.LATER if is_quiet else Decision.RING, newest)
        else:
            found[each.device_id] = (Decision.GO_ON, end) if end < newest else (Decision.NOTHING, newest)
    return found


def _worth_it(users: dict[UUID, UUID], news: Iterable[unseen.Message]) -> set[UUID]:
    """The devices with a message among these that no block hides and that is in no muted room."""
    news = list(news)
    muted = mutes.pairs(users.values(), {each.room for each in news})
    hidden = {user: ports.blocks.hidden_from(user) for user in {users[each.device] for each in news}}
    return {
        each.device
        for each in news
        if (users[each.device], each.room) not in muted
        and each.seq <= hidden[users[each.device]].get(str(each.sender), each.seq)
    }


def _send_all(ringing: list[Subscription]) -> Iterator[tuple[Subscription, Outcome | None]]:
    """What came of each push, as it comes; None: its turn did not come in this round.

    The threads end with the process. An executor's would be waited for at its end, however long a push takes.
    """
    waiting, done = deque(ringing), SimpleQueue[tuple[Subscription, Outcome | None]]()
    until = time.monotonic() + ROUND_S

    def work() -> None:
        while waiting:
            try:
                each = waiting.popleft()
            except IndexError:
                return
            done.put((each, send(each) if time.monotonic() < until else None))

    for _ in range(min(SENDERS, len(ringing))):
        threading.Thread(target=work, name="web-push-sender", daemon=True).start()
    missing = {each.pk: each for each in ringing}
    try:
        while missing:
            each, outcome = done.get(timeout=max(0.0, until + PUSH_S + SPARE_S - time.monotonic()))
            del missing[each.pk]
            yield each, outcome
    except Empty:
        # No deadline of a push's holds for whatever these hang in. It is not to be everybody's end.
        begun = missing.keys() - {each.pk for each in waiting}
        for each in missing.values():
            yield each, Outcome(why="has no end") if each.pk in begun else None
    finally:
        # Whoever cannot note what came of them has no more sent.
        waiting.clear()


def _note(each: Subscription, decision: Decision, looked: int, outcome: Outcome | None) -> None:
    # What the device has put in its place meanwhile is another subscription.
    keys = {"p256dh": bytes(each.p256dh), "auth": bytes(each.auth)}
    mine = Subscription.objects.filter(pk=each.pk, endpoint=each.endpoint, **keys)
    if decision is Decision.FORGET or (outcome and outcome.is_gone):
        _forget(mine)
        return
    changes: dict[str, Any] = {"claimed_until": None}
    again: Any = None
    match decision:
        case Decision.NOTHING:
            changes["looked_seq"] = looked
        case Decision.GO_ON:
            changes["looked_seq"] = looked
            again = Now()
        case Decision.LATER:
            # Never at once: what is decided once more by the same rows is decided alike.
            again = Greatest(Value(each.quiet_until), Now() + PAUSE)
        case Decision.RING if outcome and outcome.is_sent:
            changes |= {"looked_seq": looked, "rung_seq": looked, "quiet_until": Now() + QUIET, "failures": 0}
            metrics.RUNG["sent"].inc()
        case Decision.RING if outcome:
            failures = each.failures + 1
            logger.info("a push was not taken (%s); failure %d in a row", outcome.why, failures)
            # Not if the device has put the same once more meanwhile: it is there, and looked at again when this claim is over.
            mine = mine.filter(failures=each.failures)
            if failures >= GIVE_UP:
                _forget(mine)
                return
            changes["failures"] = failures
            again = Now() + retry_after(failures, outcome.retry_after)
            metrics.RUNG["failed"].inc()
        case Decision.RING:
            # Its turn did not come.
            again = Now()
    # A mark that came since begins the next look. After a failure it must not: the service would be asked without a pause.
    if not (outcome and not outcome.is_sent):
        again = Case(When(due_at=each.due_at, then=Value(None) if again is None else again), default=F("due_at"))
    mine.update(due_at=again, **changes)


def _forget(subscriptions: QuerySet[Subscription]) -> None:
    forgotten, _ = subscriptions.delete()
    metrics.RUNG["gone"].inc(forgotten)


# --- beside the drains -----------------------------------------------------------------------------------------------

_lock = threading.Lock()
_thread: threading.Thread | None = None
_wanted = threading.Event()
_missed = threading.Event()


def ring_soon(*, find_missed: bool) -> None:
    """Ring in a thread of its own: a worker that waited for a push service would drain nothing."""
    global _thread
    with _lock:
        _wanted.set()
        if find_missed:
            _missed.set()
        if _thread is None:
            _thread = threading.Thread(target=_run, name="web-push", daemon=True)
            _thread.start()


def _run() -> None:
    global _thread
    while True:
        _wanted.clear()
        try:
            if _missed.is_set():
                _missed.clear()
                due.find_missed()
            ring_due()
            wait = _next_in()
        except Exception:
            logger.exception("ringing met an unexpected error; the next run goes on")
            wait = None
        finally:
            connection.close()
        if wait is not None and wait <= LINGER_S:
            _wanted.wait(max(0.05, wait))
            continue
        with _lock:
            if not _wanted.is_set():
                _thread = None
                return


def _next_in() -> float | None:
    """Seconds until the next one is due; None: none is."""
    free = Q(claimed_until=None) | Q(claimed_until__lte=Now())
    row = Subscription.objects.filter(free, due_at__isnull=False).order_by("due_at").values_list("due_at", Now())[:1]
    return next(((due_at - now).total_seconds() for due_at, now in row), None)
