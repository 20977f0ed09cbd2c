"""Rooms, as calls of the client: open, list, change who is in them."""

from typing import Any, Literal

from client.errors import MalformedFrame
from client.protocol.answers import Room, decode_room
from client.protocol.ids import RoomId, UserId
from client.session import Session
from client.store import Store


class RoomCalls:
    """Part of `Client`. What it learns of a room is kept in the store."""

    _session: Session
    _store: Store

    async def _room(self, method: str, path: str, body: Any = None, *, repeat: bool | None = None) -> Room:
        return self._kept(decode_room(await self._session.request(method, path, body, repeat=repeat)))

    def _kept(self, room: Room) -> Room:
        self._store.keep_room(room, self._session.signed_in.user)
        return room

    async def direct_room(self, peer: UserId) -> Room:
        """The one room with this user; made if need be."""
        room = decode_room(await self._session.request("POST", "rooms", {"kind": "direct", "peer": peer}, repeat=True))
        if room.peer_of(self._session.signed_in.user) != peer:
            raise MalformedFrame("a direct room with somebody else")
        return self._kept(room)

    async def create_group(self, members: list[UserId], *, history: Literal["joined", "all"] = "joined") -> Room:
        """A new group with this user as its owner. `history`: whether who comes later may read what was written before."""
        form = {"kind": "group", "members": members} | ({"history": history} if history != "joined" else {})
        room = decode_room(await self._session.request("POST", "rooms", form))
        if not {member.user for member in room.members} <= {self._session.signed_in.user, *members}:
            raise MalformedFrame("a group with somebody whom nobody asked for")
        if room.history != history:
            raise MalformedFrame("a group whose history is for others than was asked for")
        return self._kept(room)

    async def room(self, room: RoomId) -> Room:
        """A room; from the store, unless its members have changed."""
        known = self._store.rooms.find(room)
        return known[0] if known and not known[1] else await self._room("GET", f"rooms/{room}")

    async def rooms(self) -> list[Room]:
        """Every room of the user."""
        found: list[Room] = []
        after = ""
        while True:
            answer = await self._session.request("GET", f"rooms?limit=200{after}")
            found.extend(map(decode_room, answer["rooms"]))
            if not answer.get("next"):
                break
            after = f"&after={answer['next']}"
        with self._store.database.transaction():
            for room in found:
                self._kept(room)
        return found

    def known_rooms(self) -> list[Room]:
        """Every room as last seen, from the store; whether that is still so, `room` says."""
        return self._store.rooms.all()

    async def add_members(self, room: RoomId, users: list[UserId]) -> Room:
        """Bring users into a group."""
        return await self._room("POST", f"rooms/{room}/members", {"users": users}, repeat=True)

    async def remove_member(self, room: RoomId, user: UserId) -> None:
        """Put a user out of a group; nothing that the user sends there is accepted any more."""
        await self._session.request("DELETE", f"rooms/{room}/members/{user}")

    async def set_role(self, room: RoomId, user: UserId, role: Literal["admin", "member"]) -> Room:
        """Change a member's role."""
        return await self._room("PATCH", f"rooms/{room}/members/{user}", {"role": role})

    async def leave_room(self, room: RoomId) -> None:
        """Leave a group."""
        await self._session.request("POST", f"rooms/{room}/leave", {})
        self._store.rooms.forget(room)

    async def hand_over(self, room: RoomId, user: UserId) -> Room:
        """Make another member the owner of a group."""
        return await self._room("POST", f"rooms/{room}/owner", {"user": user})
