"""Commands about the account: signing up, in and out, devices. Those about messages are in `client.cli.scripted`."""

import socket
from argparse import Namespace
from collections.abc import Awaitable, Callable

from client import Client, Device, SignedIn
from client.cli import keywords, secrets, words
from client.cli.deeds import NotDone, user_called
from client.cli.names import folded
from client.cli.output import Exit, as_json, complain, say
from client.cli.place import Place, is_in_the_open
from client.cli.scripted import names_of
from client.cli.text import one_line


def host_name() -> str:
    """What this device may be called: its host's name."""
    return one_line(socket.gethostname().split(".")[0], 40) or "terminal"


def _before_entering(client: Client, place: Place) -> None:
    if client.is_signed_in:
        raise NotDone(f"{client.me.username} is signed in here: sign out first, or use another --profile")
    if is_in_the_open(place.url):
        complain("this address is plain http: who listens on the way sees whom you write to")


def _entered(me: SignedIn, place: Place, options: Namespace, recovery_key: str | None = None) -> Exit:
    place.keep()
    key = {} if recovery_key is None else {"recovery_key": recovery_key}
    if options.json:
        say(as_json({"user": me.user, "username": me.username, "device": me.device} | key))
    else:
        say(f"you are {me.username}")
        for text in key.values():
            say(f"recovery key: {text}")
    return Exit.DONE


async def sign_up(client: Client, place: Place, options: Namespace) -> Exit:
    """Make an account, with this as its first device. The recovery key is told once."""
    _before_entering(client, place)
    password = secrets.read("password", options.password_file, twice=True)
    with secrets.handed_over(options.recovery_key_file) as hand_over:
        me = await client.register(folded(options.user), password, device_name=options.device_name or host_name())
        text = _told_once(client, hand_over)
    return _entered(me, place, options, None if options.recovery_key_file else text)


def _told_once(client: Client, hand_over: Callable[[str], None]) -> str:
    """The recovery key, which this device forgets as soon as it is handed over."""
    text = client.keys.recovery_key or ""
    hand_over(text)
    client.keys.confirm_recovery_key()
    return text


async def sign_in(client: Client, place: Place, options: Namespace) -> Exit:
    """Make this a device of an account."""
    _before_entering(client, place)
    password = secrets.read("password", options.password_file)
    me = await client.sign_in(folded(options.user), password, device_name=options.device_name or host_name())
    return _entered(me, place, options)


async def recover(client: Client, place: Place, options: Namespace) -> Exit:
    """Make this a device of an account by its recovery key."""
    _before_entering(client, place)
    key = secrets.read("recovery key", options.recovery_key_file)
    new = secrets.read("new password", options.new_password_file) if options.new_password_file else None
    name = options.device_name or host_name()
    me = await client.recover(folded(options.user), key, device_name=name, new_password=new)
    return _entered(me, place, options)


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
        await client.keys.revoke_device(device.id, secrets.read("password", options.password_file))
    return Exit.DONE


def _device_called(devices: list[Device], text: str) -> Device:
    """A device by its id, the end of it, or its name, if only one has it. Raises NotDone."""
    meant = [device for device in devices if text in (device.id, device.name)]
    meant = meant or [device for device in devices if len(text) >= 6 and device.id.endswith(text)]
    if len(meant) != 1:
        raise NotDone(f"{'more than one device is' if meant else 'no device is'} called {one_line(text, 40)}")
    return meant[0]


async def safety_number(client: Client, place: Place, options: Namespace) -> Exit:
    """Print the safety number with somebody, or mark it as compared."""
    user = await user_called(client, names_of(client, place), options.user)
    number = await client.keys.safety_number(user)
    if options.verified or options.not_verified:
        await client.keys.verify(user, on=options.verified)
    is_verified = client.keys.is_verified(user)
    if options.json:
        say(as_json({"user": user, "number": number, "verified": is_verified, "held": client.keys.is_held(user)}))
    else:
        say(keywords.number_rows(number))
        say("verified" if is_verified else "not verified")
    return Exit.DONE


async def unlock(client: Client, place: Place, options: Namespace) -> Exit:
    """Get from the vault what this device lacks."""
    _ = client.me
    if client.keys.is_locked:
        await client.keys.unlock(secrets.read("password", options.password_file))
    return Exit.DONE


async def password(client: Client, place: Place, options: Namespace) -> Exit:
    """Change the password."""
    _ = client.me
    old = secrets.read("present password", options.password_file)
    await client.keys.change_password(old, secrets.read("new password", options.new_password_file, twice=True))
    return Exit.DONE


async def recovery_key(client: Client, place: Place, options: Namespace) -> Exit:
    """Make a new recovery key, and tell it once."""
    _ = client.me
    with secrets.handed_over(options.recovery_key_file) as hand_over:
        await client.keys.new_recovery_key(secrets.read("password", options.password_file))
        text = _told_once(client, hand_over)
    if options.recovery_key_file is None:
        say(as_json({"recovery_key": text}) if options.json else text)
    return Exit.DONE


async def passphrase(client: Client, place: Place, options: Namespace) -> Exit:
    """Have this device's keys rest under another passphrase, or under none."""
    _ = client.me
    client.keys.protect(
        None if options.none else secrets.read("new passphrase", options.new_passphrase_file, twice=True)
    )
    return Exit.DONE


COMMANDS: dict[str, Callable[[Client, Place, Namespace], Awaitable[Exit]]] = {
    "sign-up": sign_up, "sign-in": sign_in, "sign-out": sign_out, "status": status, "devices": devices,
    "recover": recover, "safety-number": safety_number, "unlock": unlock, "password": password,
    "recovery-key": recovery_key, "passphrase": passphrase,
}  # fmt: skip
