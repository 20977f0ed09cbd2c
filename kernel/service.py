"""How a backend beside Letterlock says that it is one of ours: `Authorization: Bearer <SERVICE_TOKEN>`."""

import hmac
from typing import Any, ClassVar, Final

from django.conf import settings
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from kernel.errors import Unauthenticated


class Service:
    """A backend; what Django REST framework asks of a `request.user`."""

    is_authenticated: ClassVar[bool] = True
    is_anonymous: ClassVar[bool] = False


SERVICE: Final = Service()


class ServiceAuthentication(BaseAuthentication):
    """Lets in whoever brings SERVICE_TOKEN. Without that setting, nobody."""

    def authenticate(self, request: Request) -> tuple[Service, None]:
        """Raises `Unauthenticated`; what was brought is compared in a time that tells nothing of it."""
        brought = request.META.get("HTTP_AUTHORIZATION", "").encode()
        if not settings.SERVICE_TOKEN or not hmac.compare_digest(brought, f"Bearer {settings.SERVICE_TOKEN}".encode()):
            raise Unauthenticated("Send `Authorization: Bearer <SERVICE_TOKEN>`.")
        return SERVICE, None

    def authenticate_header(self, request: Request) -> str:
        """What 401 says in `WWW-Authenticate` (RFC 6750 §3)."""
        return "Bearer"


class ServiceScheme(OpenApiAuthenticationExtension):
    """How the OpenAPI page describes it."""

    target_class = "kernel.service.ServiceAuthentication"
    name = "serviceToken"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        """RFC 6750 §2.1."""
        return {"type": "http", "scheme": "bearer"}
