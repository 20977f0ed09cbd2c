"""Refusals, states and changes as sentences. Codes are those of docs/protocol.md §2; what a person can do about it is said with them."""

import re
import time
from collections.abc import Mapping
from datetime import datetime, tzinfo
from typing import Final

from rich.cells import cell_len

from client import (
    ChangeConflict,
    CryptoError,
    Device,
    DevicesLag,
    EpochChanged,
    KeysHeld,
    LetterlockError,
    MailboxDiverged,
    MalformedFrame,
    NoDevice,
    OfflineUnblock,
    PassphraseNeeded,
    Problem,
    Refused,
    Relation,
    RoomChanged,
    SignedOut,
    State,
    StoreInUse,
    Unreachable,
    UserId,
    WeakKdf,
    WeakPassword,
    WrongSecret,
)
from client.cli.text import cut, one_line, pad

_BY_CODE: Final[Mapping[str, str]] = {
    "unauthenticated": "this device is signed out",
    "bad_credentials": "user name and password do not belong together",
    "forbidden": "your role in this group does not allow that",
    "suspended": "this account is suspended by the server's staff",
    "not_reachable": "this user lets only contacts do that: ask to be a contact first (/request)",
    "not_found": "there is no such thing, or it is not yours to see",
    "username_taken": "somebody has this name: choose another",
    "too_many_devices": "you have as many devices as the server allows: revoke one first (/devices on another device)",
    "rate_limited": "too many attempts: wait a little",
    "unavailable": "the server cannot do that now: it is tried again",
    "overloaded": "the server is busy: it is tried again",
    "internal": "the server made a mistake; it is in its log",
    "epoch_stale": "the room's keys have changed: it is sealed anew",
    "connection_changed": "another of your devices has changed that in the meantime",
    "devices_lag": "other devices of yours have not heard of the block yet",
    "keys_missing": "this account has no keys yet",
    "keys_held": "somebody here has other keys than those that you verified: compare the safety number again (/verify)",
    "device_not_listed": "this device is not among your listed devices any more: sign in again",
}
_TOO_LARGE = "connections"
_COMMANDS = re.compile(r" ?\((/[^)]*)\)")


def of_problem(problem: Problem) -> str:
    """A refusal in a sentence's form, without a full stop."""
    detail = one_line(problem.detail or problem.title, 200)
    match problem.code:
        case "blocked":
            return "this user blocks you" if problem.more.get("by") == "peer" else "you block this user (/unblock)"
        case "too_large" if _TOO_LARGE in detail:
            return f"{detail}: take away some that you do not need (/contacts)"
        case "invalid" if problem.more.get("field") == "id":
            return "it waited for more than a day: send it again"
        case "rate_limited" if problem.retry_after:
            return f"too many attempts: try again in {in_words(problem.retry_after)}"
        case code if code in _BY_CODE:
            return _BY_CODE[code]
        case code:
            return detail or f"the server refused it ({one_line(code, 40)})"


def of_error(error: LetterlockError) -> str:
    """An error in a sentence's form."""
    match error:
        case DevicesLag():
            return "not lifted: " + _BY_CODE["devices_lag"]
        case ChangeConflict():
            return "not done: " + _BY_CODE["connection_changed"]
        case KeysHeld():
            return (
                "somebody here has other keys than those that you verified: compare the safety number again (/verify)"
            )
        case Refused(problem=problem):
            return of_problem(problem)
        case Unreachable():
            return "the server cannot be reached, or does not answer in time"
        case NoDevice():
            return "there is no device in this profile yet: `sign-up` or `sign-in` make one"
        case SignedOut():
            return "this device is signed out"
        case StoreInUse():
            return "this profile is open in another letterlock: close that one, or use another --profile"
        case MailboxDiverged():
            return "this profile belongs to another account: use another --profile"
        case OfflineUnblock():
            return "on this server a block is lifted only while connected"
        case WeakPassword():
            return f"too weak: {one_line(str(error), 200)}"
        case WrongSecret():
            return "that does not open your keys"
        case PassphraseNeeded():
            return "the keys of this profile are under a passphrase"
        case WeakKdf():
            return "the server asks for too weak a protection of your password: nothing was sent to it"
        case CryptoError(code="bad_recovery_key"):
            return "that is no recovery key: something is mistyped"
        case CryptoError(code=code):
            return f"what the server says about keys cannot be trusted ({one_line(code, 40)})"
        case MalformedFrame():
            return "the server said something that this version does not understand"
        case _:
            return one_line(str(error), 300) or type(error).__name__


def without_commands(sentence: str) -> str:
    """A sentence where no slash command can be typed."""
    return _COMMANDS.sub("", sentence)


def in_words(seconds: float) -> str:
    """A length of time, roughly."""
    for size, name in ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")):
        if seconds >= size:
            count = round(seconds / size)
            return f"{count} {name}{'' if count == 1 else 's'}"
    return "a moment"


def of_state(state: State, *, waiting: int = 0, reason: str = "") -> str:
    """How the device stands to the server."""
    held = f", {waiting} waiting" if waiting else ""
    match state:
        case State.LIVE:
            return f"● live{held}"
        case State.CATCHING_UP:
            return f"◐ catching up{held}"
        case State.CONNECTING:
            return f"○ connecting{held}"
        case State.OFFLINE:
            return f"○ offline{held}"
        case State.STOPPED:
            return f"✗ stopped: {one_line(reason, 50) or 'signed out'}"


_DONE: Final[Mapping[str, str]] = {
    "add": "asked {who} to be a contact",
    "accept": "accepted {who}",
    "decline": "declined {who}",
    "remove": "took {who} off your contacts",
    "block": "blocked {who}",
    "unblock": "unblocked {who}",
    "note": "kept the note on {who}",
}
_TO_DO: Final[Mapping[str, str]] = {
    "add": "ask {who} to be a contact",
    "accept": "accept {who}",
    "decline": "decline {who}",
    "remove": "take {who} off your contacts",
    "block": "block {who}",
    "unblock": "unblock {who}",
    "note": "change the note on {who}",
}


def done(action: str, who: str) -> str:
    """What was done."""
    return _DONE[action].format(who=who)


def to_do(action: str, who: str) -> str:
    """What is to be done, in the infinitive."""
    return _TO_DO[action].format(who=who)


def of_relation(relation: Relation | None) -> str:
    """What there is with somebody, in a few words."""
    if relation is None:
        return "no contact"
    state = {
        "none": "no contact",
        "requested": "you have asked",
        "incoming": "asks to be your contact",
        "contact": "contact",
    }[relation.state]
    blocks = [
        words for is_so, words in ((relation.blocked, "blocked by you"), (relation.blocked_by, "blocks you")) if is_so
    ]
    return ", ".join([*([state] if relation.state != "none" or not blocks else []), *blocks])


def of_device(device: Device, now: int) -> str:
    """A device of the user in a line."""
    seen = "never seen"
    if device.this_device:
        seen = "this one"
    elif device.last_seen_at is not None:
        seen = f"seen {in_words(max(now - device.last_seen_at, 0) / 1000)} ago"
    return f"{pad(one_line(device.name, 32), 32)}  {seen}"


def of_change(change: RoomChanged | EpochChanged, names: Mapping[UserId, str], me: UserId) -> str:
    """Something that happened in a room and is no message; empty for what nobody has to be told."""
    if isinstance(change, RoomChanged):
        return of_room_change(change, names, me)
    parts = (
        (change.added, "can read from here on"),
        (change.removed, "cannot read any more from here on"),
        (change.rekeyed, "has new keys" if len(change.rekeyed) == 1 else "have new keys"),
    )
    said = [(", ".join("you" if user == me else names[user] for user in users), what) for users, what in parts if users]
    return "; ".join(f"{who} {'have new keys' if who == 'you' and 'keys' in what else what}" for who, what in said)


def of_room_change(change: RoomChanged, names: Mapping[UserId, str], me: UserId) -> str:
    """A change of a room's members."""

    def name(user: UserId | None) -> str:
        return "somebody" if user is None else "you" if user == me else names.get(user, "somebody")

    by, whom = name(change.by), ", ".join(name(user) for user in change.users) or "somebody"
    match change.change:
        case "created":
            return f"{by} began the conversation"
        case "added":
            return f"{by} added {whom}"
        case "removed":
            return f"{by} removed {whom}"
        case "left":
            return f"{whom if change.users else by} left"
        case "role":
            return f"{by} made {whom} {'an admin' if change.role == 'admin' else 'a plain member'}"
        case "owner":
            return f"{by} made {whom} the owner"
        case other:
            return f"the room changed ({one_line(other, 40)})"


def moment(ms: int, now_ms: int, zone: tzinfo | None = None) -> str:
    """A time in milliseconds since 1970, as short as it can be understood now: 09:41, Mon 09:41, 23 Nov, 23 Nov 2025."""
    then, now = at(ms, zone), at(now_ms, zone)
    days = (now.date() - then.date()).days
    if days == 0:
        return f"{then:%H:%M}"
    if 0 < days < 7:
        return f"{then:%a %H:%M}"
    return f"{then.day} {then:%b}" if then.year == now.year else f"{then.day} {then:%b} {then.year}"


def day(ms: int, now_ms: int, zone: tzinfo | None = None) -> str:
    """The day of a time, for the line between two days."""
    then, now = at(ms, zone), at(now_ms, zone)
    days = (now.date() - then.date()).days
    if days in {0, 1}:
        return "Today" if days == 0 else "Yesterday"
    return f"{then:%A}, {then.day} {then:%B}" + ("" if then.year == now.year else f" {then.year}")


def at(ms: int, zone: tzinfo | None = None) -> datetime:
    """A time in a zone; the system's without one. What no calendar holds is the calendar's nearest end."""
    seconds = min(max(ms / 1000, 0), 253_370_000_000)
    return datetime.fromtimestamp(seconds, zone)


def ends(left: str, right: str, width: int) -> str:
    """Two safe texts at both ends of a line; the left one gives way."""
    right = cut(right, width)
    return cut(f"{pad(left, max(width - cell_len(right) - 1, 0))} {right}", width)


def now_ms() -> int:
    """Now, in milliseconds since 1970."""
    return time.time_ns() // 1_000_000
