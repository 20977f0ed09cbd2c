"""How a REST request says who asks: `Authorization: Bearer <access token>`. No database is touched."""

from typing import TYPE_CHECKING, Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from accounts import tokens
from accounts.addresses import address_of
from accounts.tokens import Principal
from kernel import rates
from kernel.errors import Unauthenticated

if TYPE_CHECKING:  # rest_framework.views itself imports this module: it is among DRF's defaults
    from rest_framework.views import APIView


class BearerAuthentication(BaseAuthentication):
    """Makes `request.user` a `Principal`. A view that lets anybody in sets `authentication_classes = []`."""

    def authenticate(self, request: Request) -> tuple[Principal, None]:
        """Raises `Unauthenticated` when there is no token or it does not hold."""
        scheme, _, token = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Unauthenticated("Send `Authorization: Bearer <access token>`.")
        return tokens.verify(token.strip()), None

    def authenticate_header(self, request: Request) -> str:
        """What 401 says in `WWW-Authenticate` (RFC 6750 §3)."""
        return "Bearer"


class DeviceRate(BaseThrottle):
    """Counts a request against its device ("request" in the table of limits)."""

    def allow_request(self, request: Request, view: "APIView") -> bool:
        """Raises `TooManyRequests`, which says when to come back."""
        if isinstance(request.user, Principal):
            rates.take("request", request.user.device_id)
        return True


class AddressRate(BaseThrottle):
    """Counts a request of somebody who has not signed in against the address it comes from ("address" in the table)."""

    def allow_request(self, request: Request, view: "APIView") -> bool:
        """Raises `TooManyRequests`, which says when to come back."""
        rates.take("address", address_of(request))
        return True


class BearerScheme(OpenApiAuthenticationExtension):
    """How the OpenAPI page describes it."""

    target_class = "accounts.authentication.BearerAuthentication"
    name = "accessToken"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        """RFC 6750 §2.1."""
        return {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
