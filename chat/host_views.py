"""Where a room's members are, for backends (docs/protocol.md §3)."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from chat import rooms
from delivery import assigner
from kernel.errors import NotFound
from kernel.forms import check_query
from kernel.schema import problems
from kernel.service import ServiceAuthentication


class MembersAtShape(serializers.Serializer[Any]):
    """A host, and the members that have sockets there."""

    host = serializers.CharField()
    url = serializers.CharField()
    users = serializers.ListField(child=serializers.UUIDField())


class HostsOfRoomShape(serializers.Serializer[Any]):
    """Where a room's members are."""

    room = serializers.UUIDField()
    hosts = MembersAtShape(many=True)
    away = serializers.ListField(child=serializers.UUIDField(), help_text="members without a socket")


class HostsOfRoom(APIView):
    """`/hosts/rooms/{room}`"""

    authentication_classes = (ServiceAuthentication,)

    @extend_schema(operation_id="hosts_of_room", responses={200: HostsOfRoomShape, **problems(400, 401, 404, 503)})
    def get(self, request: Request, room_id: UUID) -> Response:
        """For backends: the hosts that hold sockets of a room's members. Nobody is assigned by asking."""
        check_query(request.query_params, ())
        members = [user for user, _ in rooms.members_of([room_id]).get(room_id, [])]
        if not members:
            raise NotFound
        found = assigner.connected(members)
        here = {user for _, users in found for user in users}
        return Response({
            "room": room_id,
            "hosts": [{"host": place.host, "url": place.url, "users": users} for place, users in found],
            "away": [user for user in members if user not in here],
        })  # fmt: skip
