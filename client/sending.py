"""From the user's hand to the server's commit.

    queue: sealed if that is possible, stored, then in the outbox | a carrier takes what may go | answers come back | the store forgets

What could not be sealed, because the room's epoch is not at hand, waits in its place; `unready` names its rooms, and whoever
has prepared one says `seal_waiting`.

Two carriers exist: the socket (`client.connection`) and REST (`client.carrying`). A client uses one of them for all it
sends, because the server keeps the order of one socket, or of one POST after the other, but not across them.
"""

import asyncio
import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TypeVar

from client.connections.gate import Gate
from client.errors import CannotOpen, LetterlockError, Refused, send_refused
from client.events import Hub, MessageAccepted, MessageFailed, MessageRenewed
from client.protocol.answers import Accepted
from client.protocol.changes import blocked_problem
from client.protocol.entries import MessageEntry
from client.protocol.frames import BODY_BYTES, Outgoing
from client.protocol.ids import MessageId, RoomId, message_id
from client.protocol.opaque import Ciphertext
from client.protocol.outbox import Outbox, Verdict
from client.protocol.problems import Problem
from client.sealer import Header, Sealer
from client.session import Session
from client.store import Store
from client.store.drafts import Draft

V = TypeVar("V")
ANSWERS = 1_000
AT_ONCE = 500  # messages sealed without a pause; one takes some 0.1 ms


class Sender:
    """Keeps what is to be sent, hands it to a carrier, and takes the answers. `now_ms` is the device's clock."""

    def __init__(
        self, store: Store, session: Session, sealer: Sealer, hub: Hub, gate: Gate, now_ms: Callable[[], int]
    ) -> None:
        self._gate = gate
        self._store = store
        self._session = session
        self._sealer = sealer
        self._hub = hub
        self._now_ms = now_ms
        self._waiting: dict[MessageId, asyncio.Future[Accepted]] = {}
        self._answers: dict[MessageId, Accepted] = {}  # the newest, until their entries arrive
        self._renewed: dict[MessageId, MessageId] = {}  # the newest: under which id a message goes now
        self.outbox = Outbox()
        self.awake = asyncio.Event()
        # Rooms in which something waits for the epoch; the event is set when there is a new one.
        self.unready: set[RoomId] = set()
        self.some_unready = asyncio.Event()
        self.retried: set[RoomId] = set()  # of these: something has changed, so what has failed may succeed at once
        for draft in store.drafts.waiting():
            self.outbox.add(draft.position, draft.message, was_sent=draft.was_sent)
            if not draft.message.is_sealed:
                self._want(draft.message.room)
        self.recheck()

    def queue(self, room: RoomId, bodies: Sequence[bytes]) -> list[MessageId]:
        """Store messages, in one transaction, sealed if that is possible; they will be sent in this order.

        Raises Refused for a body that no server would take, Blocked and KeysHeld.
        """
        me = self._session.signed_in
        if (problem := self._closed(room)) is not None:
            raise send_refused(problem, None)
        self.outbox.stop(room, stopped=False)
        known = self._store.rooms.find(room)
        recipient = known[0].peer_of(me.user) if known else None
        queued: list[tuple[int, Outgoing]] = []
        with self._store.database.transaction():
            for body in bodies:
                now_ms = self._now_ms()
                id_ = message_id(now_ms, secrets.randbits(74))
                sent_at = self._store.identity.next_timestamp(now_ms)
                message = Outgoing(id_, room, me.user, recipient, sent_at, self._sealer.alg, 0, Ciphertext())
                self._check(message, body)
                message = self._sealed(message, body)
                queued.append((self._store.drafts.add(message, self._sealer.keep(body)), message))
        for position, message in queued:
            self.outbox.add(position, message)
        if any(not message.is_sealed for _, message in queued):
            self._want(room)
        self.awake.set()
        return [message.id for _, message in queued]

    def _check(self, message: Outgoing, body: bytes) -> None:
        if not body:
            raise Refused(Problem("invalid", 400, detail="a body has at least one byte", more={"field": "ciphertext"}))
        if len(body) > BODY_BYTES:
            raise Refused(Problem("too_large", 413, detail=f"a body has at most {BODY_BYTES} bytes"))
        self._sealer.check(self._header(message, 0), body)

    def _header(self, message: Outgoing, epoch: int) -> Header:
        device = self._session.signed_in.device
        return Header(message.id, message.room, message.sender, device, message.sent_at, epoch)

    def _sealed(self, message: Outgoing, body: bytes) -> Outgoing:
        """The message under the room's epoch; as it is, if that is not at hand."""
        if (epoch := self._sealer.epoch(message.room)) is None:
            return message
        ciphertext = self._sealer.seal(self._header(message, epoch), body)
        return replace(message, epoch=epoch, alg=self._sealer.alg, ciphertext=ciphertext)

    def _want(self, room: RoomId) -> None:
        self.unready.add(room)
        self.some_unready.set()

    def seal_waiting(self, room: RoomId) -> bool:
        """Seal what waits in a room for its epoch, 500 messages at most: then it stays among `unready`. False without an epoch."""
        waiting = self.outbox.unsealed_in(room)
        if not waiting or not self._session.is_signed_in:
            self.unready.discard(room)
            return True
        if self._sealer.epoch(room) is None:
            self._want(room)
            return False
        with self._store.database.transaction():
            bodies = [self._sealer.kept(self._store.drafts.get(message.id).kept) for message in waiting[:AT_ONCE]]
            sealed = [self._sealed(message, body) for message, body in zip(waiting, bodies)]
            self._store.drafts.reseal(sealed)
        self.outbox.replace(room, sealed)
        if not self.outbox.unsealed_in(room):
            self.unready.discard(room)
        elif not sealed[-1].is_sealed:  # the epoch was full
            self._want(room)
            return False
        self.awake.set()
        return True

    def signed_in(self) -> None:
        """Some device is signed in. If it is another one than before, nobody could open what that one has sealed."""
        if not self._store.drafts.sealed_for(self._session.signed_in.device):
            for room in self.outbox.rooms():
                self.reseal(room, everything=True)

    def reseal(self, room: RoomId, *, everything: bool = False) -> None:
        """The room may have another epoch: what is sealed for one before, and is not on the way, is sealed anew."""
        epoch = None if everything else self._sealer.epoch(room)
        outdated = [message for message in self.outbox.waiting_in(room) if message.is_sealed and message.epoch != epoch]
        if outdated:
            unsealed = [message.unsealed() for message in outdated]
            self._store.drafts.reseal(unsealed)
            self.outbox.replace(room, unsealed)
        if self.outbox.unsealed_in(room):
            self.retried.add(room)
            self._want(room)
            self.seal_waiting(room)

    async def accepted(self, message: MessageId) -> Accepted:
        """Wait for the server's commit. Raises SendRefused. Giving up the wait does not take the message back."""
        message = self._renewed.get(message, message)
        if message in self.outbox:
            future = self._waiting.setdefault(message, asyncio.get_running_loop().create_future())
            return await asyncio.shield(future)
        return self._answer_to(message)

    def _answer_to(self, message: MessageId) -> Accepted:
        """The answer that came before anybody waited for it."""
        if message in self._answers:
            return self._answers[message]
        if (found := self._store.mailbox.find(message)) is not None:
            entry = found.entry
            return Accepted(entry.id, entry.room, entry.sender, entry.recipient, entry.accepted_at)
        for draft, problem in self._store.drafts.failed():
            if draft.message.id == message:
                raise send_refused(problem, message)
        raise LetterlockError(f"{message} is not a message of this device")

    def _settle(self, answer: Accepted) -> None:
        _remember(self._answers, answer.id, answer)
        if (future := self._waiting.pop(answer.id, None)) is not None and not future.done():
            future.set_result(answer)
        self._hub.tell(MessageAccepted(answer))

    def take(self) -> list[Outgoing]:
        """What may go now. Noted before it goes, because after this process nobody could know whether it did."""
        if batch := self.outbox.take(time.monotonic()):
            with self._store.database.transaction():
                self._store.drafts.leave(*(message.id for message in batch))
        return batch

    def answered(self, answers: Iterable[Accepted]) -> None:
        """The server has committed these."""
        done = [answer for answer in answers if self.outbox.accepted(answer.id)]
        with self._store.database.transaction():
            self._store.drafts.remove(*(answer.id for answer in done))
        for answer in done:
            self._settle(answer)
        self.awake.set()

    def arrived(self, entry: MessageEntry) -> None:
        """One of this user's own messages came back through the mailbox: if its answer was lost, this is it."""
        answer = Accepted(entry.id, entry.room, entry.sender, entry.recipient, entry.accepted_at)
        if entry.id in self.outbox:
            self.answered([answer])
        elif self._store.drafts.forget_failed(entry.id):  # stopped by a block, when its answer was still to come
            self._settle(answer)

    def refused(self, message: MessageId, problem: Problem) -> None:
        """The server did not take one of these, for now or for good."""
        match self.outbox.refused(message, problem, time.monotonic()):
            case Verdict.ACCEPTED:
                self._accepted_before(message, problem)
            case Verdict.FAILED:
                self._fail(message, problem)
            case Verdict.RENEW:
                self._renew(message, problem)
            case Verdict.STOPPED:
                self._stop(message)
            case Verdict.RESEAL:
                self._seal_anew(message, problem)
            case Verdict.REPEAT:
                pass
        self.awake.set()

    def _fail(self, message: MessageId, problem: Problem) -> None:
        self._store.drafts.fail(message, problem)
        if (future := self._waiting.pop(message, None)) is not None and not future.done():
            future.set_exception(send_refused(problem, message))
            future.exception()  # nobody has to wait for it
        self._hub.tell(MessageFailed(message, problem))

    def _renew(self, message: MessageId, problem: Problem) -> None:
        """Give a message another id, of the server's time, once. It goes behind what waits, which would be late behind its stamp."""
        draft = self._store.drafts.get(message)
        try:
            body = self._sealer.kept(draft.kept)
        except CannotOpen:
            self._fail(message, problem)
            return
        with self._store.database.transaction():
            id_ = message_id(problem.more["server_time"], secrets.randbits(74))
            sent_at = self._store.identity.next_timestamp(self._now_ms())
            renewed = self._sealed(replace(draft.message.unsealed(), id=id_, sent_at=sent_at), body)
            self._store.drafts.remove(message)
            position = self._store.drafts.add(renewed, draft.kept, was_sent=True)
        self.outbox.add(position, renewed, was_sent=True)
        if not renewed.is_sealed:
            self._want(renewed.room)
        if (future := self._waiting.pop(message, None)) is not None:
            self._waiting[id_] = future
        _remember(self._renewed, message, id_)
        self._hub.tell(MessageRenewed(message, id_))

    def recheck(self) -> None:
        """Somebody may be blocked now, or no longer: what is not to be sent stops here, and is kept with the reason."""
        for room in self.outbox.rooms():
            self.outbox.stop(room, stopped=self._closed(room) is not None)
        self._drop_stopped()

    def _closed(self, room: RoomId) -> Problem | None:
        by = self._gate.closed_by(room)
        return self._sealer.closed(room) if by is None else blocked_problem(by)

    def give_up(self, room: RoomId, problem: Problem) -> None:
        """The room's epoch cannot be had: what waits for it has failed."""
        with self._store.database.transaction():
            for message in self.outbox.give_up(room):
                self._fail(message, problem)
        self.unready.discard(room)
        self.awake.set()

    def disconnected(self) -> None:
        """The connection is gone: what was on the way goes again, unless a block came meanwhile."""
        self.outbox.disconnected()
        self._drop_stopped()

    def _drop_stopped(self) -> None:
        if stopped := self.outbox.leave_stopped():
            with self._store.database.transaction():
                for message in stopped:
                    self._stop(message)
            self.awake.set()

    def _stop(self, message: MessageId) -> None:
        self._fail(message, self._closed(self._store.drafts.get(message).message.room) or blocked_problem("you"))

    def _accepted_before(self, message: MessageId, problem: Problem) -> None:
        sent = self._store.drafts.get(message).message
        self._store.drafts.remove(message)
        self._settle(Accepted(message, sent.room, sent.sender, sent.recipient, int(problem.more["accepted_at"])))

    def _seal_anew(self, message: MessageId, problem: Problem) -> None:
        """Seal a message, and those that wait behind it, for another epoch: the server does not take this one any more."""
        refused = self._store.drafts.get(message).message
        self._sealer.outdated(refused.room, refused.epoch, problem)
        self.reseal(refused.room)

    def waiting(self) -> list[tuple[Outgoing, bytes]]:
        """What is to be sent, in order, with the bodies; empty ones for those that cannot be opened now."""
        return [(draft.message, self._body(draft)) for draft in self._store.drafts.waiting()]

    def failed(self) -> list[tuple[Outgoing, bytes, Problem]]:
        """What was refused for good, in order, with the bodies."""
        return [(draft.message, self._body(draft), problem) for draft, problem in self._store.drafts.failed()]

    def _body(self, draft: Draft) -> bytes:
        try:
            return self._sealer.kept(draft.kept)
        except CannotOpen:
            return b""

    def discard(self, message: MessageId) -> bool:
        """Give up a message that was refused for good, or was not sent yet. False when it is on the way."""
        message = self._renewed.get(message, message)
        if message in self.outbox and not self.outbox.discard(message):
            return False
        self._store.drafts.remove(message)
        if (future := self._waiting.pop(message, None)) is not None:
            future.cancel()
        return True


def _remember(values: dict[MessageId, V], message: MessageId, value: V) -> None:
    """Keep the newest."""
    values[message] = value
    if len(values) > ANSWERS:
        values.pop(next(iter(values)))
