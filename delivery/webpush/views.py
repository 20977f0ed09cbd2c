"""A device's push subscription over REST (docs/protocol.md §3.5)."""

from typing import Any

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.authentication import DeviceRate
from accounts.forms import Form, Text
from delivery.webpush import subscriptions, vapid
from kernel.limits import PUSH_ENDPOINT_CHARACTERS
from kernel.schema import problems

GONE = OpenApiResponse(description="Done.")


class KeyShape(serializers.Serializer[Any]):
    """What a browser subscribes with (`applicationServerKey`)."""

    key = serializers.CharField(help_text="an uncompressed point of P-256, base64url")


class SubscriptionShape(Form):
    """Of the browser's PushSubscription."""

    endpoint = Text(max_length=PUSH_ENDPOINT_CHARACTERS, help_text="an https URL of a push service")
    p256dh = Text(help_text="65 bytes, base64url")
    auth = Text(help_text="16 bytes, base64url")


class Key(APIView):
    """`/push/key`"""

    throttle_classes = (DeviceRate,)

    @extend_schema(operation_id="push_key", responses={200: KeyShape, **problems(401, 429, 503)})
    def get(self, request: Request) -> Response:
        """The key that pushes are signed with."""
        return Response({"key": vapid.public_key()})


class Subscription(APIView):
    """`/push/subscription`"""

    throttle_classes = (DeviceRate,)

    @extend_schema(
        operation_id="subscribe_to_push",
        request=SubscriptionShape,
        responses={204: GONE, **problems(400, 401, 409, 413, 415, 429, 503)},
    )
    def put(self, request: Request) -> Response:
        """Tell this device there from now on, in place of what it had before."""
        subscriptions.put(request.user.user_id, request.user.device_id, **SubscriptionShape.read(request))
        return Response(status=204)

    @extend_schema(operation_id="unsubscribe_from_push", responses={204: GONE, **problems(401, 429, 503)})
    def delete(self, request: Request) -> Response:
        """Tell this device no more."""
        subscriptions.drop(request.user.device_id)
        return Response(status=204)
