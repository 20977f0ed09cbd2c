"""Connections over REST (docs/protocol.md §3, §5). Each view turns HTTP into words, makes one call, and turns the answer back."""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any, Final
from uuid import UUID

from django.conf import settings
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.authentication import DeviceRate
from connections import book, changes, shapes
from connections.models import Book
from connections.rules import STATES, Action
from kernel import limits
from kernel.errors import InvalidInput, TooLarge
from kernel.forms import BIGINT, check_query, choice_of, members_of, number_of, query_number, uuid_of
from kernel.schema import problems

PROBLEM_JSON: Final = "application/problem+json"
_NAME: Final = re.compile(r"[a-z0-9._-]{1,32}", re.ASCII)
_BASE64URL: Final = re.compile(r"[A-Za-z0-9_-]*", re.ASCII)
_LIMIT: Final = {
    "type": "integer",
    "minimum": 1,
    "maximum": limits.PAGE_CONNECTIONS,
    "default": limits.PAGE_CONNECTIONS,
}
_CHOICES: Final = {
    "who_may_open": Book.Audience.values,
    "who_may_add": Book.Audience.values,
    "strangers": Book.Strangers.values,
}


class Connections(APIView):
    """`/connections`"""

    throttle_classes = (DeviceRate,)

    @extend_schema(
        operation_id="list_connections",
        parameters=[
            OpenApiParameter(
                "since",
                {"type": "integer", "minimum": 0, "maximum": BIGINT},
                description="What changed after this version, by version; 0 is all. Goes with `limit` alone.",
            ),
            OpenApiParameter("state", str, enum=[*STATES, book.BLOCKED]),
            OpenApiParameter("username", shapes.NAME_PARAMETER, description="the beginning of the peer's"),
            OpenApiParameter("after", shapes.NAME_PARAMETER, description="`next` of the page before, of a list"),
            OpenApiParameter("limit", _LIMIT),
        ],
        responses={200: shapes.PageShape, **problems(400, 401, 429, 503)},
    )
    def get(self, request: Request) -> Response:
        """Your contacts, requests and blocks: what changed since a version, or a list by name."""
        query, owner = request.query_params, request.user.user_id
        limit = query_number(query, "limit", default=limits.PAGE_CONNECTIONS, least=1, most=limits.PAGE_CONNECTIONS)
        if "since" in query:
            check_query(query, ("since", "limit"))
            page = book.changed_since(owner, query_number(query, "since", default=0), limit=limit)
            return Response({**page._asdict(), "consistency": settings.CONNECTION_CONSISTENCY})
        check_query(query, ("state", "username", "after", "limit"))
        state = choice_of(query["state"], "state", (*STATES, book.BLOCKED)) if "state" in query else None
        name, after = _part_of_name(query, "username"), _part_of_name(query, "after")
        return Response(book.listed(owner, state=state, name=name, after=after, limit=limit)._asdict())

    @extend_schema(
        operation_id="change_connection",
        request=shapes.ANY_CHANGE,
        responses={
            200: shapes.ChangedShape,
            **problems(400, 401, 403, 404, 413, 415, 429, 503),
            (409, PROBLEM_JSON): OpenApiResponse(shapes.ChangedSinceShape, "Ask your user, and send again."),
            (423, PROBLEM_JSON): OpenApiResponse(shapes.DevicesLagShape, "Later."),
        },
    )
    def post(self, request: Request) -> Response:
        """Add, accept, decline, remove, block, unblock, or note. What is so already is answered with 200."""
        who = request.user
        answer = changes.change(who.user_id, who.device_id, _change_of(request.data))
        return Response({"connection": answer.connection, "version": answer.version})


class OneConnection(APIView):
    """`/connections/{user}`"""

    throttle_classes = (DeviceRate,)

    @extend_schema(
        operation_id="get_connection", responses={200: shapes.ConnectionShape, **problems(401, 404, 429, 503)}
    )
    def get(self, request: Request, user_id: UUID) -> Response:
        """What you have with this user; 404 where there has never been anything."""
        return Response(book.one(request.user.user_id, user_id))


class Synced(APIView):
    """`/connections/synced`"""

    throttle_classes = (DeviceRate,)

    @extend_schema(
        operation_id="connections_synced",
        request=shapes.SyncedShape,
        responses={200: shapes.VersionShape, **problems(400, 401, 415, 422, 429, 503)},
    )
    def post(self, request: Request) -> Response:
        """This device has stored everything up to this version. Never goes back; 422 above the current one."""
        version = number_of(members_of(request.data, needs=("version",))["version"], "version")
        who = request.user
        return Response({"version": changes.synced(who.user_id, who.device_id, version)})


class Settings(APIView):
    """`/connections/settings`"""

    throttle_classes = (DeviceRate,)

    @extend_schema(
        operation_id="get_connection_settings", responses={200: shapes.SettingsShape, **problems(401, 429, 503)}
    )
    def get(self, request: Request) -> Response:
        """Who may reach you."""
        return Response(book.settings_of(book.get(request.user.user_id)))

    @extend_schema(
        operation_id="change_connection_settings",
        request=shapes.SettingsForm,
        responses={200: shapes.SettingsShape, **problems(400, 401, 415, 429, 503)},
    )
    def patch(self, request: Request) -> Response:
        """Change any of them. All your devices are told."""
        form = members_of(request.data, may=tuple(_CHOICES))
        if not form:
            raise InvalidInput(f"name one of {', '.join(_CHOICES)}")
        wanted = {name: choice_of(value, name, _CHOICES[name]) for name, value in form.items()}
        return Response(changes.change_settings(request.user.user_id, wanted))


# --- from JSON to words ------------------------------------------------------------------------------------------------


def _change_of(data: Any) -> changes.Request:
    """A change as a device asks for it."""
    form = members_of(data, needs=("action", "base_version"), may=("user", "username", "note"))
    action = Action(choice_of(form["action"], "action", tuple(Action)))
    base_version = number_of(form["base_version"], "base_version")
    if ("user" in form) == ("username" in form):
        raise InvalidInput("name the user once, by user or by username", field="user")
    if ("note" in form) != (action is Action.NOTE):
        raise InvalidInput("a note goes with the action note, and nothing else does", field="note")
    return changes.Request(
        action,
        base_version,
        user=uuid_of(form["user"], "user") if "user" in form else None,
        username=_username_of(form["username"]) if "username" in form else None,
        note=_note_of(form["note"]) if "note" in form else b"",
        raw=form,
    )


def _username_of(value: Any) -> str:
    if not isinstance(value, str):
        raise InvalidInput("username must be a string", field="username")
    return value


def _note_of(value: Any) -> bytes:
    """Canonical base64url without padding, at most `NOTE_BYTES`; empty takes the note away."""
    if not isinstance(value, str) or not _BASE64URL.fullmatch(value) or len(value) % 4 == 1:
        raise InvalidInput("note must be base64url without padding", field="note")
    if len(value) > (limits.NOTE_BYTES * 4 + 2) // 3:
        raise TooLarge(f"a note has at most {limits.NOTE_BYTES} bytes", field="note")
    note = urlsafe_b64decode(value + "=" * (-len(value) % 4))
    if urlsafe_b64encode(note).rstrip(b"=").decode() != value:
        raise InvalidInput("note must be canonical base64url", field="note")
    return note


def _part_of_name(query: Any, field: str) -> str:
    """The beginning of a user name, or "" where there is none in the query."""
    if field not in query:
        return ""
    text: str = query[field].lower() if query[field].isascii() else ""
    if not _NAME.fullmatch(text):
        raise InvalidInput(f"{field} must be 1 to 32 of a-z, 0-9, . _ -", field=field)
    return text
