"""Keys on the screen: safety numbers, passwords, the recovery key, unlocking, revoking. What is typed here is never logged."""

from typing import TYPE_CHECKING, Any

from textual.app import App

from client import Client, Device
from client.cli import keywords
from client.cli.deeds import NotDone
from client.cli.names import safe_name
from client.cli.tui.dialogs import Choose, Field, Form, Wrong

if TYPE_CHECKING:
    from client.cli.tui.chat import Chat

Arguments = tuple[str, ...]

VERIFY = """\
{rows}

Compare these 60 digits with {name}, by voice or side by side.
If they are the same on both sides, nobody is in between.
"""
HELD = """\
{name} has other keys than those that you verified.
It may be a new beginning after a lost password, or somebody else.
Nothing is sent before you have compared the digits again.

"""
RECOVERY = """\
Write this down on paper, it is shown only now:

{rows}

With it you get back in when the password is lost, and read everything.
Without both, what was said is lost for good: nobody else has it.
"""
RESET = """\
All your keys are given up and new ones are made. Devices that you sign in
on later read nothing of what was said before, and your contacts are warned
that your safety number has changed. Do this only when neither your password
nor your recovery key opens your keys.
"""


async def verify(chat: "Chat", arguments: Arguments) -> str | None:
    """The safety number with somebody, and whether it was compared."""
    keys, name = chat.desk.client.keys, chat.deeds.whom(arguments)
    user = await chat.deeds.user(name)
    if user == chat.desk.me:
        raise NotDone("that is you")
    rows = keywords.number_rows(await keys.safety_number(user))
    is_verified = keys.is_verified(user)
    body = (HELD.format(name=name) if keys.is_held(user) else "") + VERIFY.format(name=name, rows=rows)
    choices = [("no", "Back"), ("yes", f"They are the same: mark {name} as verified")]
    if is_verified:
        choices = [("no", "Back"), ("off", "Take the mark away")]
    title = f"Safety number with {name}" + (" (verified)" if is_verified else "")
    match await chat.app.push_screen_wait(Choose(title, body, choices)):
        case "yes":
            await keys.verify(user)
            chat.desk.keys_changed(user)
            return f"{name} is verified"
        case "off":
            await keys.verify(user, on=False)
            chat.desk.keys_changed(user)
            return f"{name} is not marked as verified any more"
    return None


def remark(values: dict[str, str], names: tuple[str, ...]) -> str:
    """What to say about a new password and its repetition."""
    said = keywords.strength(values["password"], *names, values.get("username", ""))
    if values["again"] and not values["password"].startswith(values["again"]):
        return "The two differ."
    return said


def chosen(values: dict[str, str]) -> str:
    """A new password that was typed twice. Raises Wrong."""
    if values["password"] != values["again"]:
        raise Wrong("the two differ")
    return values["password"]


async def password(chat: "Chat", _: Arguments) -> str | None:
    """Change the password."""
    client = chat.desk.client
    fields = [
        Field("old", "The present password", secret=True),
        Field("password", "The new one", secret=True),
        Field("again", "The new one again", secret=True),
    ]

    async def change(values: dict[str, str]) -> bool:
        await client.keys.change_password(values["old"], chosen(values))
        return True

    names = (client.me.username,)
    form = Form(
        "Change your password", "", fields, change, verb="change it", remark=lambda values: remark(values, names)
    )
    return "the password is changed, on all your devices" if await chat.app.push_screen_wait(form) else None


async def recovery(chat: "Chat", _: Arguments) -> str | None:
    """A new recovery key; or the one that is not confirmed yet."""
    client = chat.desk.client
    if client.keys.recovery_key is None:
        body = "The old recovery key opens nothing any more as soon as the new one is made."

        async def make(values: dict[str, str]) -> bool:
            await client.keys.new_recovery_key(values["password"])
            return True

        form = Form("A new recovery key", body, [Field("password", "Your password", secret=True)], make, verb="make it")
        if not await chat.app.push_screen_wait(form):
            return None
    if await show_recovery_key(chat.app, client):
        chat.desk.keys_changed()
        return "the recovery key is confirmed"
    return "the recovery key is not confirmed yet: /recovery shows it again"


async def show_recovery_key(app: App[Any], client: Client) -> bool:
    """Show the recovery key until the user can say parts of it. False when that was put off."""
    text = client.keys.recovery_key
    if text is None:
        return True
    numbers = keywords.picked(text)

    async def confirm(values: dict[str, str]) -> bool:
        if not keywords.is_copied(text, numbers, values["groups"]):
            raise Wrong("that is not what stands there; capitals matter")
        client.keys.confirm_recovery_key()
        return True

    asked = " and ".join(map(str, numbers))
    fields = [Field("groups", f"To confirm, type the groups {asked}", placeholder="abcd efgh")]
    body = RECOVERY.format(rows=keywords.key_rows(text))
    return bool(
        await app.push_screen_wait(Form("Your recovery key", body, fields, confirm, verb="confirm", back="later"))
    )


async def unlock(chat: "Chat", _: Arguments) -> str | None:
    """Open the keys with the password."""
    keys = chat.desk.client.keys
    if not keys.is_locked:
        return "your keys are open"

    async def opened(values: dict[str, str]) -> bool:
        await keys.unlock(values["password"])
        return True

    form = Form("Open your keys", "", [Field("password", "Your password", secret=True)], opened, verb="open")
    if not await chat.app.push_screen_wait(form):
        return None
    chat.desk.keys_changed()
    return "your keys are open"


async def revoke(chat: "Chat", device: Device) -> str | None:
    """Revoke a device; what is written from then on is sealed so that it cannot be read there."""
    client, name = chat.desk.client, safe_name(device.name)
    body = "It is signed out at once, and new keys keep it from what is written from now on. What it has, it has."

    async def revoked(values: dict[str, str]) -> bool:
        await client.keys.revoke_device(device.id, values["password"])
        return True

    form = Form(f"Revoke {name}", body, [Field("password", "Your password", secret=True)], revoked, verb="revoke it")
    return f"{name} is revoked" if await chat.app.push_screen_wait(form) else None


async def passphrase(chat: "Chat", _: Arguments) -> str | None:
    """Have this device's keys rest under a passphrase, or under none."""
    keys = chat.desk.client.keys
    body = "Asked for whenever Letterlock starts on this device. Leave both empty for none. It is not your password."
    fields = [
        Field("password", "Passphrase", secret=True, optional=True),
        Field("again", "The same again", secret=True, optional=True),
    ]

    async def protect(values: dict[str, str]) -> str:
        keys.protect(chosen(values) or None)
        return "yes" if values["password"] else "no"

    form = Form("A passphrase for this device", body, fields, protect, verb="keep it", remark=lambda v: remark(v, ()))
    match await chat.app.push_screen_wait(form):
        case "yes":
            return "the keys of this device rest under the passphrase"
        case "no":
            return "the keys of this device rest under no passphrase"
    return None


async def reset(chat: "Chat", _: Arguments) -> str | None:
    """Give all keys up."""
    client = chat.desk.client
    fields = [Field("sure", 'Type "reset"'), Field("password", "Your password", secret=True)]

    async def begin(values: dict[str, str]) -> bool:
        if values["sure"].strip().lower() != "reset":
            raise Wrong('type "reset" into the first field to go on')
        await client.keys.reset(values["password"])
        return True

    if not await chat.app.push_screen_wait(
        Form("Begin again with new keys", RESET, fields, begin, verb="give all keys up")
    ):
        return None
    await show_recovery_key(chat.app, client)
    chat.desk.keys_changed()
    return "you have new keys"
