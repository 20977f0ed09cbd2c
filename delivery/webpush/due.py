"""Whose devices are to be looked at: noted after a drain's commit, and found by beat where that was missed.

A drain asks the database nothing for it: it hands over the names of who got a message, at about 0.1 µs each, and a thread gathers
them and asks once a second, if anybody has subscribed at all.
"""

import logging
import threading
from datetime import timedelta
from typing import Final

from django.db import connection
from django.db.models import F, Q
from django.db.models.functions import Greatest, Now

from delivery.drain import Batch
from delivery.webpush.models import Subscription
from messages import unseen

logger = logging.getLogger(__name__)

GATHER_S: Final = 1.0
# A device that is there has acknowledged by then.
LOOK_AFTER: Final = timedelta(seconds=2)
AT_ONCE: Final = 2_000
# More is left to beat, which finds it from the mailboxes.
MOST: Final = 100_000


class Gathering:
    """The users who got messages since the last look, and the thread that marks their subscriptions."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users: set[str] = set()
        self._thread: threading.Thread | None = None

    def drained(self, batch: Batch) -> None:
        """A drain has committed this batch."""
        if self._thread is None:
            self._start()
        senders = [origin.sender if origin else None for origin in batch.origins]
        users = {user for user, _, index in batch.to if (sender := senders[index]) is not None and sender != user}
        with self._lock:
            if len(self._users) < MOST:
                self._users |= users

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="web-push-due", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        pause = threading.Event()
        while not pause.wait(GATHER_S):
            with self._lock:
                users, self._users = self._users, set()
            try:
                if users and Subscription.objects.exists() and mark(users):
                    _wake()
            except Exception as error:
                # What these were, beat finds.
                logger.info("who is to be told by push could not be noted: %s", type(error).__name__)
                connection.close()


_gathering = Gathering()


def drained(batch: Batch) -> None:
    """Called after the commit of every drain."""
    _gathering.drained(batch)


def mark(users: set[str]) -> int:
    """These users' subscriptions are to be looked at soon; answers how many.

    Also what is being looked at now, which may not see what has just come; but not what waits after a failure: in a busy
    mailbox the service would be asked every few seconds, and soon be given up.
    """
    when, marked, waiting = Now() + LOOK_AFTER, 0, sorted(users)
    for start in range(0, len(waiting), AT_ONCE):
        marked += Subscription.objects.filter(
            Q(due_at=None) | Q(due_at__gt=when, failures=0) | Q(claimed_until__gt=Now(), failures=0),
            user_id__in=waiting[start : start + AT_ONCE],
        ).update(due_at=when)
    return marked


def find_missed() -> int:
    """Mark those whose mailbox has gone on without anybody marking them: a worker has died, or had too much to note."""
    newest = unseen.newest_of("user_id")
    return (
        Subscription.objects.filter(due_at=None)
        .annotate(newest=newest)
        .filter(newest__gt=Greatest(F("looked_seq"), F("rung_seq")))
        .update(due_at=Now())
    )


def _wake() -> None:
    """One task: whichever worker gets it looks. Lost, beat's comes within the minute."""
    from delivery.webpush.tasks import ring

    try:
        ring.apply_async(retry=False, expires=60)
    except Exception as error:
        logger.info("nobody could be woken to ring: %s", type(error).__name__)
