"""The account and its devices, as calls of the client."""

from typing import Any
from urllib.parse import quote

from client.protocol.answers import Device, SignedIn, decode_device
from client.protocol.ids import DeviceId, UserId
from client.session import Session


class AccountCalls:
    """Part of `Client`."""

    _session: Session

    @property
    def me(self) -> SignedIn:
        """Who this device is. Raises SignedOut."""
        return self._session.signed_in

    @property
    def is_signed_in(self) -> bool:
        """Whether this device has a sign-in, as far as it knows."""
        return self._session.is_signed_in

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
