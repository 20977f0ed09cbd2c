"""The committer of sends: everything that arrived since the last commit goes in one transaction (design §3, "Accepting").

    rooms checked FOR KEY SHARE | messages appended | what was refused or there already is looked up
    | pending deliveries and acks | COMMIT | answers | wake-ups

An answer is given after the commit and never before. If this process dies at any line, either nothing is stored, or all
of the batch is and its pending rows with it; a client without an answer repeats the same id and gets the first answer.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import psycopg2

from chat.drafts import Draft
from chat.refusals import EarlierSendRefused, EpochStale, IdConflict, why_not
from chat.roster import Checked, Roster, Rosters
from delivery import wake
from delivery.acks import AckBook
from delivery.blocks import deaf_pairs_sql
from delivery.lane import Lane
from delivery.pending import NewPending, add_sql
from kernel import metrics
from kernel.batching import Committer, Stopped
from kernel.database import TRANSIENT, Cursor, Session, is_lost
from kernel.entries import Origin
from kernel.errors import DomainError, InvalidInput, Overloaded, Unavailable
from kernel.limits import BACKLOG, BACKLOG_BYTES, COMMIT_BYTES
from messages import log
from messages.kinds import Kind
from messages.log import NewMessage, Stored

logger = logging.getLogger(__name__)

# After a lock was waited for in vain, nobody waits for locks for so long; and for as long again after each batch with a send to a
# room that is still held, up to the time after which PostgreSQL ends whoever holds one (kernel/database.py).
IMPATIENT_S = 1.0
LONGEST_HOLD_S = 10.0
SHORT_WAITS = "SET LOCAL lock_timeout = '50ms'"


@dataclass(slots=True)
class Submission:
    """A draft, whose it is, and where its answer goes."""

    draft: Draft
    sender: str
    device: str
    lane: Lane
    ref: str | None = None


@dataclass(slots=True)
class Answer:
    """`text` is the JSON of an accepted message (docs/protocol.md §3.1); else `error` says why not."""

    id: str
    ref: str | None
    text: str | None
    error: DomainError | None


def accepted_text(message: NewMessage, accepted_at: int) -> str:
    """The answer to an accepted message; `accepted_at` in ms."""
    recipient = f'"{message.recipient}"' if message.recipient else "null"
    return (
        f'{{"id":"{message.id}","room":"{message.room}","sender":"{message.sender}","recipient":{recipient},'
        f'"accepted_at":{accepted_at},"delivered":false,"read":false}}'
    )


class Intake:
    """One per process: the queue in front of the log."""

    def __init__(
        self, *, acks: AckBook, on_acked: Callable[[dict[str, list[Origin]]], None], session: Session | None = None
    ) -> None:
        self.rosters = Rosters()
        self._acks = acks
        self._on_acked = on_acked
        self._session = session or Session("intake")
        self._committer: Committer[Submission] = Committer("intake", self._commit, weigh=_weight, heaviest=COMMIT_BYTES)
        # Set by whoever watches the pending deliveries: past the bound nothing is accepted.
        self.is_full = False
        self.is_database_away = False
        # When a lock was last waited for in vain, and until when none is waited for (monotonic).
        self._waited_in_vain = -LONGEST_HOLD_S
        self._impatient_until = 0.0

    def start(self) -> None:
        """Start the committer's thread."""
        self._committer.start()

    def stop(self, timeout: float = 5.0) -> None:
        """Commit what has arrived, then end."""
        self._committer.stop(timeout)
        if not self.is_alive:
            # Closing waits for the statement that is under way, maybe for ever: then the session ends with the process.
            self._session.close()

    @property
    def is_alive(self) -> bool:
        """Whether the committer's thread runs."""
        return self._committer.is_alive()

    @property
    def backlog(self) -> int:
        """How many sends wait."""
        return self._committer.waiting

    def flush_acks(self) -> None:
        """Write the gathered acks now."""
        self._committer.poke()

    def submit(self, submissions: Sequence[Submission]) -> list[Answer]:
        """Queue these for the next commit; answers at once those that are turned away because a bound is reached."""
        room_for = 0 if self.is_full else BACKLOG - self._committer.waiting
        bytes_for = BACKLOG_BYTES - self._committer.weight
        taken: list[Submission] = []
        turned_away: list[Answer] = []
        for submission in submissions:
            draft, lane = submission.draft, submission.lane
            waits_for = lane.turned_away.get(draft.room)
            if waits_for is not None and waits_for != draft.id:
                turned_away.append(_refusal(submission, EarlierSendRefused(retry_after=1, waits_for=waits_for)))
            elif len(taken) >= room_for or (weight := _weight(submission)) > bytes_for:
                lane.turned_away[draft.room] = draft.id
                turned_away.append(_refusal(submission, Overloaded(retry_after=2)))
            else:
                lane.turned_away.pop(draft.room, None)
                bytes_for -= weight
                taken.append(submission)
        if taken:
            try:
                self._committer.add(taken)
            except Stopped:
                turned_away += [_refusal(submission, Unavailable(retry_after=1)) for submission in taken]
        return turned_away

    def _commit(self, batch: Sequence[Submission]) -> None:
        """Answer every submission of the batch, whatever happens."""
        started = time.monotonic()
        answers = self._in_order(batch)
        _count(answers, time.monotonic() - started)
        by_lane: dict[int, tuple[Lane, list[Answer]]] = {}
        for submission, answer in zip(batch, answers, strict=True):
            by_lane.setdefault(id(submission.lane), (submission.lane, []))[1].append(answer)
        for lane, theirs in by_lane.values():
            try:
                lane.answered(theirs)
            except Exception:
                # Its client repeats and gets the same answers; the others must have theirs.
                logger.exception("%d answers could not be handed over", len(theirs))

    def _in_order(self, batch: Sequence[Submission]) -> list[Answer]:
        """Store the batch; what cannot be stored together is tried in smaller parts, one after the other."""
        if time.monotonic() < self._impatient_until:
            answers = self._in_parts(batch)
            self._store_acks()
            return answers
        for attempt in (1, 2):
            try:
                answers = self._store(batch, patient=True)
                self.is_database_away = False
                return answers
            except psycopg2.Error as error:
                self._session.rollback()
                if isinstance(error, psycopg2.errors.LockNotAvailable):
                    self._waited_in_vain = time.monotonic()
                    self._impatient_until = self._waited_in_vain + IMPATIENT_S
                if not is_lost(error):
                    break
                # Gone with the session, maybe in the middle of COMMIT: storing the same ids again is harmless.
                self._session.close()
                if attempt == 2:
                    if not self.is_database_away:
                        logger.warning("the database is away: sends are refused until it is back")
                    self.is_database_away = True
                    return [self._refuse(s, Unavailable(retry_after=1)) for s in batch]
            except Exception:
                self._session.rollback()
                logger.exception("a batch of %d sends failed and is tried in parts", len(batch))
                break
        return self._in_parts(batch)

    def _in_parts(self, batch: Sequence[Submission]) -> list[Answer]:
        """Halve the batch until the send that waits or fails is alone, without waiting long for anybody's locks."""
        if not batch:
            return []
        try:
            return self._store(batch, patient=False)
        except Exception as error:
            self._session.rollback()
            if isinstance(error, psycopg2.Error) and is_lost(error):
                self._session.close()
                return [self._refuse(submission, Unavailable(retry_after=1)) for submission in batch]
            if len(batch) > 1:
                half = len(batch) // 2
                return self._in_parts(batch[:half]) + self._in_parts(batch[half:])
            if isinstance(error, psycopg2.DataError):
                logger.error("one send could not be stored: %s", type(error).__name__)
                return [self._refuse(batch[0], InvalidInput("the message could not be stored"))]
            # Anything else is not the message's fault, and its client must not give it up.
            if not isinstance(error, TRANSIENT):
                logger.error("one send is refused for now: %s", type(error).__name__)
            return [self._refuse(batch[0], Unavailable(retry_after=1))]

    def _store_acks(self) -> None:
        """What no send carries along while somebody holds locks: maybe these are of the cursor of one of the devices."""
        if self._acks.is_empty:
            return
        try:
            self._store([], patient=False)
        except psycopg2.Error as error:
            self._session.rollback()
            if is_lost(error):
                self._session.close()

    def _store(self, batch: Sequence[Submission], *, patient: bool) -> list[Answer]:
        """One transaction. Raises `psycopg2.Error` before anything is answered."""
        answers: dict[int, Answer] = {}
        fresh: dict[str, tuple[int, Submission]] = {}
        look_up: list[tuple[int, Submission, DomainError | None]] = []
        # (lane, room) → the send that the later ones of this batch wait for; None when it has had its turn in this batch.
        blocked: dict[tuple[int, str], str | None] = {}
        with self._session.cursor() as cursor:
            checked = self._check(cursor, batch, patient=patient)
            for place, submission in enumerate(batch):
                draft, lane = submission.draft, submission.lane
                key = id(lane), draft.room
                waits_for = blocked.get(key, lane.refused.get(draft.room))
                if waits_for is not None and waits_for != draft.id:
                    look_up.append((place, submission, EarlierSendRefused(retry_after=1, waits_for=waits_for)))
                    continue
                error = why_not(
                    draft, user=submission.sender, device=submission.device, outdated=lane.outdated.get(draft.room, 0),
                    checked=checked,
                )  # fmt: skip
                blocked[key] = draft.id if error is not None and error.retryable else None
                if error is not None or draft.id in fresh:
                    look_up.append((place, submission, error))
                else:
                    fresh[draft.id] = place, submission
            rows = [_row(submission, checked) for _, submission in fresh.values()]
            inserted = log.append(cursor, rows) if rows else {}
            messages = {row.id: row for row in rows}
            look_up += [(*fresh[row.id], None) for row in rows if row.id not in inserted]
            stored = log.find_stored(cursor, {s.draft.id for _, s, _ in look_up}) if look_up else {}
            pending = [
                line
                for message_id, (_, submission) in fresh.items()
                if message_id in inserted
                for line in _pending(submission, checked)
            ]
            # Somebody may hold one device's cursor; then no send must wait for it or be refused with it.
            acks = self._acks.take_sql(cursor) if patient or not batch else None
            try:
                statements = ([add_sql(cursor, pending)] if pending else []) + ([acks[0]] if acks else [])
                # Behind the commit, in the same round trip: a block that was answered by now holds for these receipts.
                ask = deaf_pairs_sql(cursor, acks[1].owed) if acks else None
                cursor.execute(b";".join([*statements, b"COMMIT", *([ask] if ask else [])]))
                deaf = set(cursor.fetchall()) if ask else set()
            except BaseException:
                if acks:
                    acks[1].failed()
                raise
        # Committed: from here on nothing may fail the batch.
        if pending:
            wake.slots({line.slot for line in pending})
            metrics.ACCEPTED.inc(len(inserted))
        if acks:
            metrics.ACKS.inc(len(acks[1].acks))
            self._on_acked(acks[1].owed_but(deaf))
        for message_id, (place, submission) in fresh.items():
            if message_id in inserted:
                submission.lane.refused.pop(submission.draft.room, None)
                text = accepted_text(messages[message_id], inserted[message_id])
                answers[place] = Answer(message_id, submission.ref, text, None)
        for place, submission, error in look_up:
            answers[place] = self._known(submission, stored.get(submission.draft.id), error)
        return [answers[place] for place in range(len(batch))]

    def _check(self, cursor: Cursor, batch: Sequence[Submission], *, patient: bool) -> Checked:
        if not batch:
            cursor.execute("BEGIN" if patient else f"BEGIN; {SHORT_WAITS}")
            return Checked({}, {}, {}, frozenset())
        rooms = {submission.draft.room for submission in batch}
        devices = {submission.device for submission in batch}
        checked = self.rosters.check(cursor, rooms, devices, skip_locked=not patient)
        if not patient:
            cursor.execute(SHORT_WAITS)
            now = time.monotonic()
            if checked.locked_out and now - self._waited_in_vain < LONGEST_HOLD_S:
                self._impatient_until = now + IMPATIENT_S
        return checked

    def _known(self, submission: Submission, stored: Stored | None, error: DomainError | None) -> Answer:
        """Answer a send whose id may be stored: as the first time if it is the same, else why not."""
        draft = submission.draft
        if stored is None:
            return self._refuse(submission, error or Unavailable(retry_after=1))
        message = stored.message
        if message.device != submission.device or message.sender != submission.sender:
            return self._refuse(submission, IdConflict())
        same = (message.room, message.sent_at, message.alg, message.epoch, message.ciphertext) == (
            draft.room,
            draft.sent_at,
            draft.alg,
            draft.epoch,
            draft.ciphertext,
        )
        if not same:
            return self._refuse(submission, IdConflict(accepted_at=stored.accepted_at))
        if submission.lane.refused.get(draft.room) == draft.id:
            del submission.lane.refused[draft.room]
        metrics.REPEATED.inc()
        return Answer(draft.id, submission.ref, accepted_text(message, stored.accepted_at), None)

    def _refuse(self, submission: Submission, error: DomainError) -> Answer:
        """Refuse; after a refusal for the time being, later sends of this lane in this room have to wait for this one."""
        draft, refused = submission.draft, submission.lane.refused
        if isinstance(error, EpochStale):
            outdated = submission.lane.outdated
            outdated[draft.room] = max(draft.epoch, outdated.get(draft.room, 0))
        if error.retryable:
            refused.setdefault(draft.room, draft.id)
        elif refused.get(draft.room) == draft.id:
            del refused[draft.room]
        return _refusal(submission, error)


def _weight(submission: Submission) -> int:
    """What a waiting send holds in memory, in bytes; the rest of it is small."""
    return len(submission.draft.ciphertext)


def _count(answers: Sequence[Answer], seconds: float) -> None:
    """Metrics, and the log's line, of one commit; acks alone are none."""
    if not answers:
        return
    metrics.COMMIT_MESSAGES.observe(len(answers))
    metrics.COMMIT_SECONDS.observe(seconds)
    if any(answer.error for answer in answers):
        metrics.refused(answer.error.code for answer in answers if answer.error)
    if logger.isEnabledFor(logging.DEBUG):
        accepted = [answer.id for answer in answers if not answer.error]
        refused = {answer.id: answer.error.code for answer in answers if answer.error}
        logger.debug("committed", extra={"accepted": accepted, "refused": refused, "seconds": seconds})


def _refusal(submission: Submission, error: DomainError) -> Answer:
    error.fields["id"] = submission.draft.id
    return Answer(submission.draft.id, submission.ref, None, error)


def _row(submission: Submission, checked: Checked) -> NewMessage:
    draft = submission.draft
    roster = checked.rooms[draft.room]
    return NewMessage(
        draft.id,
        draft.room,
        submission.sender,
        submission.device,
        roster.other(submission.sender),
        draft.sent_at,
        draft.alg,
        draft.epoch,
        draft.ciphertext,
    )


def _pending(submission: Submission, checked: Checked) -> list[NewPending]:
    """One line per slot of recipients, frozen now. The sender is a recipient too."""
    draft = submission.draft
    roster: Roster = checked.rooms[draft.room]
    version = checked.senders[submission.device].connections_version
    return [
        NewPending(slot, users, Kind.MESSAGE, draft.id, draft.room, submission.sender, submission.device, version)
        for slot, users in roster.by_slot.items()
    ]
