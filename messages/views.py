"""The message service over REST (docs/protocol.md §3). Each view turns HTTP into words, makes one call, and turns the answer back."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.authentication import DeviceRate
from kernel import limits
from kernel.forms import BIGINT, check_query, choice_of, members_of, number_of, query_number, uuid_of
from kernel.schema import problems
from messages import history, late, receipts, shapes
from messages.history import Page

DEFAULT_PAGE = 100


def number_parameter(name: str, text: str, **bounds: int) -> OpenApiParameter:
    """A whole number in the query string."""
    return OpenApiParameter(name, {"type": "integer", **bounds}, description=text)


LIMIT = number_parameter("limit", "entries at most", minimum=1, maximum=limits.PAGE_ENTRIES, default=DEFAULT_PAGE)


def limit_of(request: Request) -> int:
    """`limit` of the query string."""
    return query_number(request.query_params, "limit", default=DEFAULT_PAGE, least=1, most=limits.PAGE_ENTRIES)


def page_json(page: Page, **more: Any) -> dict[str, Any]:
    """A page of the mailbox."""
    return {"entries": page.entries, "last_seq": page.last_seq, "next": page.next, **more}


class Mailbox(APIView):
    """`/mailbox`"""

    throttle_classes = (DeviceRate,)

    @extend_schema(
        operation_id="read_mailbox",
        parameters=[
            number_parameter("after", "the number behind which to begin", minimum=0, maximum=BIGINT, default=0),
            LIMIT,
            OpenApiParameter(
                "direction",
                str,
                enum=["sent", "received"],
                description="Messages of one direction only; a page may then be empty and have a next one.",
            ),
        ],
        responses={200: shapes.MailboxPage, **problems(400, 401, 429, 503)},
    )
    def get(self, request: Request) -> Response:
        """Your whole history, in order: for a new device."""
        query = request.query_params
        check_query(query, ("after", "limit", "direction"))
        direction = choice_of(query["direction"], "direction", ("sent", "received")) if "direction" in query else None
        page = history.read_mailbox(
            request.user.user_id,
            after=query_number(query, "after", default=0),
            limit=limit_of(request),
            direction=direction,
        )
        return Response(page_json(page))


class Undelivered(APIView):
    """`/mailbox/undelivered`"""

    throttle_classes = (DeviceRate,)

    @extend_schema(
        operation_id="read_undelivered",
        parameters=[LIMIT],
        responses={200: shapes.UndeliveredPage, **problems(400, 401, 429, 503)},
    )
    def get(self, request: Request) -> Response:
        """What this device has not acknowledged, in order. Store it, acknowledge it, ask again."""
        check_query(request.query_params, ("limit",))
        who = request.user
        page, acknowledged = history.read_undelivered(who.user_id, who.device_id, limit=limit_of(request))
        return Response(page_json(page, acknowledged=acknowledged))


class Acknowledge(APIView):
    """`/mailbox/ack`"""

    throttle_classes = (DeviceRate,)

    @extend_schema(
        operation_id="acknowledge",
        request=shapes.SeqShape,
        responses={200: shapes.AcknowledgedShape, **problems(400, 401, 415, 422, 429, 503)},
    )
    def post(self, request: Request) -> Response:
        """Everything up to `seq` is stored on this device. Never goes back; 422 above the newest number."""
        form = members_of(request.data, needs=("seq",))
        seq = number_of(form["seq"], "seq")
        return Response({"acknowledged": receipts.acknowledge(request.user.user_id, request.user.device_id, seq)})


class RoomHistory(APIView):
    """`/rooms/{id}/messages`"""

    throttle_classes = (DeviceRate,)

    @extend_schema(
        operation_id="read_room",
        parameters=[number_parameter("before", "the number before which to begin", minimum=0, maximum=BIGINT), LIMIT],
        responses={200: shapes.RoomHistoryPage, **problems(400, 401, 404, 429, 503)},
    )
    def get(self, request: Request, room_id: UUID) -> Response:
        """Your own entries of a room, newest first; also of one that you have left."""
        check_query(request.query_params, ("before", "limit"))
        before = query_number(request.query_params, "before", default=BIGINT)
        page = history.read_room(request.user.user_id, room_id, before=before, limit=limit_of(request))
        return Response({"entries": page.entries, "next": page.next})


class Read(APIView):
    """`/rooms/{id}/read`"""

    throttle_classes = (DeviceRate,)

    @extend_schema(
        operation_id="mark_read",
        request=shapes.SeqShape,
        responses={200: shapes.ReadShape, **problems(400, 401, 404, 415, 422, 429, 503)},
    )
    def post(self, request: Request, room_id: UUID) -> Response:
        """You have read the room up to `seq`, on all your devices. Never goes back."""
        form = members_of(request.data, needs=("seq",))
        seq = receipts.read(request.user.user_id, request.user.device_id, room_id, number_of(form["seq"], "seq"))
        return Response({"room": room_id, "seq": seq})


class RoomReceipts(APIView):
    """`/rooms/{id}/receipts`"""

    throttle_classes = (DeviceRate,)

    @extend_schema(operation_id="read_receipts", responses={200: shapes.ReceiptsShape, **problems(401, 404, 429, 503)})
    def get(self, request: Request, room_id: UUID) -> Response:
        """Per member and sending device of yours, the newest of your messages that the member has, and has read."""
        found = receipts.receipts_of_room(request.user.user_id, room_id)
        return Response({"receipts": [receipt._asdict() for receipt in found]})


class OneMessage(APIView):
    """`/messages/{id}`"""

    throttle_classes = (DeviceRate,)

    @extend_schema(
        operation_id="get_message", responses={200: shapes.MessageStateShape, **problems(401, 404, 429, 503)}
    )
    def get(self, request: Request, message_id: UUID) -> Response:
        """A message of your mailbox; if you sent it, who has it and who has read it."""
        found = history.get_message(request.user.user_id, message_id)
        if found.deliveries is None:
            return Response(found.entry)
        return Response({**found.entry, "deliveries": found.deliveries})


class Reject(APIView):
    """`/messages/{id}/reject`"""

    throttle_classes = (DeviceRate,)

    @extend_schema(
        operation_id="reject_message",
        request=shapes.LaterShape,
        responses={200: shapes.RejectedShape, **problems(400, 401, 404, 415, 422, 429, 503)},
    )
    def post(self, request: Request, message_id: UUID) -> Response:
        """Refuse a late message, naming the later one that was shown before it. 422 when that is not so."""
        form = members_of(request.data, needs=("later",))
        rejected = late.reject(request.user.user_id, message_id, uuid_of(form["later"], "later"))
        return Response(rejected._asdict())
