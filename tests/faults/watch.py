"""What must go on while something is struck, and is looked at all the while."""

import asyncio
import math
import time
from dataclasses import dataclass

from tests.faults.load import Load
from tests.faults.phone import Post
from tests.faults.recovery import OVERRUN_CROWD, OWN_CROWD

FRESH_S = 1.5
# Without Valkey there are no pushes: hosts find what is new by looking, about once a second.
FRESH_WITHOUT_PUSHES_S = 4.0
# From the moment a worker stops in the middle of a batch until PostgreSQL has ended its session (kernel/database.py) and the
# others deliver that batch; and from the moment a host stops until most of its devices, which wait for 3 s, are elsewhere.
TAKEN_OVER_S = 8.0
LOOK_S = 0.02
HELD_UP_S = 0.3
LEAST_WATCH_S = 1.0
# What waits for its answer at the end of it is a share of what was offered, and one stall of the machine must not be it.
LEAST_SHARE_S = 2.0
# A send is answered, with a refusal at least, even if PostgreSQL says nothing: a POST waits 15 s for its commit and is then
# answered 503 (`chat.sender.ANSWER_S`; that is shorter than what the committer's statements and locks may take together).
# Before that it asks Valkey twice, at most 0.6 s each (`kernel.valkey.TIMEOUT_S`, to connect and to be answered).
ANSWERED_S = 17.0


@dataclass
class Watch:
    """Asserts what is promised meanwhile; when other programs take a share of the cores, less in proportion."""

    load: Load

    async def during(
        self,
        what: str,
        seconds: float,
        *,
        fresh_s: float = math.inf,
        accepting: float = 0.0,
        after: float | None = None,
        accepting_after: float | None = None,
    ) -> None:
        """Wait for so long. From `after` on nothing may be older than `fresh_s`, and so much of what is offered must be accepted;
        that from `accepting_after` on, if it is told.
        """
        began = now = time.monotonic()
        since = began + (TAKEN_OVER_S if after is None else after)
        shared_since = since if accepting_after is None else began + accepting_after
        while now < began + seconds:
            before, now = now, time.monotonic()
            if now - before > HELD_UP_S:
                # This process itself was, and the clients in it.
                since, shared_since = max(since, now + FRESH_S), max(shared_since, now + FRESH_S)
            if now > since and (age := self.load.oldest()) > fresh_s * self.overrun(began, now):
                assert self.load.crowd(began, now) > OVERRUN_CROWD, (
                    f"{what}: something is {age:.1f} s old; {self.load.held_up()}"
                )
            await asyncio.sleep(LOOK_S)
        if accepting and now - shared_since >= LEAST_SHARE_S:
            self.accepting(what, shared_since, now, accepting)

    def accepting(self, what: str, since: float, until: float, share: float = 0.8) -> None:
        """So much of what is offered is accepted meanwhile."""
        accepted, offered = self.load.accepted_between(since, until), self.load.composed_between(since, until)
        assert offered and accepted >= share * offered / self.overrun(since, until), (
            f"{what}: only {accepted} of {offered} sends were accepted; {self.load.unsettled()}"
        )

    def answered(self, since: float, until: float, *, over_sockets: bool = True) -> None:
        """What was sent in this time has had an answer by now, and within what is promised; or only the POSTs have."""
        now = time.monotonic()
        if self.load.crowd(since, now) > OVERRUN_CROWD:
            return
        hung = self.load.unanswered(since, until, ANSWERED_S * self.overrun(since, now))
        hung = [sent for sent in hung if over_sockets or isinstance(sent, Post)]
        assert not hung, f"{len(hung)} sends were not answered within {ANSWERED_S:.0f} s, the first of them: {hung[0]}"

    def overrun(self, since: float, until: float) -> float:
        """How much longer things may have taken in this time because other programs took a share of the cores."""
        return max(1.0, self.load.crowd(since, until) / OWN_CROWD)
