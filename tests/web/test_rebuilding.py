"""Another build of the client takes the place of the present one, under a running server and under a tab that is open."""

import gzip
import os
import shutil
import subprocess
import time

import httpx
import pytest
from django.test import RequestFactory, override_settings
from playwright.async_api import expect

from config.webclient import build, page
from tests.services import services
from tests.web import needs

pytestmark = pytest.mark.usefixtures("web_client")


@pytest.fixture
def place(request):
    """A folder for a build, which the servers may read, whoever they run as."""
    folder = services().folder / f"client-{request.node.name}"
    folder.mkdir(mode=0o755)
    yield folder / "dist"
    shutil.rmtree(folder)


@pytest.fixture
def serving(system, request):
    """Starts a web process that serves the client of a folder."""
    made = []

    def start(place):
        shared = {"database_url": system.database_url, "valkey_url": system.valkey_url, "broker_url": system.broker_url}
        name = f"web-{request.node.name}"
        environment = {"KEY_PREFIX": name[:30], "WEB_CLIENT_DIR": str(place)}
        made.append(services().system(name, workers=0, beat=False, environment=environment, **shared))
        return made[-1].url

    yield start
    for each in made:
        each.stop()


def write(folder, number, *, assets=()):
    """A build in a few words, all of which name its number."""
    (folder / "static" / "assets").mkdir(parents=True)
    (folder / "index.html").write_text(f"<p>page of build {number}</p>")
    (folder / "sw.js").write_text(f"// worker of build {number}")
    (folder / "static" / "manifest.webmanifest").write_text("{}" + " " * number)
    for name in (f"index-0000000{number}.js", *assets):
        (folder / "static" / "assets" / name).write_text(f"// {name}")
    return folder


def test_a_running_server_goes_on_to_a_new_build_and_keeps_files_of_the_one_before(place, serving):
    build.put(write(place.with_name("one"), 1, assets=["same-aaaaaaaa.js"]), place)
    with httpx.Client(base_url=serving(place)) as http:
        assert "build 1" in http.get("/").text
        build.put(write(place.with_name("two"), 2, assets=["same-aaaaaaaa.js"]), place)

        assert "build 2" in http.get("/").text
        assert "build 2" in http.get("/sw.js").text
        assert http.get("/static/web/manifest.webmanifest").text == "{}  "
        for name in ("index-00000001.js", "index-00000002.js", "same-aaaaaaaa.js"):
            answer = http.get(f"/static/web/assets/{name}")
            assert (answer.status_code, answer.text) == (200, f"// {name}")
            assert "immutable" in answer.headers["cache-control"]
        assert http.get("/static/web/assets/index-00000003.js").status_code == 404


def test_a_client_that_is_built_while_the_server_runs_is_served(place, serving):
    with httpx.Client(base_url=serving(place)) as http:
        assert http.get("/").headers["content-type"].startswith("text/plain")
        assert http.get("/static/web/assets/index-00000001.js").status_code == 404
        build.put(write(place.with_name("one"), 1), place)
        assert "build 1" in http.get("/").text
        assert http.get("/static/web/assets/index-00000001.js").status_code == 200


def test_where_other_hosts_may_be_asked_browsers_find_another_service_worker(place):
    """It has kept the page with the policy of the day; a browser fetches both anew when the worker is another one."""
    build.put(write(place.with_name("one"), 1), place)

    def worker(*origins, **headers):
        with override_settings(WEB_CLIENT=True, WEB_CLIENT_DIR=place, HOST_ORIGINS=list(origins)):
            return page.service_worker(RequestFactory(headers=headers).get("/sw.js"))

    one, again, other = (
        worker("https://one.test"),
        worker("https://one.test"),
        worker("https://one.test", "https://two.test"),
    )
    assert one.content.startswith(b"// worker of build 1")
    assert (again.content, again["ETag"]) == (one.content, one["ETag"])
    assert other.content != one.content
    assert worker("https://one.test", if_none_match=one["ETag"]).status_code == 304
    assert worker("https://two.test", if_none_match=one["ETag"]).status_code == 200
    zipped = worker("https://one.test", accept_encoding="gzip")
    assert (zipped["Content-Encoding"], gzip.decompress(zipped.content)) == ("gzip", one.content)


def test_files_of_earlier_builds_go_after_two_weeks(place):
    assets = place / "static" / "assets"

    def next_build(number):
        build.put(write(place.with_name("next"), number), place)
        return sorted(path.name[-4] for path in assets.iterdir())

    assert next_build(1) == ["1"]
    # However long a build was in place: its files stay from when it was not any more.
    os.utime(assets / "index-00000001.js", (0, 0))
    assert next_build(2) == ["1", "2"]
    assert next_build(3) == ["1", "2", "3"]
    long_ago = time.time() - build.KEPT_S - 1
    os.utime(assets / "index-00000001.js", (long_ago, long_ago))
    assert next_build(4) == ["2", "3", "4"]


CHANGED = [("talk", "Pick a conversation", "Choose a conversation"), ("settings", "Appearance", "Looks")]


@pytest.fixture(scope="module")
def other_build(web_client, tmp_path_factory):
    """The client with other words in it."""
    needs.a_built_client()
    sources = tmp_path_factory.mktemp("web")
    for name in build.BUILT_FROM:
        path = build.WEB / name
        (shutil.copytree if path.is_dir() else shutil.copy)(path, sources / name)
    (sources / "node_modules").symlink_to(build.WEB / "node_modules")
    for name, before, after in CHANGED:
        file = sources / "src" / "i18n" / "en" / f"{name}.ts"
        words = file.read_text()
        assert words.count(f'"{before}"') == 1
        file.write_text(words.replace(f'"{before}"', f'"{after}"'))
    subprocess.run(
        ["node_modules/.bin/vite", "build", "--outDir", "dist/static", "--emptyOutDir", "--logLevel", "warn"],
        cwd=sources, check=True, capture_output=True,
    )  # fmt: skip
    return sources / "dist"


SCRIPTS = "performance.getEntriesByType('resource').map(({ name }) => new URL(name).pathname)"
FINDS_IT = """
async () => {
  const registration = await navigator.serviceWorker.getRegistration();
  // As a browser does it, again and again: a look may fail, or come while the one before is being installed.
  for (const end = performance.now() + 30_000; registration.waiting === null && performance.now() < end; ) {
    if (registration.installing === null) await registration.update().catch(() => undefined);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return registration.waiting !== null;
}
"""


def hashed(folder):
    return {f"/static/web/{path.relative_to(folder / 'static').as_posix()}" for path in folder.rglob("*-*.js")}


async def test_a_tab_that_is_open_goes_on_with_its_build_and_the_next_load_has_the_new_one(
    place, serving, other_build, visitor
):
    shutil.copytree(build.DIST, place)
    old, new = hashed(place), hashed(other_build)
    alice = await visitor("alice", url=serving(place))
    await alice.signs_up()
    await alice.is_kept()
    await alice.is_told("Pick a conversation")

    fresh = place.with_name("fresh")
    shutil.copytree(other_build, fresh)
    build.put(fresh, place)
    assert await alice.page.evaluate(FINDS_IT)

    # The open tab goes on as it is, with parts of its build that it had not loaded before.
    await alice.goes_to("#/settings")
    await alice.is_told("Appearance")
    assert set(await alice.page.evaluate(SCRIPTS)) & (new - old) == set()

    # Another one begins with the new build, and takes over from then on.
    first = alice.page
    alice.page = await alice.opens_a_tab()
    await alice.is_told("Choose a conversation")
    await alice.goes_to("#/settings")
    await alice.is_told("Looks")
    assert set(await alice.page.evaluate(SCRIPTS)) & (old - new) == set()

    await first.bring_to_front()
    await expect(first.get_by_text("Appearance").first).to_be_visible()
    await first.evaluate("location.hash = '#/settings/security'")
    await expect(first.get_by_role("button", name="Change password")).to_be_visible()
    assert set(await first.evaluate(SCRIPTS)) & (new - old) == set()
    await first.reload()
    await first.evaluate("location.hash = '#/settings'")
    await expect(first.get_by_text("Looks").first).to_be_visible()


async def test_an_open_tab_is_offered_the_new_build_and_keeps_what_was_written(
    place, serving, other_build, visitor, complaints
):
    complaints.expect("ERR_INTERNET_DISCONNECTED")
    shutil.copytree(build.DIST, place)
    url = serving(place)
    alice, bob = await visitor("alice", url=url), await visitor("bob", url=url)
    await alice.signs_up()
    await bob.signs_up()
    await alice.writes(bob, "hello")
    await alice.is_kept()

    fresh = place.with_name("fresh")
    shutil.copytree(other_build, fresh)
    build.put(fresh, place)
    assert await alice.page.evaluate(FINDS_IT)
    await alice.is_told("A new version is ready.")

    await alice.context.set_offline(True)
    await alice.types("written without a network")
    await alice.sees_ticks("written without a network", "Waiting to be sent")
    await alice.composer.fill("half a sentence")
    await alice.button("Reload").click()
    await expect(alice.page.get_by_text("A new version is ready.")).to_be_hidden()
    await expect(alice.composer).to_have_value("half a sentence")
    await alice.sees("written without a network")
    await alice.goes_to("#/settings")
    await alice.is_told("Looks")
    await alice.context.set_offline(False)
    await bob.opens(alice)
    await bob.sees("written without a network")
