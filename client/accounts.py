"""The account and its devices, as calls of the client."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

from client.errors import LetterlockError
from client.keys import Keys
from client.protocol.answers import Device, SignedIn, decode_device
from client.protocol.ids import DeviceId, UserId
from client.session import Session


class AccountCalls:
    """Part of `Client`."""

    _session: Session
    _keys: Keys | None

    def _carry(self) -> None:
        raise NotImplementedError

    async def register(
        self, username: str, password: str, *, device_name: str, check_strength: bool = True
    ) -> SignedIn:
        """Make an account, with this as its first device. `keys.recovery_key` is then to be shown. Raises WeakPassword.

        Without an answer it may have been made all the same: register again, or sign in.
        """
        with self._carrying():
            if self._keys is None:
                form = {"username": username, "password": password, "device_name": device_name}
                return await self._session.enter("accounts/register", form)
            return await self._keys.account.register(
                username, password, device_name=device_name, strength=self._keys.strength, check_strength=check_strength
            )

    async def sign_in(self, username: str, password: str, *, device_name: str) -> SignedIn:
        """Make this a device of an account. Raises WeakKdf, RolledBack and the like when the server is not to be trusted.

        When this fails with `is_signed_in`, the device is one, without keys: `keys.unlock` goes on.
        """
        with self._carrying():
            if self._keys is None:
                form = {"username": username, "password": password, "device_name": device_name}
                return await self._session.enter("accounts/sign-in", form)
            return await self._keys.account.sign_in(username, password, device_name=device_name)

    async def recover(
        self, username: str, recovery_key: str, *, device_name: str, new_password: str | None = None,
        check_strength: bool = True,
    ) -> SignedIn:  # fmt: skip
        """Make this a device of an account by its recovery key; with another password from now on, if one is given."""
        with self._carrying():
            return await self.keys.account.recover(
                username, recovery_key, device_name=device_name, new_password=new_password,
                strength=self.keys.strength, check_strength=check_strength,
            )  # fmt: skip

    @contextmanager
    def _carrying(self) -> Iterator[None]:
        try:
            yield
        finally:
            self._carry()

    @property
    def keys(self) -> Keys:
        """Keys of this user and of others. Raises LetterlockError for a client with another sealer."""
        if self._keys is None:
            raise LetterlockError("this client has no keys")
        return self._keys

    @property
    def me(self) -> SignedIn:
        """Who this device is. Raises SignedOut."""
        return self._session.signed_in

    @property
    def is_signed_in(self) -> bool:
        """Whether this device has a sign-in, as far as it knows."""
        return self._session.is_signed_in

    @property
    def was_answered(self) -> bool:
        """Whether the server at this address has answered this device, and so knows it."""
        return self._session.was_answered

    async def account(self) -> dict[str, Any]:
        """`{id, username, created_at, read_receipts}`."""
        return dict(await self._session.request("GET", "account"))

    async def set_read_receipts(self, on: bool) -> None:
        """Whether others learn what this user has read."""
        await self._session.request("PATCH", "account", {"read_receipts": on})

    async def find_user(self, username: str) -> UserId:
        """The user of exactly this name. Raises Refused (`not_found`)."""
        return UserId((await self._session.request("GET", f"users/{quote(username, safe='')}"))["id"])

    async def devices(self) -> list[Device]:
        """The user's devices."""
        return [decode_device(fields) for fields in (await self._session.request("GET", "devices"))["devices"]]

    async def rename_device(self, device: DeviceId, name: str) -> Device:
        """Give a device another name."""
        return decode_device(await self._session.request("PATCH", f"devices/{device}", {"name": name}))

    async def revoke_device(self, device: DeviceId) -> None:
        """Sign another device out. It keeps the keys that it has: `keys.revoke_device` makes new ones, with the password."""
        await self._session.request("DELETE", f"devices/{device}")
