"""Keys on the screen: safety numbers, the password, the recovery key, unlocking, revoking."""

from typing import TYPE_CHECKING

from client import Device
from client.cli.deeds import NotDone
from client.cli.names import safe_name
from client.cli.tui.dialogs import Choose

if TYPE_CHECKING:
    from client.cli.tui.chat import Chat

Arguments = tuple[str, ...]


async def verify(chat: "Chat", arguments: Arguments) -> str | None:
    """The safety number with somebody."""
    raise NotDone("this client has no keys yet")


async def password(chat: "Chat", _: Arguments) -> str | None:
    """Change the password."""
    raise NotDone("this client has no keys yet")


async def recovery(chat: "Chat", _: Arguments) -> str | None:
    """A new recovery key."""
    raise NotDone("this client has no keys yet")


async def unlock(chat: "Chat", _: Arguments) -> str | None:
    """Open the keys."""
    raise NotDone("this client has no keys yet")


async def revoke(chat: "Chat", device: Device) -> str | None:
    """Revoke a device."""
    name = safe_name(device.name)
    choices = [("no", "Back"), ("yes", "Revoke")]
    if await chat.app.push_screen_wait(Choose(f"Revoke {name}?", "It is signed out at once.", choices)) != "yes":
        return None
    await chat.desk.client.revoke_device(device.id)
    return f"{name} is revoked"
