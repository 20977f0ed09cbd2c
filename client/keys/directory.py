"""Users' signed key documents: asked for, verified, and held against what this device has seen of the user before.

An unknown user's first document is trusted (and can be verified by the safety number). From then on a document must
follow the pinned one. One that does not is not taken: the user counts as one whose keys cannot be had.
"""

import logging
from collections.abc import Awaitable, Callable, Collection
from dataclasses import replace
from typing import Any, Final

from client.crypto import pins, userkeys
from client.crypto.errors import CryptoError, RolledBack
from client.crypto.errors import IdentityChanged as OtherIdentity
from client.crypto.pins import Pin
from client.crypto.userkeys import DeviceKey, UserKeys
from client.errors import Refused
from client.events import Hub, IdentityChanged
from client.protocol.ids import DeviceId, UserId
from client.session import Session
from client.store.keys import Keys as KeyStore

logger = logging.getLogger("letterlock.client")

QUERY: Final = 200  # users in one request
BACK: Final = 100  # documents that are followed back for one device
IN_MEMORY: Final = 2_000


class Directory:
    """What this device knows of users' keys.

    `on_own`: awaited with a newer document of this user's own; with None when the server tells one of another identity.
    """

    def __init__(
        self, store: KeyStore, session: Session, hub: Hub, on_own: Callable[[UserKeys | None], Awaitable[None]],
        now_s: Callable[[], int],
    ) -> None:  # fmt: skip
        self._store = store
        self._session = session
        self._hub = hub
        self._on_own = on_own
        self._now_s = now_s
        self._documents: dict[UserId, UserKeys] = {}
        self._older: dict[UserId, list[tuple[UserKeys, int | None]]] = {}

    def known(self, user: UserId) -> UserKeys | None:
        """The newest document that was taken."""
        found = self._documents.get(user)
        if found is None and (pinned := self._store.pinned(user)) is not None:
            found = userkeys.read(pinned.document, user)
            if len(self._documents) >= IN_MEMORY:
                self._documents.clear()
            self._documents[user] = found
        return found

    async def get(self, users: Collection[UserId], *, fresh: bool = False) -> dict[UserId, UserKeys]:
        """Their documents: those that are here, others from the server; with `fresh` all from the server.

        Users whose document cannot be had, or is not taken, are absent. Raises Refused, Unreachable, SignedOut.
        """
        found = {user: known for user in users if (known := self.known(user)) is not None}
        asked = sorted(set(users) if fresh else set(users) - found.keys())
        for start in range(0, len(asked), QUERY):
            known_seqs = {user: found[user].seq if user in found else 0 for user in asked[start : start + QUERY]}
            answer = await self._session.request("POST", "e2ee/users/query", {"known": known_seqs}, repeat=True)
            for user in known_seqs:
                told = answer.get(user) if isinstance(answer, dict) else None
                if (document := await self._told(user, told)) is not None:
                    found[user] = document
                elif user in found and told is not None:
                    del found[user]  # what is told now does not follow what was told before
        return found

    async def _told(self, user: UserId, told: Any) -> UserKeys | None:
        match told:
            case {"unchanged": True}:
                return self.known(user)
            case {"userkeys": envelope}:
                try:
                    return await self.take(user, userkeys.read(envelope, user))
                except CryptoError as error:
                    logger.warning("a key document of %s is not taken: %s", user, error)
                    if isinstance(error, OtherIdentity):
                        await self._on_own(None)
        return None

    async def take(self, user: UserId, fresh: UserKeys) -> UserKeys:
        """Pin a document that follows what is pinned. Raises CryptoError for one that does not.

        Another identity is taken and told of; one that takes the place of a verified one holds the user.
        """
        known = self.known(user)
        if known is not None and fresh.digest == known.digest:
            return known
        is_other = known is not None and self._check_follows(known, fresh)
        self.pin(user, fresh)
        if is_other:
            self._hub.tell(IdentityChanged(user, self.is_held(user)))
        if self._is_me(user):
            await self._on_own(fresh)
        return fresh

    def _check_follows(self, known: UserKeys, fresh: UserKeys) -> bool:
        """Whether it begins another identity. Raises CryptoError for a document that may not follow."""
        try:
            pins.follow(Pin.of(known), fresh, known)
        except OtherIdentity:
            # Of one's own identity no server says what it is: `check_own`.
            if self._is_me(known.user):
                raise
            left = self._left(known.user, fresh.identity)
            if left is not None:
                # Back to what was given up: then no further back than where it was.
                pins.follow(Pin.of(left), fresh, left)
            return True
        return False

    def _left(self, user: UserId, identity: bytes) -> UserKeys | None:
        """The newest document of an identity that another has followed."""
        return next((old for old, ended in self._olders(user) if old.identity == identity and ended is not None), None)

    def check_own(self, fresh: UserKeys) -> None:
        """Whether one's own document, which the vault agrees with, may follow what is known here.

        Another identity may, since no server can make a vault: the user began again on another device. Raises RolledBack
        for an identity from before that, and what `pins.follow` raises.
        """
        known = self.known(fresh.user)
        if known is None:
            return
        if known.identity == fresh.identity:
            pins.follow(Pin.of(known), fresh, known)
        elif self._left(fresh.user, fresh.identity) is not None:
            raise RolledBack("the server tells of keys that this user has given up")

    def pin(self, user: UserId, document: UserKeys) -> None:
        """Take this document as it is: it follows, was made here, or was checked against the vault."""
        before = self.known(user)
        if before is not None and before.identity != document.identity:
            # What its devices signed until now stays readable; from now on they sign nothing.
            self._store.replace(user, document.json(), (before.seq, before.json()), ended=self._now_s())
            self._older.pop(user, None)
        else:
            self._store.pin(user, document.json())
        self._documents[user] = document

    def _is_me(self, user: UserId) -> bool:
        return self._session.is_signed_in and user == self._session.signed_in.user

    # Devices.

    def device(self, user: UserId, device: DeviceId) -> DeviceKey | None:
        """A device as its user has signed it: in the newest document, or in one before it that says how the device ended."""
        known = self.known(user)
        if known is None:
            return None
        if (found := known.device(device)) is not None:
            return found
        for document, ended in self._olders(user):
            found = document.device(device)
            if found is not None and ended is not None:
                return replace(found, until=ended if found.until is None else min(found.until, ended))
            if found is not None and found.until is not None:
                return found
        return None

    def _olders(self, user: UserId) -> list[tuple[UserKeys, int | None]]:
        if user not in self._older:
            if len(self._older) >= IN_MEMORY:
                self._older.clear()
            self._older[user] = [(userkeys.read(each, user), ended) for each, ended in self._store.older(user)]
        return self._older[user]

    async def find_device(self, user: UserId, device: DeviceId) -> DeviceKey | None:
        """The same; one that was left out of the list is looked for where the document says that it was listed.

        Raises Refused, Unreachable, SignedOut.
        """
        if (found := self.device(user, device)) is not None:
            return found
        document = (await self.get([user], fresh=True)).get(user)
        for _ in range(BACK):
            if document is None or (found := document.device(device)) is not None or document.pruned is None:
                break
            document = await self._before(document)
        return self.device(user, device)

    async def _before(self, document: UserKeys) -> UserKeys | None:
        assert document.pruned is not None
        path = f"e2ee/users/{document.user}/userkeys/{document.pruned.seq}"
        try:
            answer = await self._session.request("GET", path)
            older = userkeys.follow_back(document, answer.get("userkeys") if isinstance(answer, dict) else None)
        except CryptoError as error:
            logger.warning("an older key document of %s is not taken: %s", document.user, error)
            return None
        except Refused as refusal:
            if refusal.problem.may_retry:
                raise
            return None
        self._store.keep_older(document.user, older.seq, older.json())
        self._older.pop(document.user, None)
        return older

    # Verifying.

    def is_verified(self, user: UserId) -> bool:
        """Whether the user of this device has compared the present identity key."""
        known, pinned = self.known(user), self._store.pinned(user)
        return known is not None and pinned is not None and pinned.verified == known.identity

    def is_held(self, user: UserId) -> bool:
        """Whether nothing is to be sealed for a user: verified once, and then another identity key came."""
        known, pinned = self.known(user), self._store.pinned(user)
        return known is not None and pinned is not None and pinned.verified not in (None, known.identity)

    def held(self) -> set[UserId]:
        """All of them. Of a large group's members few were ever verified."""
        compared = self._store.verified().items()
        return {user for user, key in compared if (known := self.known(user)) is not None and known.identity != key}

    def verify(self, user: UserId, *, on: bool) -> None:
        """The present identity key has been compared; or counts as never compared."""
        known = self.known(user)
        self._store.verify(user, known.identity if on and known is not None else None)
