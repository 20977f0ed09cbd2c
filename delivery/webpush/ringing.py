"""Telling the devices that are due. In a worker, beside the drains: one thread decides, a few send.

Each is claimed by a time before which nobody else tries (`claimed_until`). Whoever dies after claiming leaves it to the next run
after that; if it died between sending and noting, the device is told twice, which it cannot tell from once. What a drain marks
meanwhile stays marked: a look ends only the mark that it began with.
"""

import logging
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Any, Final
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Case, F, Q, Value, When
from django.db.models.functions import Now
from django.utils import timezone

from accounts import devices
from delivery.webpush import due, mutes
from delivery.webpush.models import Subscription
from delivery.webpush.sending import Outcome, send
from kernel import metrics, ports
from kernel.limits import PUSH_QUIET_S
from messages import unseen

logger = logging.getLogger(__name__)

AT_ONCE: Final = 64
SENDERS: Final = 8
# Longer than a round of them takes, with all timeouts.
CLAIM: Final = timedelta(minutes=3)
QUIET: Final = timedelta(seconds=PUSH_QUIET_S)
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
    NOTHING = auto()  # it is there, or nothing has come that is worth it
    GO_ON = auto()  # nothing so far, and there is more than a look goes through
    FORGET = auto()  # the device is no more


def ring_due() -> int:
    """Look at every device that is due, in rounds; answers how many were told."""
    told = 0
    while claimed := _claim():
        decisions = _decide([each for each, _ in claimed])
        ringing = [each for each, _ in claimed if decisions[each.device_id][0] is Decision.RING]
        with ThreadPoolExecutor(SENDERS, thread_name_prefix="web-push") as threads:
            outcomes = dict(zip([each.device_id for each in ringing], threads.map(send, ringing), strict=True))
        for each, _ in claimed:
            decision, looked = decisions[each.device_id]
            _note(each, decision, looked, outcomes.get(each.device_id))
        told += sum(outcome.is_sent for outcome in outcomes.values())
    return told


def retry_after(failures: int, asked: int | None) -> timedelta:
    """How long to wait after so many failures in a row, and no less than the service asked for."""
    mine = min(LAST_RETRY, FIRST_RETRY * 2 ** min(failures - 1, 10))
    return max(mine, min(timedelta(seconds=asked or 0), LONGEST_RETRY))


def _claim() -> list[tuple[Subscription, datetime]]:
    """Some that are due and that nobody else is at, and the mark of each."""
    now = Now()
    free = Q(claimed_until=None) | Q(claimed_until__lte=now)
    with transaction.atomic():
        rows = list(
            Subscription.objects.filter(free, due_at__lte=now)
            .select_for_update(skip_locked=True)
            .order_by("due_at")[:AT_ONCE]
        )
        Subscription.objects.filter(pk__in=[row.pk for row in rows]).update(claimed_until=now + CLAIM)
    return [(row, row.due_at) for row in rows if row.due_at]


def _decide(claimed: list[Subscription]) -> dict[UUID, tuple[Decision, int]]:
    """Device → what to do, and the number up to which that settles it."""
    living = devices.tellable([each.device_id for each in claimed])
    # Before the entries: what comes in between is looked at again.
    reached = unseen.reached([(each.user_id, each.device_id) for each in claimed])
    after = {each.device_id: max(each.looked_seq, reached[each.device_id].acknowledged) for each in claimed}
    news = unseen.messages([(each.device_id, each.user_id, after[each.device_id]) for each in claimed])
    worth = _worth_it({each.device_id: each.user_id for each in claimed}, news)
    found, now = {}, timezone.now()
    for each in claimed:
        newest, acknowledged = reached[each.device_id]
        end = after[each.device_id] + unseen.MOST
        is_quiet = each.quiet_until is not None and each.quiet_until > now and acknowledged < each.rung_seq
        if each.device_id not in living:
            found[each.device_id] = (Decision.FORGET, newest)
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


def _note(each: Subscription, decision: Decision, looked: int, outcome: Outcome | None) -> None:
    mine = Subscription.objects.filter(pk=each.pk, endpoint=each.endpoint)
    if decision is Decision.FORGET or (outcome and outcome.is_gone) or each.failures >= GIVE_UP:
        mine.delete()
        metrics.RUNG["gone"].inc()
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
            again = each.quiet_until
        case Decision.RING if outcome and outcome.is_sent:
            changes |= {"looked_seq": looked, "rung_seq": looked, "quiet_until": Now() + QUIET, "failures": 0}
            metrics.RUNG["sent"].inc()
        case Decision.RING if outcome:
            failures = each.failures + 1
            changes["failures"] = failures
            again = Now() + retry_after(failures, outcome.retry_after)
            metrics.RUNG["failed"].inc()
            logger.info("a push was not taken (%s); failure %d in a row", outcome.why, failures)
    # A mark that came since begins the next look. After a failure it must not: the service would be asked without a pause.
    if not (outcome and not outcome.is_sent):
        again = Case(When(due_at=each.due_at, then=Value(None) if again is None else again), default=F("due_at"))
    mine.update(due_at=again, **changes)


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
