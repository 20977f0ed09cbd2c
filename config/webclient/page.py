"""The page at `/` and its service worker at `/sw.js`. Everything else of the client is a static file with its hash in its name.

Both are read once for each build. Where another build takes its place, the next request finds it (files.py).
"""

import gzip
import hashlib
from functools import lru_cache
from typing import NamedTuple

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.utils.cache import get_conditional_response
from django.views.decorators.http import require_safe

from config.webclient import policy
from config.webclient.files import Seen, present

MEDIA_TYPES = {".html": "text/html", ".js": "text/javascript"}
# With the name's ending of what Vite has compressed (web/vite.pages.ts), the best first.
ENCODINGS = {"br": ".br", "gzip": ".gz"}

NOTHING_HERE = """Letterlock

There is no web client here{why}.
The API and a page to try it: /api/v1/docs
"""


class File(NamedTuple):
    """One file, plain and compressed: content by encoding, "" for plain."""

    contents: dict[str, bytes]
    media_type: str
    etag: str


@require_safe
def index(request: HttpRequest) -> HttpResponseBase:
    """The page of the client, or a few words where there is none."""
    file = _file("index.html")
    if file is None:
        why = ": it has not been built (make web)" if settings.WEB_CLIENT else ""
        return HttpResponse(NOTHING_HERE.format(why=why), content_type="text/plain; charset=utf-8")
    host = request.get_host()
    csp = policy.page(host, settings.HOST_ORIGINS, is_secure=request.is_secure())
    return _answer(request, file, {"Content-Security-Policy": csp, "Permissions-Policy": policy.PERMISSIONS})


@require_safe
def icon(request: HttpRequest) -> HttpResponseBase:
    """What browsers ask for beside pages that name none: the admin, the API's description."""
    if present() is None:
        raise Http404
    return redirect(f"{policy.PREFIX}icons/icon-192.png")


@require_safe
def service_worker(request: HttpRequest) -> HttpResponseBase:
    """The service worker, which may rule the whole origin because it lies at its top."""
    seen = present()
    file = None if seen is None else _worker(seen, tuple(settings.HOST_ORIGINS))
    if file is None:
        raise Http404
    return _answer(request, file, {"Content-Security-Policy": policy.SERVICE_WORKER})


def _answer(request: HttpRequest, file: File, headers: dict[str, str]) -> HttpResponseBase:
    accepted = {part.partition(";")[0].strip() for part in request.headers.get("Accept-Encoding", "").split(",")}
    encoding = next((name for name in ENCODINGS if name in accepted and name in file.contents), "")
    response = HttpResponse(file.contents[encoding], content_type=file.media_type)
    always = {
        # Asked for anew each time, answered 304 while it is the same: the page names the files of its build.
        "Cache-Control": "no-cache",
        "ETag": f'"{file.etag}{"-" + encoding if encoding else ""}"',
        "Vary": "Accept-Encoding",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
    }
    if encoding:
        response.headers["Content-Encoding"] = encoding
    answer = get_conditional_response(request, etag=always["ETag"], response=response) or response
    # A 304 too: browsers take its headers in place of those that they have kept.
    for name, value in (always | headers).items():
        answer.headers[name] = value
    return answer


def _file(name: str) -> File | None:
    seen = present()
    return None if seen is None else _read(name, seen)


# Of the present build, and of one that took its place meanwhile.
@lru_cache(maxsize=4)
def _read(name: str, seen: Seen) -> File | None:
    path = seen.folder / name
    if not path.is_file():
        return None
    plain = path.read_bytes()
    contents = {"": plain}
    for encoding, ending in ENCODINGS.items():
        compressed = path.with_name(name + ending)
        if compressed.is_file():
            contents[encoding] = compressed.read_bytes()
    return File(contents, f"{MEDIA_TYPES[path.suffix]}; charset=utf-8", hashlib.sha256(plain).hexdigest()[:32])


@lru_cache(maxsize=4)
def _worker(seen: Seen, origins: tuple[str, ...]) -> File | None:
    """The service worker, which is another one where other hosts may be asked.

    It keeps the page with the policy that the page came with. A browser that finds another worker fetches the page anew.
    """
    file = _read("sw.js", seen)
    if file is None:
        return None
    mark = hashlib.sha256(" ".join(origins).encode()).hexdigest()[:16]
    plain = file.contents[""] + f"\n// hosts {mark}\n".encode()
    return File(
        {"": plain, "gzip": gzip.compress(plain, mtime=0)}, file.media_type, hashlib.sha256(plain).hexdigest()[:32]
    )
