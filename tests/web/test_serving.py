"""The client's files as the running system serves them."""

import gzip
import re

import httpx
import pytest

from config.webclient import build, policy

pytestmark = pytest.mark.usefixtures("web_client")


@pytest.fixture
def http(system):
    with httpx.Client(base_url=system.url) as client:
        yield client


def directives(response):
    """A Content-Security-Policy as a table."""
    words = [part.split() for part in response.headers["content-security-policy"].split(";")]
    return {name: values for name, *values in words}


def files_of(page):
    return re.findall(r'(?:src|href)="(/static/web/[^"]+)"', page)


def test_the_page_lets_nothing_run_but_its_own_files(http, system):
    page = http.get("/")
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert directives(page) == {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'"],
        "font-src": ["'self'"],
        "connect-src": list(
            dict.fromkeys(
                [
                    "'self'",
                    system.url.replace("http", "ws"),
                    *(each for url in system.urls for each in (url, url.replace("http", "ws"))),
                ]
            )
        ),
        "manifest-src": ["'self'"],
        "worker-src": ["'self'"],
        "base-uri": ["'none'"],
        "form-action": ["'none'"],
        "frame-ancestors": ["'none'"],
        "require-trusted-types-for": ["'script'"],
        "trusted-types": ["letterlock"],
    }
    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.headers["cross-origin-opener-policy"] == "same-origin"
    assert page.headers["cross-origin-resource-policy"] == "same-origin"
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.headers["x-frame-options"] == "DENY"
    assert {"microphone=()", "camera=(self)"} <= set(page.headers["permissions-policy"].split(", "))
    assert "set-cookie" not in page.headers


def test_the_page_has_no_inline_script_or_style(http):
    page = http.get("/").text
    assert not re.search(r"<script(?![^>]*\ssrc=)", page)
    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", page)


def test_who_has_no_javascript_is_told_that_it_is_needed(http):
    assert re.search(r"<noscript>\s*<p>Letterlock needs JavaScript", http.get("/").text)


def test_pages_that_name_no_icon_have_the_same_one(http):
    icon = http.get("/favicon.ico", follow_redirects=True)
    assert (icon.status_code, icon.headers["content-type"]) == (200, "image/png")


def test_the_page_is_asked_for_anew_and_the_same_is_not_sent_twice(http):
    page = http.get("/", headers={"accept-encoding": "gzip"})
    assert page.headers["cache-control"] == "no-cache"
    assert (page.headers["content-encoding"], page.headers["vary"]) == ("gzip", "Accept-Encoding")
    same = {"if-none-match": page.headers["etag"], "accept-encoding": "gzip"}
    again = http.get("/", headers=same)
    assert (again.status_code, again.content) == (304, b"")
    # Another form of it is another thing to whoever keeps it.
    assert http.get("/", headers=same | {"accept-encoding": "identity"}).status_code == 200
    assert http.head("/").status_code == 200


def test_what_is_the_same_keeps_its_policy(http):
    """Browsers take the headers of a 304 in place of those that they have kept."""
    for path in ("/", "/sw.js"):
        whole = http.get(path)
        same = http.get(path, headers={"if-none-match": whole.headers["etag"]})
        assert same.status_code == 304
        assert directives(same) == directives(whole)
        assert same.headers.get("permissions-policy") == whole.headers.get("permissions-policy")
    (worker,) = {path.name for path in (build.DIST / "static" / "workers").glob("argon2-*.js")} & set(
        re.findall(r"argon2-[\w-]+\.js", http.get("/sw.js").text)
    )
    whole = http.get(f"/static/web/workers/{worker}")
    same = http.get(f"/static/web/workers/{worker}", headers={"if-modified-since": whole.headers["last-modified"]})
    assert same.status_code == 304
    assert same.headers.get("content-security-policy") in (None, policy.STRETCHING)


@pytest.mark.parametrize(("asked", "given"), [("br, gzip", "br"), ("gzip;q=1.0", "gzip"), ("identity", None)])
def test_files_are_compressed_beforehand(http, asked, given):
    for path in ("/sw.js", *files_of(http.get("/").text)):
        if path.endswith((".js", ".css")):
            with http.stream("GET", path, headers={"accept-encoding": asked}) as answer:
                assert answer.status_code == 200
                # What is smaller than that fits into one packet as it is.
                if len(answer.read()) >= 500:
                    # The worker is another one for other hosts, and not compressed beforehand.
                    expected = given and ("gzip" if path == "/sw.js" else given)
                    assert answer.headers.get("content-encoding") == expected, path


def test_what_has_its_hash_in_its_name_is_kept_for_ever(http):
    paths = [path for path in files_of(http.get("/").text) if "/assets/" in path]
    assert paths
    for path in paths:
        answer = http.get(path)
        assert answer.headers["cache-control"] == "max-age=315360000, public, immutable"
        assert directives(answer)["default-src"] == ["'none'"]
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert "access-control-allow-origin" not in answer.headers
    # Whose name stays the same is not.
    for path in ("/static/web/manifest.webmanifest", "/static/web/icons/icon-192.png"):
        assert "immutable" not in http.get(path).headers["cache-control"]


def test_the_service_worker_lies_at_the_top_and_reaches_its_own_host_only(http):
    worker = http.get("/sw.js")
    assert worker.headers["content-type"] == "text/javascript; charset=utf-8"
    assert worker.headers["cache-control"] == "no-cache"
    assert directives(worker)["connect-src"] == ["'self'"]
    assert directives(worker)["script-src"] == ["'self'"]
    # It knows every file of its build.
    for path in files_of(http.get("/").text):
        assert "/icons/" in path or path in worker.text


def test_one_worker_runs_webassembly_and_nothing_else_does(http):
    """Not the page either, nor any file that it can load: a script of somebody else's would find nothing to compile by."""
    files = {f"/static/web/{path.relative_to(build.DIST / 'static')}" for path in build.DIST.glob("static/**/*.js")}
    files &= set(re.findall(r"/static/web/[\w./-]+\.js", http.get("/sw.js").text))
    scripts = {path: directives(http.get(path))["script-src"] for path in ("/", "/sw.js", *files)}

    compiling = {path for path, sources in scripts.items() if sources != ["'self'"]}
    (worker,) = compiling
    assert worker.startswith("/static/web/workers/argon2-")
    assert scripts[worker] == ["'self'", "'wasm-unsafe-eval'"]


@pytest.mark.parametrize("may_compile", [True, False])
async def test_a_password_is_stretched_where_webassembly_may_run_and_where_it_may_not(visitor, complaints, may_compile):
    """The first without what the second needs: else nobody would see that the second has been at work."""
    alice = await visitor("alice", service_workers="block")
    instead, loaded = "**/assets/argon2-*.js", []

    async def without_the_right(route):
        answer = await route.fetch()
        headers = {**answer.headers, "content-security-policy": policy.WORKER}
        await route.fulfill(response=answer, headers=headers)

    async def note(route):
        loaded.append(route.request.url)
        await (route.abort() if may_compile else route.continue_())

    await alice.context.route(instead, note)
    if not may_compile:
        complaints.expect("WebAssembly")
        await alice.context.route("**/workers/argon2-*.js", without_the_right)

    await alice.signs_up()

    assert bool(loaded) is not may_compile


def test_the_page_is_only_where_its_policy_is(http):
    """Another copy of it without the policy would be a way around the policy."""
    for path in ("/static/web/index.html", "/static/index.html", "/static/web/sw.js", "/static/web/../index.html"):
        assert http.get(path).status_code == 404
    assert http.get("/anything").status_code == 404
    assert http.get("/rooms/1").status_code == 404


def test_the_first_load_is_small(http):
    """150 kB: what the page names, as gzip. What a first visit fetches in all, test_first_visit.py measures."""
    page = http.get("/").text
    named = [path for path in files_of(page) if path.endswith((".js", ".css"))]
    size = len(gzip.compress(page.encode())) + sum(len(gzip.compress(http.get(path).content)) for path in named)
    assert size <= 150_000


def test_what_is_immutable_and_what_is_an_origin():
    assert re.match(policy.IMMUTABLE, "/static/web/assets/index-BNQBh4Iw.js")
    assert re.match(policy.IMMUTABLE, "/static/web/workers/argon2-_x-3h4Iw.js")
    assert not re.match(policy.IMMUTABLE, "/static/web/manifest.webmanifest")
    assert not re.match(policy.IMMUTABLE, "/static/admin/css/base-12345678.css")
    assert policy.is_origin("https://web-1.example.org") and policy.is_origin("http://127.0.0.1:8001")
    wrong = (
        "https://web-1.example.org/",
        "https://Web-1.example.org",
        "wss://web-1.example.org",
        "web-1",
        "https://a b",
    )
    assert not any(policy.is_origin(text) for text in (*wrong, "https://x;script-src *"))


def test_a_second_build_does_nothing(web_client):
    before = build.DIST.stat().st_ino
    assert build.build() is False
    assert build.DIST.stat().st_ino == before
