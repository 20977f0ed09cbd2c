"""Sending over REST (docs/protocol.md §3): one message, or up to 100."""

from typing import Any

import orjson
from drf_spectacular.utils import OpenApiResponse, PolymorphicProxySerializer, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from chat import sender
from delivery.lane import Answered
from kernel.errors import InvalidInput, UnknownField
from kernel.limits import BODY_BYTES, POST_MESSAGES
from kernel.schema import problems


class MessageShape(serializers.Serializer[Any]):
    """A message as a client composes it."""

    id = serializers.UUIDField(help_text="a UUIDv7 whose time is within a day of the server's")
    room = serializers.UUIDField()
    sent_at = serializers.IntegerField(
        min_value=0, max_value=253_402_300_799_999, help_text="the sender's clock, ms since 1970"
    )
    alg = serializers.RegexField(r"^[A-Za-z0-9_.:-]{1,32}$")
    epoch = serializers.IntegerField(min_value=0, max_value=2**31 - 1)
    ciphertext = serializers.CharField(help_text=f"1 to {BODY_BYTES} bytes in base64url without padding")
    sender = serializers.UUIDField(required=False, help_text="if given, the user of the token")
    recipient = serializers.UUIDField(
        required=False, allow_null=True, help_text="if given, the other user of a direct room"
    )
    delivered = serializers.BooleanField(required=False, help_text="if given, false")
    read = serializers.BooleanField(required=False, help_text="if given, false")


class MessagesShape(serializers.Serializer[Any]):
    """Several messages in one request."""

    messages = serializers.ListField(child=MessageShape(), min_length=1, max_length=POST_MESSAGES)


class AcceptedShape(serializers.Serializer[Any]):
    """A message that is committed."""

    id = serializers.UUIDField()
    room = serializers.UUIDField()
    sender = serializers.UUIDField()
    recipient = serializers.UUIDField(allow_null=True)
    accepted_at = serializers.IntegerField(help_text="PostgreSQL's clock, ms since 1970")
    delivered = serializers.BooleanField()
    read = serializers.BooleanField()


class ResultShape(serializers.Serializer[Any]):
    """What became of one of several messages: `message` for 200, else `error`."""

    id = serializers.CharField(allow_null=True)
    status = serializers.IntegerField()
    message = AcceptedShape(required=False)
    error = serializers.DictField(required=False)


class ResultsShape(serializers.Serializer[Any]):
    """In the order of the request."""

    results = ResultShape(many=True)


ONE_OR_MANY = PolymorphicProxySerializer(
    "OneOrManyMessages", [MessageShape, MessagesShape], resource_type_field_name=None
)
ONE_OR_MANY_ANSWERS = PolymorphicProxySerializer(
    "OneOrManyAnswers", [AcceptedShape, ResultsShape], resource_type_field_name=None
)


class Messages(APIView):
    """`/messages`"""

    @extend_schema(
        operation_id="send_messages",
        request=ONE_OR_MANY,
        responses={
            200: OpenApiResponse(ONE_OR_MANY_ANSWERS, description="committed; for several messages, each one's result"),
            **problems(400, 401, 403, 404, 409, 413, 415, 429, 503),
        },
    )
    def post(self, request: Request) -> Response:
        """Send. 200 only after the commit; the same id again is answered as the first time."""
        body = request.data
        if isinstance(body, dict) and "messages" in body:
            if body.keys() != {"messages"}:
                name = min(map(str, body.keys() - {"messages"}))[:64]
                raise UnknownField(f"{name} is not a field of this request", field=name)
            if not isinstance(body["messages"], list):
                raise InvalidInput(f"messages must be a list of 1 to {POST_MESSAGES}", field="messages")
            answers = sender.post(body["messages"], user=request.user.user_id, device=request.user.device_id)
            return Response({"results": [_result(answer) for answer in answers]})
        (answer,) = sender.post([body], user=request.user.user_id, device=request.user.device_id)
        if answer.error is not None:
            raise answer.error
        return Response(orjson.Fragment(answer.text or ""))


def _result(answer: Answered) -> dict[str, Any]:
    if answer.error is not None:
        return {"id": answer.id or None, "status": answer.error.status, "error": answer.error.problem()}
    return {"id": answer.id, "status": 200, "message": orjson.Fragment(answer.text or "")}
