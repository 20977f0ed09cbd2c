"""Comparing keys with somebody, so that no server stands between: by a number, or by scanning a code."""

from client.crypto import safety
from client.crypto.errors import IdentityChanged
from client.errors import LetterlockError
from client.keys.directory import Directory
from client.protocol.ids import UserId
from client.session import Session


class Verifier:
    """Remembers what was shown: what the user then confirms is that, and not what came in between."""

    def __init__(self, session: Session, directory: Directory) -> None:
        self._session = session
        self._directory = directory
        self._shown: dict[UserId, bytes] = {}

    async def safety_number(self, user: UserId) -> str:
        """60 digits, the same for both. Raises LetterlockError without the user's keys."""
        me = self._session.signed_in.user
        mine, theirs = await self._identity(me), await self._identity(user)
        self._shown[user] = theirs
        return safety.safety_number(me, mine, user, theirs)

    async def verify(self, user: UserId, number: str | None, *, on: bool) -> None:
        """The number was the same. Raises IdentityChanged when it is another one by now."""
        identity = await self._identity(user)
        if on and number is not None and number.replace(" ", "") != await self.safety_number(user):
            raise IdentityChanged("this is not the safety number with this user")
        if on and self._shown.get(user, identity) != identity:
            raise IdentityChanged("the keys have changed since the safety number was shown: compare again")
        self._shown.pop(user, None)
        self._directory.verify(user, on=on)

    async def scanned(self, text: str) -> UserId:
        """The code that somebody showed; who it was. Raises BadEncoding, and IdentityChanged if the server says otherwise."""
        user, identity = safety.read_qr(text)
        if await self._identity(user) != identity:
            raise IdentityChanged("the server names another key than the code")
        self._directory.verify(user, on=True)
        return user

    def code(self) -> str:
        """What the user's own code says."""
        document = self._directory.known(self._session.signed_in.user)
        if document is None:
            raise LetterlockError("this user has no keys yet")
        return safety.qr_text(document.user, document.identity)

    async def _identity(self, user: UserId) -> bytes:
        found = (await self._directory.get([user])).get(user)
        if found is None:
            raise LetterlockError("the keys of this user cannot be had")
        return found.identity
