"""Being signed in: tokens, their rotation, and requests that carry them (protocol §3)."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from client.errors import LetterlockError, MailboxDiverged, NoDevice, Refused, SignedOut, Unreachable
from client.protocol.answers import SignedIn, Tokens, decode_signed_in, decode_tokens
from client.protocol.backoff import Backoff
from client.store import Store
from client.transport.rest import Rest

# An access token that ends within this time is replaced before it is used.
EARLY_MS = 20_000
SAFE_TO_REPEAT = frozenset({"GET", "PATCH", "DELETE"})

T = TypeVar("T")


def _ends_soon(tokens: Tokens) -> bool:
    return tokens.access_expires_at <= time.time() * 1000 + EARLY_MS


class Session:
    """One device's sign-in. `patience` is for how many seconds a refused or unanswered request is repeated."""

    def __init__(self, rest: Rest, store: Store, *, patience: float) -> None:
        self._rest = rest
        self._identity = store.identity
        self._patience = patience
        self._refreshing = asyncio.Lock()
        self._clock_is_off = False
        # Whether the last request that was tried had an answer.
        self.is_reachable = True
        # Whether the server has done what this device asked: it knows the device.
        self.was_answered = False
        self._now: SignedIn | None = self._identity.load()

    @property
    def signed_in(self) -> SignedIn:
        """Who this device is. Raises SignedOut."""
        if self._now is None:
            raise NoDevice("sign up or in first") if self._identity.owner() is None else SignedOut("sign in first")
        return self._now

    @property
    def is_signed_in(self) -> bool:
        """Whether there is a sign-in, as far as this device knows."""
        return self._now is not None

    async def ask(self, path: str) -> Any:
        """GET something that anybody may ask."""
        return await self._patiently(lambda: self._rest.request("GET", path), repeat=True)

    async def enter(self, path: str, form: Mapping[str, Any]) -> SignedIn:
        """Register or sign in: a new device of the user. Raises Refused, and MailboxDiverged for another user's store."""
        if self._now is not None:
            raise LetterlockError("sign out first")
        body = dict(form)
        # Not repeated without an answer: a registration that came through would then say `username_taken`.
        fields = await self._patiently(lambda: self._rest.request("POST", path, body), repeat=False)
        signed_in = decode_signed_in(fields)
        if self._identity.owner() not in (None, signed_in.user):
            raise MailboxDiverged("this store holds another user's mailbox")
        self._identity.save(signed_in)
        self._now = signed_in
        return signed_in

    async def leave(self) -> None:
        """Have this device revoked. It counts as signed out even if the server cannot be reached."""
        try:
            await self.request("POST", "accounts/sign-out", {})
        except SignedOut:
            pass
        finally:
            self._forget()

    def _forget(self) -> None:
        self._identity.forget_tokens()
        self._now = None

    async def access(self, *, refused: str | None = None) -> str:
        """A valid access token, another than the `refused` one. Raises SignedOut, Refused, Unreachable.

        Callers that find the same token refused at the same time cause one refresh, since a refresh token is spent
        by its use.
        """
        tokens = self.signed_in.tokens
        if tokens.access != refused and (self._clock_is_off or not _ends_soon(tokens)):
            return tokens.access
        async with self._refreshing:
            # Compared by the refresh token: access tokens of the same second can be alike.
            if self.signed_in.tokens.refresh == tokens.refresh:
                await self._refresh(tokens)
        return self.signed_in.tokens.access

    async def _refresh(self, tokens: Tokens) -> None:
        body = {"refresh": tokens.refresh}
        try:
            # Repeated at once if no answer comes: the server answers a spent token again for a short time.
            fields = await self._patiently(lambda: self._rest.request("POST", "accounts/refresh", body), repeat=True)
        except Refused as refusal:
            if refusal.problem.status == 401:
                self._forget()
                raise SignedOut(refusal.problem.detail) from refusal
            raise
        old, fresh = self.signed_in, decode_tokens(fields)
        self._identity.save_tokens(fresh)
        # If a new token seems to have ended, it is this device's clock: then only the server's refusal counts.
        self._clock_is_off = _ends_soon(fresh)
        self._now = SignedIn(old.user, old.username, old.device, old.device_name, fresh)

    async def request(
        self, method: str, path: str, body: Any = None, *, repeat: bool | None = None, if_match: int | None = None
    ) -> Any:
        """A request of this device. `repeat` says that doing it twice is harmless; so are GET, PATCH and DELETE.

        `if_match`: the version that this replaces. Raises Refused, Unreachable, SignedOut.
        """
        harmless = method in SAFE_TO_REPEAT if repeat is None else repeat
        return await self._patiently(lambda: self.request_once(method, path, body, if_match=if_match), repeat=harmless)

    async def request_once(self, method: str, path: str, body: Any = None, *, if_match: int | None = None) -> Any:
        """The same without repeats; an expired token is replaced."""
        try:
            answer = await self._with_token(method, path, body, if_match)
        except Unreachable:
            self.is_reachable = False
            raise
        except Refused:
            self.is_reachable = True
            raise
        self.is_reachable = self.was_answered = True
        return answer

    async def _with_token(self, method: str, path: str, body: Any, if_match: int | None) -> Any:
        token = await self.access()
        try:
            return await self._rest.request(method, path, body, token=token, if_match=if_match)
        except Refused as refusal:
            if refusal.code != "unauthenticated":
                raise
        return await self._rest.request(method, path, body, token=await self.access(refused=token), if_match=if_match)

    async def _patiently(self, call: Callable[[], Awaitable[T]], *, repeat: bool) -> T:
        deadline = time.monotonic() + self._patience
        backoff = Backoff()
        while True:
            try:
                return await call()
            except (Refused, Unreachable) as error:
                after = error.problem.retry_after if isinstance(error, Refused) else None
                # Over a rate, nothing was done. Other failures may have come after the deed.
                if isinstance(error, Refused) and not error.problem.may_retry:
                    raise
                if not repeat and not (isinstance(error, Refused) and error.code == "rate_limited"):
                    raise
                delay = backoff.delay(random.random(), after)
                if time.monotonic() + delay > deadline:
                    raise
            backoff = backoff.failed()
            await asyncio.sleep(delay)
