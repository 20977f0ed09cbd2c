"""Commands about the account: signing up, in and out, devices. The other commands are in `client.cli.scripted`."""

import socket
from argparse import Namespace
from collections.abc import Awaitable, Callable

from client import Client, Device
from client.cli import secrets, words
from client.cli.deeds import NotDone
from client.cli.names import folded
from client.cli.place import Place, is_in_the_open
from client.cli.scripted import Exit, as_json, complain, say
from client.cli.text import one_line


def host_name() -> str:
    """What this device may be called: its host's name."""
    return one_line(socket.gethostname().split(".")[0], 40) or "terminal"


def _before_entering(client: Client, place: Place) -> None:
    if client.is_signed_in:
        raise NotDone(f"{client.me.username} is signed in here: sign out first, or use another --profile")
    if is_in_the_open(place.url):
        complain("this address is plain http: who listens on the way sees whom you write to")


async def sign_up(client: Client, place: Place, options: Namespace) -> Exit:
    """Make an account, with this as its first device."""
    _before_entering(client, place)
    password = secrets.read("password", options.password_file, twice=True)
    me = await client.register(folded(options.user), password, device_name=options.device_name or host_name())
    place.keep()
    say(
        as_json({"user": me.user, "username": me.username, "device": me.device})
        if options.json
        else f"you are {me.username}"
    )
    return Exit.DONE


async def sign_in(client: Client, place: Place, options: Namespace) -> Exit:
    """Make this a device of an account."""
    _before_entering(client, place)
    password = secrets.read("password", options.password_file)
    me = await client.sign_in(folded(options.user), password, device_name=options.device_name or host_name())
    place.keep()
    say(
        as_json({"user": me.user, "username": me.username, "device": me.device})
        if options.json
        else f"you are {me.username}"
    )
    return Exit.DONE


async def sign_out(client: Client, place: Place, options: Namespace) -> Exit:
    """Have this device revoked."""
    _ = client.me
    await client.sign_out()
    return Exit.DONE


async def status(client: Client, place: Place, options: Namespace) -> Exit:
    """Who this is, and what waits; asks nobody."""
    me = client.me
    fields = {
        "username": me.username, "user": me.user, "device": me.device_name, "server": place.url, "store": str(place.store),
        "waiting": len(client.unsent()), "failed": len(client.failed()),
        "unread": sum(client.unread(room.id) for room in client.known_rooms()),
    }  # fmt: skip
    if options.json:
        say(as_json(fields))
    else:
        for name, value in fields.items():
            say(f"{name:<9} {one_line(str(value))}")
    return Exit.DONE


async def devices(client: Client, place: Place, options: Namespace) -> Exit:
    """List, rename or revoke the account's devices."""
    found = await client.devices()
    if options.deed is None:
        for device in found:
            fields = {"device": device.id, "name": device.name, "this_device": device.this_device,
                      "created_at": device.created_at, "last_seen_at": device.last_seen_at}  # fmt: skip
            say(as_json(fields) if options.json else f"{device.id}  {words.of_device(device, words.now_ms())}")
        return Exit.DONE
    device = _device_called(found, options.device)
    if options.deed == "rename":
        await client.rename_device(device.id, options.name)
    elif device.this_device:
        raise NotDone("this is the device that you are using: sign-out ends it")
    else:
        await client.revoke_device(device.id)
    return Exit.DONE


def _device_called(devices: list[Device], text: str) -> Device:
    """A device by its id, the end of it, or its name, if only one has it. Raises NotDone."""
    meant = [device for device in devices if text in (device.id, device.name)]
    meant = meant or [device for device in devices if len(text) >= 6 and device.id.endswith(text)]
    if len(meant) != 1:
        raise NotDone(f"{'more than one device is' if meant else 'no device is'} called {one_line(text, 40)}")
    return meant[0]


COMMANDS: dict[str, Callable[[Client, Place, Namespace], Awaitable[Exit]]] = {
    "sign-up": sign_up, "sign-in": sign_in, "sign-out": sign_out, "status": status, "devices": devices,
}  # fmt: skip
