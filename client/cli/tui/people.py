"""Members, contacts, devices and settings: lists to choose from, and what can be done with what was chosen."""

from typing import TYPE_CHECKING

from client import Relation
from client.cli import words
from client.cli.deeds import NotDone
from client.cli.names import safe_name
from client.cli.tui import keys
from client.cli.tui.dialogs import Choose, Field, Form

if TYPE_CHECKING:
    from client.cli.tui.chat import Chat

Arguments = tuple[str, ...]


async def members(chat: "Chat", _: Arguments) -> str | None:
    """Who is in the open room."""
    room = chat.desk.open_room
    if room is None:
        raise NotDone("no conversation is open")
    names, me = chat.desk.names, chat.desk.me
    mine = next((member.role for member in room.members if member.user == me), "member")
    choices = [
        (member.user, f"{names[member.user]:<32}  {member.role if room.kind == 'group' else ''}{' (you)' if member.user == me else ''}")
        for member in room.members
    ]  # fmt: skip
    picked = await chat.app.push_screen_wait(Choose(f"{len(room.members)} people", "", choices))
    person = next((member for member in room.members if member.user == picked and member.user != me), None)
    if person is None:
        return None
    deeds = [("chat", "Open a conversation"), ("verify", "Compare safety numbers")]
    if room.kind == "group" and mine == "owner":
        deeds += [("plain", "Make a plain member")] if person.role == "admin" else [("admin", "Make an admin")]
        deeds += [("owner", "Hand this group over")]
    if room.kind == "group" and (mine == "owner" or (mine == "admin" and person.role == "member")):
        deeds += [("remove", "Put out of this group")]
    name = names[person.user]
    match await chat.app.push_screen_wait(Choose(name, "", [*deeds, ("back", "Back")])):
        case "chat":
            await chat.deeds.chat(name)
            chat.went()
        case "verify":
            return await keys.verify(chat, (name,))
        case "admin":
            return await chat.deeds.role(name, "admin")
        case "plain":
            return await chat.deeds.role(name, "member")
        case "owner":
            return await chat.deeds.owner(name)
        case "remove":
            return await chat.deeds.remove(name)
    return None


SECTIONS = (
    ("incoming", "asks to be your contact"),
    ("contact", "contact"),
    ("requested", "you have asked"),
    ("none", ""),
)


async def contacts(chat: "Chat", _: Arguments) -> str | None:
    """Contacts, requests and blocks."""
    found = sorted(
        (
            relation
            for relation in chat.desk.client.connections.list()
            if relation.state != "none" or any(relation.blocks)
        ),
        key=lambda relation: ([state for state, _ in SECTIONS].index(relation.state), chat.desk.names[relation.user]),
    )
    waiting = {change.target for change in chat.desk.client.connections.waiting()}
    choices: list[tuple[str, str]] = [
        (relation.user, f"{chat.desk.names[relation.user]:<32}  {words.of_relation(relation)}"
         + (" (a change waits)" if waiting & {relation.user, relation.username} else ""))
        for relation in found
    ]  # fmt: skip
    choices.append(("new", "Ask somebody to be a contact…"))
    body = "" if found else "Nobody yet."
    picked = await chat.app.push_screen_wait(Choose("Contacts, requests, blocks", body, choices))
    if picked == "new":
        name = await ask_name(chat, "Ask somebody to be a contact")
        return await chat.deeds.change("request", name) if name else None
    relation = next((relation for relation in found if relation.user == picked), None)
    return await _about(chat, relation) if relation is not None else None


async def _about(chat: "Chat", relation: Relation) -> str | None:
    name = chat.desk.names[relation.user]
    deeds = [("chat", "Open the conversation"), ("verify", "Compare safety numbers")]
    match relation.state:
        case "incoming":
            deeds = [("accept", "Accept"), ("decline", "Decline"), *deeds]
        case "contact":
            deeds.append(("forget", "Take off your contacts"))
        case "requested":
            deeds.append(("forget", "Take the request back"))
        case "none":
            deeds.append(("request", "Ask to be a contact"))
    deeds.append(("unblock", "Unblock") if relation.blocked else ("block", "Block"))
    picked = await chat.app.push_screen_wait(Choose(name, words.of_relation(relation), [*deeds, ("back", "Back")]))
    match picked:
        case None | "back":
            return None
        case "chat":
            await chat.deeds.chat(name)
            chat.went()
            return None
        case "verify":
            return await keys.verify(chat, (name,))
        case button:
            return await chat.deeds.change(button, name)


async def ask_name(chat: "Chat", title: str) -> str | None:
    """A user name, typed."""

    async def answer(values: dict[str, str]) -> str:
        return values["name"]

    return await chat.app.push_screen_wait(Form(title, "", [Field("name", "Exact user name")], answer))


async def devices(chat: "Chat", _: Arguments) -> str | None:
    """The user's devices."""
    client = chat.desk.client
    found = await client.devices()
    choices = [(device.id, words.of_device(device, words.now_ms())) for device in found]
    picked = await chat.app.push_screen_wait(Choose("Your devices", "", choices))
    device = next((device for device in found if device.id == picked), None)
    if device is None:
        return None
    deeds = [("rename", "Rename")] + ([] if device.this_device else [("revoke", "Revoke: sign it out for good")])
    match await chat.app.push_screen_wait(
        Choose(safe_name(device.name), words.of_device(device, words.now_ms()), [*deeds, ("back", "Back")])
    ):
        case "rename":

            async def rename(values: dict[str, str]) -> str:
                return (await client.rename_device(device.id, values["name"])).name

            fields = [Field("name", "Name", safe_name(device.name))]
            name = await chat.app.push_screen_wait(Form("Rename a device", "", fields, rename, verb="rename"))
            return f"it is called {safe_name(name)} now" if name else None
        case "revoke":
            return await keys.revoke(chat, device)
    return None


async def settings(chat: "Chat", _: Arguments) -> str | None:
    """Read receipts, and who may reach the user."""
    client = chat.desk.client
    receipts = bool((await client.account())["read_receipts"])
    reach = client.connections.settings
    choices = [("receipts", f"Others see what you have read:          {'yes' if receipts else 'no'}")]
    if reach is not None:
        choices += [
            ("open", f"Who may begin a conversation with you:  {reach.who_may_open}"),
            ("add", f"Who may add you to a group:             {reach.who_may_add}"),
            ("strangers", f"First messages of strangers:            {_strangers(reach.strangers)}"),
        ]
    picked = await chat.app.push_screen_wait(Choose("Settings: Enter changes", "", choices))
    if picked == "receipts":
        await client.set_read_receipts(not receipts)
    elif reach is not None and picked == "open":
        await client.connections.change_settings(who_may_open=_other(reach.who_may_open))
    elif reach is not None and picked == "add":
        await client.connections.change_settings(who_may_add=_other(reach.who_may_add))
    elif reach is not None and picked == "strangers":
        held = "mailbox" if reach.strangers == "requests" else "requests"
        await client.connections.change_settings(strangers=held)
    else:
        return None
    return "changed"


def _other(who: str) -> str:
    return "contacts" if who == "anyone" else "anyone"


def _strangers(where: str) -> str:
    return "wait until you accept" if where == "requests" else "come like others"
