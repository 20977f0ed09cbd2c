"""JSON in and out of the API by orjson, bounded on the way in."""

from collections.abc import Mapping
from typing import Any

import orjson
from django.conf import settings
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer

from kernel.errors import InvalidInput, TooLarge


class JSONParser(BaseParser):
    """Reads one JSON value of at most `DATA_UPLOAD_MAX_MEMORY_SIZE` bytes."""

    media_type = "application/json"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Mapping[str, Any] | None = None) -> Any:
        """The decoded body. Raises TooLarge, or InvalidInput for what is not JSON."""
        most = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        body = stream.read(most + 1)
        if len(body) > most:
            raise TooLarge(f"a request has at most {most} bytes")
        try:
            return orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise InvalidInput(f"the body is not JSON: {error.msg}") from error


class JSONRenderer(BaseRenderer):
    """Writes JSON; also the form of problem details (RFC 9457), whose media type the exception handler sets."""

    media_type = "application/json"
    format = "json"
    charset = None

    def render(
        self, data: Any, accepted_media_type: str | None = None, renderer_context: Mapping[str, Any] | None = None
    ) -> bytes:
        """The encoded value; nothing at all for None, as an answer 204 must be."""
        return b"" if data is None else orjson.dumps(data, option=orjson.OPT_NON_STR_KEYS)
