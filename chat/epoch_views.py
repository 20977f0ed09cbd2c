"""Epochs over REST (docs/protocol.md §6.4). Each view turns HTTP into words, makes one call, and turns the answer back."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.authentication import DeviceRate
from accounts.forms import Form, Text
from accounts.key_shapes import OF_80, Sealed, Signature
from chat import epoch_documents, epochs
from kernel import limits
from kernel.errors import InvalidInput, TooLarge
from kernel.forms import check_query, number_of, query_number, uuid_of
from kernel.schema import problems

LINE = {
    "type": "array",
    "items": {"oneOf": [{"type": "string"}, {"type": "integer", "minimum": 1}]},
    "minItems": 3,
    "maxItems": 3,
}


# --- shapes, for the API description -----------------------------------------------------------------------------------


@extend_schema_field({"type": "string", "pattern": OF_80})
class SealedToUser(Text):
    """A key of 32 bytes, sealed by HPKE."""


@extend_schema_field(LINE)
class RosterLine(serializers.Field[Any, Any, Any, Any]):
    """[user, identity key, version of the encryption key]"""


class DeviceSignatureShape(Form):
    """The one signature of an envelope."""

    keyid = serializers.UUIDField(help_text="the device that signed")
    sig = Signature()


class RecordShape(Form):
    """An epoch's record in a DSSE envelope (§6.6)."""

    payloadType = serializers.ChoiceField([epoch_documents.KIND])  # noqa: N815 - DSSE's name
    payload = Sealed(help_text="JSON, in base64url without padding")
    signatures = serializers.ListField(child=DeviceSignatureShape(), min_length=1, max_length=1)


class WrapShape(Form):
    """An epoch's key, sealed to one version of a user's encryption key."""

    ver = serializers.IntegerField(min_value=1, max_value=epoch_documents.INT)
    ct = SealedToUser()


class NewEpochShape(Form):
    """The next epoch of a room."""

    members_version = serializers.IntegerField(min_value=0, help_text="of the room for whose members it is made")
    record = RecordShape()
    roster = serializers.ListField(
        child=RosterLine(),
        min_length=1,
        max_length=limits.MEMBERS,
        help_text="[user, identity key, version of the encryption key] of each member who has keys",
    )
    wraps = serializers.DictField(child=WrapShape(), help_text="by user, for exactly those of the roster")


class EpochWrapShape(WrapShape):
    """One epoch's key for somebody who came later."""

    epoch = serializers.IntegerField(min_value=1, max_value=epoch_documents.INT)


class WrapsShape(Form):
    """Keys of epochs for one member."""

    user = serializers.UUIDField()
    wraps = serializers.ListField(child=EpochWrapShape(), min_length=1, max_length=limits.PAGE_EPOCHS)


class RoomStateShape(serializers.Serializer[Any]):
    """How a room's newest epoch stands."""

    epoch = serializers.IntegerField(allow_null=True, help_text="null for none yet")
    stale = serializers.BooleanField(help_text="nothing more is accepted under it: the next sender makes another")
    reasons = serializers.ListField(child=serializers.ChoiceField(["left", "keys", "joined"]))
    members_version = serializers.IntegerField()
    history = serializers.ChoiceField(["joined", "all"])
    wanting = serializers.ListField(
        child=serializers.UUIDField(), help_text="members with keys who have no wrap of the newest epoch"
    )


class EpochShape(serializers.Serializer[Any]):
    """An epoch, with your own wrap of its key."""

    room = serializers.UUIDField()
    epoch = serializers.IntegerField()
    creator = serializers.UUIDField()
    device = serializers.UUIDField()
    record = RecordShape()
    wrap = WrapShape(allow_null=True)


class EpochPageShape(serializers.Serializer[Any]):
    """Epochs of a room, in order."""

    epochs = EpochShape(many=True)
    next = serializers.IntegerField(allow_null=True, help_text="pass it as `from`; null at the end")


class EpochKeysShape(serializers.Serializer[Any]):
    """Epochs of all rooms that you have a wrap of."""

    epochs = EpochShape(many=True)
    next = serializers.CharField(allow_null=True, help_text="pass it as `after`; null at the end")


class MadeShape(serializers.Serializer[Any]):
    """The room's newest epoch."""

    epoch = serializers.IntegerField()


class RosterShape(serializers.Serializer[Any]):
    """Who can read an epoch: the list that its record signs."""

    roster = serializers.ListField(child=RosterLine())


# --- views -------------------------------------------------------------------------------------------------------------


class RoomState(APIView):
    """`/rooms/{id}/e2ee`"""

    throttle_classes = (DeviceRate,)

    @extend_schema(operation_id="get_room_epoch", responses={200: RoomStateShape, **problems(401, 404, 429, 503)})
    def get(self, request: Request, room_id: UUID) -> Response:
        """How the newest epoch of a room stands."""
        return Response(_state_json(epochs.state(request.user.user_id, room_id)))


class Epochs(APIView):
    """`/rooms/{id}/epochs`"""

    throttle_classes = (DeviceRate,)

    @extend_schema(
        operation_id="list_epochs",
        parameters=[
            OpenApiParameter(name, {"type": "integer", "minimum": 1, "maximum": epoch_documents.INT})
            for name in ("from", "to")
        ],
        responses={200: EpochPageShape, **problems(400, 401, 404, 429, 503)},
    )
    def get(self, request: Request, room_id: UUID) -> Response:
        """Epochs of a room with your own wraps; of a room that you have left, those that you can open."""
        query = request.query_params
        check_query(query, ("from", "to"))
        first = query_number(query, "from", default=1, least=1, most=epoch_documents.INT)
        last = query_number(query, "to", default=epoch_documents.INT, least=1, most=epoch_documents.INT)
        page, following = epochs.list_epochs(request.user.user_id, room_id, first=first, last=last)
        return Response({"epochs": [epoch.json() for epoch in page], "next": following})

    @extend_schema(
        operation_id="create_epoch",
        request=NewEpochShape,
        responses={
            201: OpenApiResponse(MadeShape, "Made, or made before by this very request."),
            **problems(400, 401, 403, 404, 409, 413, 415, 429, 503),
        },
    )
    def post(self, request: Request, room_id: UUID) -> Response:
        """Make the next epoch, for exactly the present members who have keys."""
        # Before it is parsed: it would be the largest body that is.
        if int(request.META.get("CONTENT_LENGTH") or 0) > limits.EPOCH_BYTES:
            raise TooLarge(f"an epoch has at most {limits.EPOCH_BYTES} bytes")
        caller = request.user
        new = epoch_documents.read_new(request.data, device=caller.device_id)
        epoch = epochs.create(caller.user_id, caller.device_id, room_id, new)
        return Response({"epoch": epoch}, status=201)


class Wraps(APIView):
    """`/rooms/{id}/epochs/wraps`"""

    throttle_classes = (DeviceRate,)

    @extend_schema(
        operation_id="add_wraps",
        request=WrapsShape,
        responses={
            204: OpenApiResponse(description="Stored, or there already."),
            **problems(400, 401, 403, 404, 409, 413, 415, 429, 503),
        },
    )
    def post(self, request: Request, room_id: UUID) -> Response:
        """Give a member who came later the keys of earlier epochs (history `all`), or yourself for a newer encryption key."""
        user, wraps = epoch_documents.read_wraps(request.data)
        epochs.add_wraps(request.user.user_id, request.user.device_id, room_id, user, wraps)
        return Response(status=204)


class Roster(APIView):
    """`/rooms/{id}/epochs/{epoch}/roster`"""

    throttle_classes = (DeviceRate,)

    @extend_schema(operation_id="get_epoch_roster", responses={200: RosterShape, **problems(401, 404, 429, 503)})
    def get(self, request: Request, room_id: UUID, epoch: int) -> Response:
        """Who can read an epoch."""
        return Response({"roster": epochs.roster(request.user.user_id, room_id, epoch)})


class EpochKeys(APIView):
    """`/e2ee/epoch-keys`"""

    throttle_classes = (DeviceRate,)

    @extend_schema(
        operation_id="list_epoch_keys",
        parameters=[
            OpenApiParameter(
                "after",
                {"type": "string", "pattern": "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}:[0-9]{1,9}$"},
                description="`next` of the page before",
            ),
            OpenApiParameter(
                "limit", {"type": "integer", "minimum": 1, "maximum": limits.PAGE_EPOCHS, "default": limits.PAGE_EPOCHS}
            ),
        ],
        responses={200: EpochKeysShape, **problems(400, 401, 429, 503)},
    )
    def get(self, request: Request) -> Response:
        """All epochs that you can open, of all rooms: what a new device reads first."""
        query = request.query_params
        check_query(query, ("after", "limit"))
        limit = query_number(query, "limit", default=limits.PAGE_EPOCHS, least=1, most=limits.PAGE_EPOCHS)
        after = _place(query["after"]) if "after" in query else None
        page, following = epochs.list_keys(request.user.user_id, after=after, limit=limit)
        next_ = None if following is None else f"{following[0]}:{following[1]}"
        return Response({"epochs": [epoch.json() for epoch in page], "next": next_})


def _state_json(state: epochs.EpochState) -> dict[str, Any]:
    return {
        "epoch": state.epoch or None,
        "stale": bool(state.reasons),
        "reasons": state.reasons,
        "members_version": state.members_version,
        "history": state.history,
        "wanting": state.wanting,
    }


def _place(text: str) -> tuple[UUID, int]:
    room, _, epoch = text.partition(":")
    if not (epoch.isascii() and epoch.isdigit() and len(epoch) <= 10):
        raise InvalidInput("after is not what a page said", field="after")
    return uuid_of(room, "after"), number_of(int(epoch), "after", most=epoch_documents.INT)
