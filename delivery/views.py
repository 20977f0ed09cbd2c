"""The host assigner over REST (docs/protocol.md §4.5): translate, call once, translate."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import users
from accounts.authentication import DeviceRate
from delivery import assigner
from kernel.forms import check_query
from kernel.schema import problems
from kernel.service import ServiceAuthentication


class PlaceShape(serializers.Serializer[Any]):
    """Where a user's devices connect."""

    host = serializers.CharField()
    url = serializers.CharField(help_text="the socket is at this and `/api/v1/socket`")


class Assignment(APIView):
    """`/hosts/assignment`"""

    throttle_classes = (DeviceRate,)

    @extend_schema(operation_id="host_assignment", responses={200: PlaceShape, **problems(400, 401, 403, 429, 503)})
    def get(self, request: Request) -> Response:
        """The host where your devices should open their sockets."""
        check_query(request.query_params, ())
        return Response(assigner.host_of(request.user.user_id)._asdict())


class HostOfUser(APIView):
    """`/hosts/users/{user}`"""

    authentication_classes = (ServiceAuthentication,)

    @extend_schema(operation_id="host_of_user", responses={200: PlaceShape, **problems(400, 401, 404, 503)})
    def get(self, request: Request, user_id: UUID) -> Response:
        """For backends: the host where a user's devices connect."""
        check_query(request.query_params, ())
        return Response(assigner.host_of(users.get(user_id).id)._asdict())
