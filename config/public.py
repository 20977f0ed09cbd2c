"""What anybody may ask of the API: the limits."""

from typing import Any

from django.conf import settings
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from kernel import limits


class LimitsView(APIView):
    """Every limit that a client can run into, so that a client need not find them by running into them."""

    authentication_classes: tuple[Any, ...] = ()
    permission_classes: tuple[Any, ...] = ()

    @extend_schema(operation_id="limits", auth=[], responses=OpenApiTypes.OBJECT)
    def get(self, request: Request) -> Response:
        """Bytes, counts, seconds (`_s`) and milliseconds (`_ms`), as the names say."""
        set_here = {
            "sockets": settings.MOST_SOCKETS,
            "sockets_per_address": settings.MOST_SOCKETS_PER_ADDRESS,
            "sockets_per_device": settings.MOST_SOCKETS_PER_DEVICE,
            "pending_rows": settings.MOST_PENDING,
            "disclose_blocks": settings.DISCLOSE_BLOCKS,
            "connection_consistency": settings.CONNECTION_CONSISTENCY,
            "device_grace_days": settings.CONNECTION_DEVICE_GRACE,
        }
        return Response(limits.table() | set_here)
