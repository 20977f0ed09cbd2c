"""The client's files, as they are served while the server runs: another build may take the place of the present one at any time.

Whether one has is seen by its page, at one `stat` a request. It is put in place as a whole, and has beside its own files those
that pages of earlier builds still ask for (build.py).
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from whitenoise import WhiteNoise
from whitenoise.middleware import WhiteNoiseMiddleware

from config.webclient import policy

# For those whose names stay the same: icons, the manifest.
KEPT_S = 60


class Seen(NamedTuple):
    """A build, and what tells it from another one in the same place."""

    folder: Path
    inode: int
    changed_ns: int
    size: int


def present() -> Seen | None:
    """The build that is in place now; None where there is no client."""
    if not settings.WEB_CLIENT:
        return None
    folder: Path = settings.WEB_CLIENT_DIR
    try:
        page = (folder / "index.html").stat()
    except OSError:
        return None
    return Seen(folder, page.st_ino, page.st_mtime_ns, page.st_size)


class ClientFiles:
    """Middleware: answers what is asked for below `/static/web/`."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """The file; or what the others say, where there is none."""
        if not request.path_info.startswith(policy.PREFIX):
            return self._get_response(request)
        for _ in range(2):
            seen = present()
            file = None if seen is None else _files(seen).get(request.path_info)
            if file is None:
                break
            try:
                response: HttpResponseBase = WhiteNoiseMiddleware.serve(file, request)
            except FileNotFoundError:
                continue  # the next build was put in place since the look
            return response
        return self._get_response(request)


@lru_cache(maxsize=2)
def _files(seen: Seen) -> Mapping[str, Any]:
    """By URL, WhiteNoise's answers."""
    noise = WhiteNoise(
        None,
        max_age=KEPT_S,
        allow_all_origins=False,
        immutable_file_test=policy.IMMUTABLE,
        add_headers_function=policy.add_headers,
    )
    static = seen.folder / "static"
    if static.is_dir():
        noise.add_files(str(static), policy.PREFIX)
    files: Mapping[str, Any] = noise.files
    return files
