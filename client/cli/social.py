"""Commands about groups and contacts. Those about messages are in `client.cli.scripted`."""

import asyncio
from argparse import Namespace

from client import Client, Unreachable
from client.cli import deeds, words
from client.cli.deeds import NotDone
from client.cli.names import folded, short_id
from client.cli.output import Exit, as_json, complain, say
from client.cli.scripted import caught_up, names_of, room_called


async def group(client: Client, options: Namespace) -> Exit:
    """Make and change groups."""
    await caught_up(client, options.timeout)
    names = names_of(client, options.place)
    if options.deed == "create":
        room = await client.create_group([await deeds.user_called(client, names, name) for name in options.users])
        say(as_json({"room": room.id}) if options.json else short_id(room.id))
        return Exit.DONE
    room = await room_called(client, names, options.room)
    if room.kind != "group":
        raise NotDone("that is no group")
    match options.deed:
        case "add":
            await client.add_members(room.id, [await deeds.user_called(client, names, name) for name in options.users])
        case "remove":
            await client.remove_member(room.id, await deeds.user_called(client, names, options.user))
        case "role":
            await client.set_role(room.id, await deeds.user_called(client, names, options.user), options.role)
        case "owner":
            await client.hand_over(room.id, await deeds.user_called(client, names, options.user))
        case "leave":
            await client.leave_room(room.id)
        case _:
            for member in room.members:
                fields = {"user": member.user, "username": names[member.user], "role": member.role}
                say(as_json(fields) if options.json else f"{names[member.user]:<32}  {member.role}")
    return Exit.DONE


async def contacts(client: Client, options: Namespace) -> Exit:
    """List contacts, requests and blocks, or change one."""
    if options.deed is None:
        status = Exit.DONE
        try:
            await caught_up(client, options.timeout)
            await _in_step(client, options)
        except Unreachable as error:
            complain(f"{words.of_error(error)}: this is what is on this device")
            status = Exit.UNREACHABLE
        names = names_of(client, options.place)
        for relation in client.connections.list():
            if options.json:
                fields = {"user": relation.user, "username": names[relation.user], "state": relation.state}
                say(as_json(fields | {"blocked": relation.blocked, "blocked_by": relation.blocked_by}))
            elif relation.state != "none" or any(relation.blocks):
                say(f"{names[relation.user]:<32}  {words.of_relation(relation)}")
        return status
    await caught_up(client, options.timeout)
    names = names_of(client, options.place)
    pressed = deeds.press(client, options.deed, names.user(options.user) or folded(options.user))
    options.mine.add(pressed.change.position)
    try:
        async with asyncio.timeout(options.timeout):
            relation = await pressed
    except TimeoutError as error:
        raise Unreachable("no answer yet; it is tried again as soon as letterlock is connected") from error
    names.learn(relations=[relation])
    say(f"{names[relation.user]}: {words.of_relation(relation)}")
    return Exit.DONE


async def _in_step(client: Client, options: Namespace) -> None:
    """Read what is new among connections; no longer, when a change that waits has a question for the user."""
    step = asyncio.create_task(client.connections.sync())
    asked = asyncio.create_task(options.asked.wait())
    done, _ = await asyncio.wait({step, asked}, timeout=options.timeout, return_when=asyncio.FIRST_COMPLETED)
    asked.cancel()
    if step in done:
        await step
        return
    step.cancel()
    if not options.asked.is_set():
        raise Unreachable
    complain("a change of yours waits for an answer: the screen asks for it")
