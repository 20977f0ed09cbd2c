"""What can be said about a desk in a line: its state, the open room, what the user should know, what Tab may complete."""

from client import Relation, UserId
from client.cli import banners, words
from client.cli.commands import Kind, Where
from client.cli.desk import Desk
from client.cli.names import people, short_id, title
from client.cli.text import one_line


def _peer(desk: Desk) -> tuple[UserId | None, Relation | None]:
    """The other one of the open direct room, and what there is with them."""
    room = desk.open_room
    peer = room.peer_of(desk.me) if room is not None else None
    return peer, desk.client.connections.get(peer) if peer is not None else None


def where(desk: Desk) -> Where:
    """The kind of the open room."""
    room = desk.open_room
    return "anywhere" if room is None else "group" if room.kind == "group" else "direct"


def state(desk: Desk) -> str:
    """How the device stands to the server, in a few words."""
    waiting = len(desk.client.unsent()) + len(desk.client.connections.waiting())
    stopped_by = desk.client.stopped_by
    reason = desk.reason if stopped_by is None else words.of_error(stopped_by)
    return words.of_state(desk.client.state, waiting=waiting, reason=reason)


def status(desk: Desk, width: int) -> str:
    """The line at the top: who this is, what is unread, how it stands."""
    me, unread = desk.client.me, sum(line.unread for line in desk.lines())
    left = f"{one_line(me.username, 32)} on {one_line(me.device_name, 20)}"
    return words.ends(left, f"{f'{unread} unread  ' if unread else ''}{state(desk)}", width)


def heading(desk: Desk, width: int) -> str:
    """The line above the conversation: who is in it, and what there is with them."""
    if desk.window is None:
        return "No conversation is open"
    room = desk.open_room
    if room is None:
        return f"{short_id(desk.window.room)} (left)"
    right = standing(desk) if room.kind == "direct" else f"{len(room.members)} people {short_id(room.id)}"
    return words.ends(title(people(room, desk.names, desk.me), max(width - len(right) - 2, 8)), right, width)


def banner(desk: Desk) -> str:
    """What the user should know before writing in the open room: the most important of it."""
    if desk.alerts:
        return f"{desk.alerts[0]} (Esc puts this away)"
    room, (peer, relation), keys = desk.open_room, _peer(desk), desk.client.keys
    members = [member.user for member in room.members if member.user != desk.me] if room is not None else []
    return banners.first(
        is_locked=keys.is_locked,
        has_left=desk.window is not None and room is None,
        held=[desk.names[user] for user in members if user in desk.held],
        others=[desk.names[user] for user in members if user in desk.other_identities],
        peer=desk.names[peer] if peer is not None else "",
        relation=relation,
        key_to_confirm=keys.recovery_key is not None,
    )


def standing(desk: Desk) -> str:
    """What there is with the other one of the open direct room, in a few words."""
    peer, relation = _peer(desk)
    if peer is None:
        return ""
    is_something = relation is not None and (relation.state != "none" or any(relation.blocks))
    verified = "keys changed" if peer in desk.held else "verified" if desk.client.keys.is_verified(peer) else ""
    return " · ".join(part for part in (words.of_relation(relation) if is_something else "", verified) if part)


def completions(desk: Desk) -> dict[Kind, list[str]]:
    """What the arguments of commands may be here."""
    relations, room = desk.client.connections.list(), desk.open_room
    members = [desk.names[member.user] for member in room.members if member.user != desk.me] if room else []
    titles = [", ".join(people(other, desk.names, desk.me)) for other in desk.rooms if other.kind == "direct"]
    groups = [short_id(other.id) for other in desk.rooms if other.kind == "group"]
    return {
        "user": sorted(name for user, name in desk.names.items() if user != desk.me), "member": sorted(members),
        "room": [*titles, *groups], "role": ["admin", "member"],
        "contact": [desk.names[r.user] for r in relations if r.state in {"contact", "requested"}],
        "incoming": [desk.names[r.user] for r in relations if r.state == "incoming"],
        "blocked": [desk.names[r.user] for r in relations if r.blocked],
    }  # fmt: skip
