"""Who may change what in a room. Pure: from roles to a refusal or nothing (docs/protocol.md §3).

    owner    everything but leaving while others are there: hand over first
    admin    adds members, removes those who are neither owner nor admin
    member   leaves

A direct room keeps its two people for ever: nothing of this is for it.
"""

from collections.abc import Mapping
from enum import StrEnum
from uuid import UUID

from kernel.errors import Conflict, Forbidden, InvalidInput, NotFound


class Role(StrEnum):
    """What somebody is in a room."""

    OWNER = "owner"
    ADMIN = "admin"
    MEMBER = "member"


Roles = Mapping[UUID, str]


def check_is_group(kind: str) -> None:
    """Refuse any change of membership in a direct room."""
    if kind != "group":
        raise Conflict("a direct room keeps its two people")


def check_may_add(roles: Roles, by: UUID) -> None:
    """Owner and admins add."""
    if roles[by] not in (Role.OWNER, Role.ADMIN):
        raise Forbidden("only the owner and admins add members")


def check_may_remove(roles: Roles, by: UUID, user: UUID) -> None:
    """The owner removes anybody else, an admin removes plain members, nobody removes oneself: that is leaving."""
    if roles[by] not in (Role.OWNER, Role.ADMIN):
        raise Forbidden("only the owner and admins remove members")
    _check_is_in(roles, user)
    if by == user:
        raise Forbidden("leave the room instead of removing yourself")
    if roles[by] == Role.ADMIN and roles[user] != Role.MEMBER:
        raise Forbidden("an admin removes plain members only")


def check_may_set_role(roles: Roles, by: UUID, user: UUID, role: str) -> None:
    """The owner makes others admins or plain members; the own role changes by handing over."""
    if role not in (Role.ADMIN, Role.MEMBER):
        raise InvalidInput("role must be admin or member", field="role")
    if roles[by] != Role.OWNER:
        raise Forbidden("only the owner gives roles")
    _check_is_in(roles, user)
    if by == user:
        raise Forbidden("the owner hands the room over instead")


def check_may_leave(roles: Roles, by: UUID) -> None:
    """Anybody leaves, but a room with people in it keeps an owner."""
    if roles[by] == Role.OWNER and len(roles) > 1:
        raise Conflict("hand the room over first")


def check_may_hand_over(roles: Roles, by: UUID, user: UUID) -> None:
    """The owner hands over to another member."""
    if roles[by] != Role.OWNER:
        raise Forbidden("only the owner hands the room over")
    _check_is_in(roles, user)
    if by == user:
        raise InvalidInput("the room is yours already", field="user")


def _check_is_in(roles: Roles, user: UUID) -> None:
    if user not in roles:
        raise NotFound("this user is not in the room", field="user")
