"""Accounts and devices over REST (docs/protocol.md §3): translate, call once, translate."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import devices, sessions, users
from accounts.addresses import address_of
from accounts.authentication import AddressRate, DeviceRate
from accounts.forms import Problem
from accounts.serializers import (
    ANY_SIGN_IN,
    AccountForm,
    AccountShape,
    DeviceForm,
    DeviceShape,
    DevicesShape,
    Nothing,
    RefreshForm,
    RegisterForm,
    SessionShape,
    SignInForm,
    TokensShape,
    UserShape,
)
from accounts.tokens import Principal
from kernel import clock

PROBLEM_JSON = "application/problem+json"


def answers(status: int, shape: Any, *problems: int) -> dict[Any, Any]:
    """The `responses` of an OpenAPI operation: one success, and the statuses it may be refused with."""
    empty = OpenApiResponse(description="Done; no content.")
    return {status: shape or empty} | {
        (refusal, PROBLEM_JSON): OpenApiResponse(Problem, description="Problem details.") for refusal in problems
    }


class Public(APIView):
    """A view for whoever is not signed in yet."""

    authentication_classes = ()
    permission_classes = ()
    throttle_classes = (AddressRate,)


class Private(APIView):
    """A view for signed-in devices; `request.user` is the `Principal`."""

    throttle_classes = (DeviceRate,)


class Register(Public):
    """Make an account with its first device."""

    @extend_schema(
        operation_id="register",
        request=RegisterForm,
        responses=answers(201, SessionShape, 400, 409, 413, 415, 429, 503),
    )
    def post(self, request: Request) -> Response:
        """201: the session of the first device."""
        form = RegisterForm.read(request)
        session = users.register(**form, address=address_of(request), now=clock.utc())
        return Response(SessionShape(session).data, status=201)


class SignIn(Public):
    """Make another device of an account."""

    @extend_schema(
        operation_id="sign_in",
        request=ANY_SIGN_IN,
        responses=answers(200, SessionShape, 400, 401, 403, 409, 413, 415, 429, 503),
    )
    def post(self, request: Request) -> Response:
        """200: the session of a new device."""
        form = SignInForm.read(request)
        session = users.sign_in(**form, address=address_of(request), now=clock.utc())
        return Response(SessionShape(session).data)


class Refresh(Public):
    """Spend a refresh token for a new pair of tokens."""

    @extend_schema(
        operation_id="refresh",
        request=RefreshForm,
        responses=answers(200, TokensShape, 400, 401, 403, 413, 415, 429, 503),
    )
    def post(self, request: Request) -> Response:
        """200: the new pair; the old refresh token is spent."""
        session = sessions.refresh(RefreshForm.read(request)["refresh"], now=clock.utc())
        return Response(TokensShape(session).data)


class SignOut(Private):
    """End the session of the calling device."""

    @extend_schema(operation_id="sign_out", request=Nothing, responses=answers(204, None, 400, 401, 413, 415, 429, 503))
    def post(self, request: Request) -> Response:
        """204: this device is revoked."""
        Nothing.read(request)
        devices.revoke(principal(request).device_id)
        return Response(status=204)


class Account(Private):
    """The caller's own account."""

    @extend_schema(operation_id="account", responses=answers(200, AccountShape, 401, 404, 429, 503))
    def get(self, request: Request) -> Response:
        """200: the account."""
        return Response(AccountShape(users.get(principal(request).user_id)).data)

    @extend_schema(
        operation_id="change_account",
        request=AccountForm,
        responses=answers(200, AccountShape, 400, 401, 404, 413, 415, 429, 503),
    )
    def patch(self, request: Request) -> Response:
        """200: the account as it is now."""
        form = AccountForm.read(request)
        return Response(AccountShape(users.change(principal(request).user_id, **form)).data)


class UserByName(Private):
    """Another user, by the exact name."""

    @extend_schema(operation_id="user", responses=answers(200, UserShape, 401, 404, 429, 503))
    def get(self, request: Request, username: str) -> Response:
        """200: id and name."""
        return Response(UserShape(users.find_by_name(username, asked_by=principal(request).user_id)).data)


class Devices(Private):
    """The caller's devices."""

    @extend_schema(operation_id="devices", responses=answers(200, DevicesShape, 401, 429, 503))
    def get(self, request: Request) -> Response:
        """200: the live ones, oldest first."""
        caller = principal(request)
        found = {"devices": devices.list_live(caller.user_id)}
        return Response(DevicesShape(found, context={"device_id": caller.device_id}).data)


class Device(Private):
    """One of the caller's devices."""

    @extend_schema(
        operation_id="rename_device",
        request=DeviceForm,
        responses=answers(200, DeviceShape, 400, 401, 404, 413, 415, 429, 503),
    )
    def patch(self, request: Request, device_id: UUID) -> Response:
        """200: the device under its new name."""
        caller = principal(request)
        device = devices.rename(caller.user_id, device_id, **DeviceForm.read(request))
        return Response(DeviceShape(device, context={"device_id": caller.device_id}).data)

    @extend_schema(operation_id="revoke_device", responses=answers(204, None, 401, 404, 429, 503))
    def delete(self, request: Request, device_id: UUID) -> Response:
        """204: revoked; its socket closes."""
        devices.revoke_own(principal(request).user_id, device_id)
        return Response(status=204)


def principal(request: Request) -> Principal:
    """Who asks; authentication has made sure that it is a device."""
    caller = request.user
    assert isinstance(caller, Principal)
    return caller
