"""Rooms over REST (docs/protocol.md §3). Each view turns HTTP into words, makes one call, and turns the answer back."""

from typing import Any
from uuid import UUID

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, PolymorphicProxySerializer, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.authentication import DeviceRate
from accounts.forms import Form
from chat import rooms
from chat.rooms import RoomState
from kernel import limits
from kernel.forms import check_query, choice_of, members_of, query_number, uuid_of, uuids_of
from kernel.schema import problems

DEFAULT_PAGE = 50


# --- shapes, for the API description ---------------------------------------------------------------------------------


class MemberShape(serializers.Serializer[Any]):
    """Somebody in a room."""

    user = serializers.UUIDField()
    username = serializers.CharField()
    role = serializers.ChoiceField(["owner", "admin", "member"])
    joined_at = serializers.IntegerField(help_text="ms since 1970")


class RoomShape(serializers.Serializer[Any]):
    """A room as its members see it."""

    id = serializers.UUIDField()
    kind = serializers.ChoiceField(["direct", "group"])
    members_version = serializers.IntegerField(help_text="rises with every change of who is in it and as what")
    epoch = serializers.IntegerField(help_text="the newest; 0 for none yet")
    history = serializers.ChoiceField(["joined", "all"], help_text="what who comes later may read")
    created_at = serializers.IntegerField(help_text="ms since 1970")
    muted = serializers.BooleanField(help_text="by you: nothing of it is pushed")
    members = MemberShape(many=True)


class RoomPageShape(serializers.Serializer[Any]):
    """A page of rooms."""

    rooms = RoomShape(many=True)
    next = serializers.UUIDField(allow_null=True, help_text="pass it as `after`; null at the end")


class NewDirectShape(Form):
    """A room of two."""

    kind = serializers.ChoiceField(["direct"])
    peer = serializers.UUIDField()


class NewGroupShape(Form):
    """A room of up to 1 000; you are its owner and need not be named."""

    kind = serializers.ChoiceField(["group"])
    members = serializers.ListField(child=serializers.UUIDField(), min_length=1, max_length=limits.MEMBERS)
    history = serializers.ChoiceField(["joined", "all"], required=False, help_text="`joined` unless said")


class UsersShape(Form):
    """Users to bring in."""

    users = serializers.ListField(child=serializers.UUIDField(), min_length=1, max_length=limits.MEMBERS)


class NewOwnerShape(Form):
    """Who shall be the owner."""

    user = serializers.UUIDField()


class RoleShape(Form):
    """What a member shall be."""

    role = serializers.ChoiceField(["admin", "member"])


class NothingShape(Form):
    """An empty object."""


NewRoomShape = PolymorphicProxySerializer(
    "NewRoom", {"direct": NewDirectShape, "group": NewGroupShape}, resource_type_field_name="kind"
)
GONE = OpenApiResponse(description="Done.")


def room_json(room: RoomState) -> dict[str, Any]:
    """*room* of docs/protocol.md §3."""
    return {
        "id": room.id,
        "kind": room.kind,
        "members_version": room.members_version,
        "epoch": room.epoch,
        "history": room.history,
        "created_at": room.created_at,
        "muted": room.is_muted,
        "members": [member._asdict() for member in room.members],
    }


# --- views -----------------------------------------------------------------------------------------------------------


class Rooms(APIView):
    """`/rooms`"""

    throttle_classes = (DeviceRate,)

    @extend_schema(
        operation_id="list_rooms",
        parameters=[
            OpenApiParameter("after", OpenApiTypes.UUID, description="`next` of the page before"),
            OpenApiParameter(
                "limit",
                {"type": "integer", "minimum": 1, "maximum": limits.PAGE_ROOMS, "default": DEFAULT_PAGE},
                description="A page ends earlier when its rooms have very many members.",
            ),
        ],
        responses={200: RoomPageShape, **problems(400, 401, 429, 503)},
    )
    def get(self, request: Request) -> Response:
        """Your rooms, by id."""
        query = request.query_params
        check_query(query, ("after", "limit"))
        after = uuid_of(query["after"], "after") if "after" in query else None
        limit = query_number(query, "limit", default=DEFAULT_PAGE, least=1, most=limits.PAGE_ROOMS)
        found, following = rooms.list_rooms(request.user.user_id, after=after, limit=limit)
        return Response({"rooms": [room_json(room) for room in found], "next": following})

    @extend_schema(
        operation_id="create_room",
        request=NewRoomShape,
        responses={
            200: OpenApiResponse(RoomShape, "The direct room that was there."),
            201: OpenApiResponse(RoomShape, "Made."),
            **problems(400, 401, 403, 404, 413, 415, 429, 503),
        },
    )
    def post(self, request: Request) -> Response:
        """Open the one room of you and a peer, or make a group of which you are the owner."""
        form = members_of(request.data, needs=("kind",), may=("peer", "members", "history"))
        by = request.user.user_id
        if choice_of(form["kind"], "kind", ("direct", "group")) == "direct":
            form = members_of(request.data, needs=("kind", "peer"))
            room, created = rooms.open_direct(by, uuid_of(form["peer"], "peer"), device=request.user.device_id)
            return Response(room_json(room), status=201 if created else 200)
        form = members_of(request.data, needs=("kind", "members"), may=("history",))
        history = choice_of(form.get("history", "joined"), "history", ("joined", "all"))
        members = uuids_of(form["members"], "members", most=limits.MEMBERS)
        room = rooms.create_group(by, members, history=history)
        return Response(room_json(room), status=201)


class OneRoom(APIView):
    """`/rooms/{id}`"""

    throttle_classes = (DeviceRate,)

    @extend_schema(operation_id="get_room", responses={200: RoomShape, **problems(401, 404, 429, 503)})
    def get(self, request: Request, room_id: UUID) -> Response:
        """A room that you are in."""
        return Response(room_json(rooms.get_room(request.user.user_id, room_id)))


class Members(APIView):
    """`/rooms/{id}/members`"""

    throttle_classes = (DeviceRate,)

    @extend_schema(
        operation_id="add_members",
        request=UsersShape,
        responses={200: RoomShape, **problems(400, 401, 403, 404, 409, 413, 415, 429, 503)},
    )
    def post(self, request: Request, room_id: UUID) -> Response:
        """Bring users into a group (owner, admin). Who is in already stays as they are."""
        form = members_of(request.data, needs=("users",))
        users = uuids_of(form["users"], "users", most=limits.MEMBERS)
        return Response(room_json(rooms.add_members(request.user.user_id, room_id, users)))


class OneMember(APIView):
    """`/rooms/{id}/members/{user}`"""

    throttle_classes = (DeviceRate,)

    @extend_schema(
        operation_id="set_role",
        request=RoleShape,
        responses={200: RoomShape, **problems(400, 401, 403, 404, 409, 415, 429, 503)},
    )
    def patch(self, request: Request, room_id: UUID, user_id: UUID) -> Response:
        """Make a member an admin, or a plain member again (owner)."""
        form = members_of(request.data, needs=("role",))
        role = choice_of(form["role"], "role", ("admin", "member"))
        return Response(room_json(rooms.set_role(request.user.user_id, room_id, user_id, role)))

    @extend_schema(operation_id="remove_member", responses={204: GONE, **problems(401, 403, 404, 409, 429, 503)})
    def delete(self, request: Request, room_id: UUID, user_id: UUID) -> Response:
        """Put a member out (owner; an admin puts out plain members). Nothing the member sends is accepted after the answer."""
        rooms.remove_member(request.user.user_id, room_id, user_id)
        return Response(status=204)


class Leave(APIView):
    """`/rooms/{id}/leave`"""

    throttle_classes = (DeviceRate,)

    @extend_schema(
        operation_id="leave_room",
        request=NothingShape,
        responses={204: GONE, **problems(400, 401, 403, 404, 409, 415, 429, 503)},
    )
    def post(self, request: Request, room_id: UUID) -> Response:
        """Go. The owner hands over first, unless nobody else is there (409)."""
        members_of(request.data)
        rooms.leave(request.user.user_id, room_id)
        return Response(status=204)


class Owner(APIView):
    """`/rooms/{id}/owner`"""

    throttle_classes = (DeviceRate,)

    @extend_schema(
        operation_id="hand_over_room",
        request=NewOwnerShape,
        responses={200: RoomShape, **problems(400, 401, 403, 404, 409, 415, 429, 503)},
    )
    def post(self, request: Request, room_id: UUID) -> Response:
        """Make another member the owner (owner); you become an admin."""
        form = members_of(request.data, needs=("user",))
        return Response(room_json(rooms.hand_over(request.user.user_id, room_id, uuid_of(form["user"], "user"))))


class Mute(APIView):
    """`/rooms/{id}/mute`"""

    throttle_classes = (DeviceRate,)

    @extend_schema(
        operation_id="mute_room",
        request=NothingShape,
        responses={204: GONE, **problems(400, 401, 404, 415, 429, 503)},
    )
    def put(self, request: Request, room_id: UUID) -> Response:
        """Push nothing of this room to any of your devices."""
        members_of(request.data)
        rooms.mute(request.user.user_id, room_id, is_muted=True, device=request.user.device_id)
        return Response(status=204)

    @extend_schema(operation_id="unmute_room", responses={204: GONE, **problems(401, 404, 429, 503)})
    def delete(self, request: Request, room_id: UUID) -> Response:
        """Push what comes in this room again."""
        rooms.mute(request.user.user_id, room_id, is_muted=False, device=request.user.device_id)
        return Response(status=204)
