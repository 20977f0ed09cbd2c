"""deploy/nginx in front of two hosts, with a real nginx: TLS, sockets by path, limits, and hosts that come and go."""

import asyncio
import json
import subprocess
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import httpx
import psycopg2
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from client import Client, Message
from tests.cast import Cast, until
from tests.deploy.asking import asking
from tests.deploy.gateway import SHUTDOWN_S, Gateway, trusting
from tests.hosts.moving import REASSIGNED_S, Crowd, dies_for_good, manage
from tests.services import services

PASSWORD = "seven geese crossed Messina harbour"


@pytest.fixture(scope="module")
def behind(nginx, tmp_path_factory):
    """A system of two hosts behind a gateway, as docs/operations.md sets it up. Whoever takes a part of it down puts it back."""
    gateway = Gateway(tmp_path_factory.mktemp("gateway"))
    told = {"PUBLIC_URL": gateway.url, "HOST_URL": f"{gateway.url}/hosts/{{name}}", "TRUST_PROXY": "true"}
    system = services().system("gateway", web=2, beat=False, environment=told)
    gateway.set_hosts({f"web-{number}": urlsplit(url).port for number, url in enumerate(system.urls, 1)})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(gateway.certificate))
        gateway.start()
        yield system, gateway
        gateway.stop()
    system.stop()


async def http(gateway):
    return httpx.AsyncClient(base_url=gateway.url, verify=trusting(gateway), timeout=30)


async def test_people_talk_through_it(behind, tmp_path):
    _, gateway = behind
    async with Client(gateway.url, tmp_path / "alice.db") as alice, Client(gateway.url, tmp_path / "bob.db") as bob:
        await alice.register("alice", PASSWORD, device_name="phone")
        await bob.register("bob", PASSWORD, device_name="phone")
        alice.connect()
        bob.connect()
        room = await alice.direct_room(bob.me.user)

        await alice.send(room.id, b"Hello through the gateway")

        async with asyncio.timeout(30):
            async for event in bob.events(after=0):
                if isinstance(event, Message):
                    assert event.body == b"Hello through the gateway"
                    break


def test_rest_is_http_2_and_plain_http_leads_to_https(behind):
    _, gateway = behind
    curl = ["curl", "-s", "--cacert", str(gateway.certificate), "-o", "/dev/null", "-w"]

    asked = subprocess.run(
        [*curl, "%{http_version} %{http_code}", f"{gateway.url}/api/v1/limits"], capture_output=True, text=True
    )
    assert asked.stdout == "2 200"
    plain = httpx.get(f"http://127.0.0.1:{gateway.plain_port}/api/v1/limits?a=b")
    assert (plain.status_code, plain.headers["location"]) == (308, "https://127.0.0.1/api/v1/limits?a=b")


async def test_a_path_leads_to_its_host_and_to_no_other(behind):
    system, gateway = behind
    async with Cast(gateway.url) as cast:
        alice = await cast.person("alice")
        # Twice, in turn: whoever merely takes turns is found out.
        for name in [*gateway.hosts, *gateway.hosts]:
            async with alice.phone.socket(url=f"{gateway.url}/hosts/{name}") as socket:
                assert socket.welcome["host"] == f"{name}.{system.parts[name].pid}"
    with pytest.raises(InvalidStatus) as refused:
        await connect(f"wss://127.0.0.1:{gateway.port}/hosts/web-9/api/v1/socket", ssl=trusting(gateway))
    assert refused.value.response.status_code == 404


async def test_so_do_requests(nginx, tmp_path):
    gateway = Gateway(tmp_path)
    with serving(Willing) as one, serving(Willing) as other:
        gateway.set_hosts({"web-1": one.server_port, "web-2": other.server_port})
        gateway.start()
        try:
            async with await http(gateway) as client:
                for name in ["web-1", "web-2"] * 2:
                    answer = await client.post(f"/hosts/{name}/api/v1/rooms?a=b", content=b"{}")
                    assert answer.json() == {"port": gateway.hosts[name], "path": "/api/v1/rooms?a=b"}
                assert (await client.get("/hosts/web-9/api/v1/rooms")).status_code == 404
        finally:
            gateway.stop()


async def test_devices_are_at_the_host_that_they_are_assigned_to_and_come_by_its_path(behind, tmp_path):
    system, gateway = behind
    async with Crowd(system, tmp_path, url=gateway.url) as crowd:
        await crowd.comes(pairs=3)

        for person in crowd.people:
            # Where it was sent. (Whom one asks afterwards names the host at which the device is.)
            sent_to = person._keeper._hosts._last
            assert sent_to == f"{gateway.url}/hosts/{person._keeper.host.partition('.')[0]}"
            assert person.connects == 1
        assert all(crowd.at(crowd.host_of(name)) for name in gateway.hosts)


async def test_figures_and_readiness_stay_inside(behind):
    _, gateway = behind
    async with await http(gateway) as client:
        for path in ("/metrics", "/readyz"):
            assert (await client.get(path)).status_code == 404, path
        assert (await client.get("/healthz")).status_code == 200


async def test_what_nginx_refuses_looks_like_any_refusal(behind):
    _, gateway = behind
    async with await http(gateway) as client:
        answer = await client.post("/api/v1/messages", content=b"x" * 7_000_000)

    assert answer.status_code == 413
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "too_large"


async def test_an_address_that_floods_is_slowed_down(behind):
    _, gateway = behind
    async with await http(gateway) as client:
        answers = await asyncio.gather(*[client.get("/api/v1/accounts/kdf?username=alice") for _ in range(40)])

    refused = [answer for answer in answers if answer.status_code == 429]
    assert refused
    assert {(answer.json()["code"], answer.headers["retry-after"]) for answer in refused} == {("rate_limited", "1")}


async def test_no_path_leads_around_that(behind):
    """A host of its own, reached by its path, costs as much."""
    _, gateway = behind
    for path in ("/hosts/web-1/api/v1/accounts/kdf?username=alice", "/api/v1//accounts/%6bdf?username=alice"):
        async with await http(gateway) as client:
            answers = await asyncio.gather(*[client.get(path) for _ in range(40)])

        assert 429 in {answer.status_code for answer in answers}, path


@pytest.mark.parametrize("way", ["/hosts/web-1/api/v1/accounts", "/api/v1/accounts"])
@pytest.mark.parametrize("name", ["kdf%3F", "%256bdf", "kd%2566"])
async def test_what_is_no_such_path_here_is_none_at_the_host(behind, way, name):
    """Escaped twice, or with the end of a path in it: the limit does not know it, so it must not cost a password hash."""
    _, gateway = behind
    async with await http(gateway) as client:
        plain = await client.get(f"{way}/kdf", params={"username": "alice"})
        answer = await client.get(httpx.URL(f"{gateway.url}{way}/{name}?username=alice"))

    assert plain.status_code in (200, 429)
    assert answer.status_code == 404
    assert f"/accounts/{name}" in str(answer.request.url)


class Refusing(BaseHTTPRequestHandler):
    """A host whose backlog is full: it refuses messages, and does everything else."""

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(503, b'{"code":"overloaded","retry_after":7}', ("Retry-After", "7"))

    def do_GET(self):
        self._answer(200, b"{}")

    def _answer(self, status, body, *headers):
        self.send_response(status)
        for name, value in (("Content-Length", str(len(body))), *headers):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextmanager
def serving(host):
    with ThreadingHTTPServer(("127.0.0.1", 0), host) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


async def test_a_host_that_refuses_messages_for_the_time_being_is_not_taken_for_dead(nginx, tmp_path):
    """Else an overload of sends would take sign-ins, sockets and everything else down with it."""
    gateway = Gateway(tmp_path)
    with serving(Refusing) as one, serving(Refusing) as other:
        gateway.set_hosts({"web-1": one.server_port, "web-2": other.server_port})
        gateway.start()
        try:
            async with await http(gateway) as client:
                for _ in range(10):
                    refused = await client.post("/api/v1/messages", json=[])
                    assert (refused.status_code, refused.headers["retry-after"]) == (503, "7")
                    assert refused.json()["code"] == "overloaded"  # the host's own answer
                    assert (await client.get("/api/v1/limits")).status_code == 200
        finally:
            gateway.stop()


class Hanging(Refusing):
    """A host that takes messages and two questions, and never answers them; it does everything else."""

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self._hang()

    def do_GET(self):
        if self.path in ("/api/v1/hosts/assignment", "/api/v1/devices"):
            self._hang()
        else:
            self.server.served.append(self.path)
            self._answer(200, b"{}")

    def _hang(self):
        self.server.hung += 1
        self.server.over.wait(60)
        self.close_connection = True


class Willing(Refusing):
    """A host that answers everything, and says who it is and what it was asked."""

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(200, json.dumps({"port": self.server.server_port, "path": self.path}).encode())


@pytest.fixture
def half_hangs(nginx, tmp_path):
    """A gateway in front of a host that hangs and one that does not: (gateway, the first one's server)."""
    gateway = Gateway(tmp_path)
    with serving(Hanging) as one, serving(Willing) as other:
        one.served, one.hung, one.over = [], 0, threading.Event()
        gateway.set_hosts({"web-1": one.server_port, "web-2": other.server_port})
        gateway.start()
        yield gateway, one
        one.over.set()
        gateway.stop()


@pytest.mark.parametrize(
    ("method", "path", "patience_s"),
    [("GET", "/api/v1/hosts/assignment", 5), ("POST", "/api/v1/messages", 10), ("GET", "/api/v1/devices", 20)],
)
async def test_while_a_host_hangs_another_is_asked_before_the_client_gives_up(half_hangs, method, path, patience_s):
    """As clients do: after 5 s without an answer they try the first URL, after 20 s they begin anew."""
    gateway, _ = half_hangs
    async with await http(gateway) as client:
        # Two at a time: each host gets one.
        async with asyncio.timeout(patience_s):
            answers = await asyncio.gather(*[client.request(method, path, content=b"[]") for _ in range(2)])

    assert [answer.status_code for answer in answers] == [200, 200]
    assert max(answer.elapsed for answer in answers).total_seconds() > 2  # the host that hangs was asked


async def test_a_host_that_is_slow_to_commit_is_not_taken_for_dead(half_hangs):
    gateway, hanging = half_hangs
    async with await http(gateway) as client:
        # Two failures are what it takes; of messages that come together, the host gets one or two.
        for _ in range(3):
            sent = await asyncio.gather(*[client.post("/api/v1/messages", content=b"[]") for _ in range(4)])
            assert {answer.status_code for answer in sent} == {200}
            if max(answer.elapsed for answer in sent).total_seconds() < 2:
                break
        # It gets no more messages for a while, and all else as before.
        assert hanging.hung > 1
        assert max(answer.elapsed for answer in sent).total_seconds() < 2
        hanging.served.clear()
        assert [(await client.get("/api/v1/limits")).status_code for _ in range(4)] == [200] * 4
        assert hanging.served


async def test_a_message_to_a_host_that_hangs_is_stored_once_by_another(behind):
    system, gateway = behind
    async with Cast(gateway.url) as cast:
        alice, bob = await cast.people("alice", "bob")
        room = await alice.direct_room(bob)
        began = time.monotonic()
        system.freeze("web-1")
        try:
            # Two at a time: each host gets one.
            answers = await asyncio.gather(alice.phone.tries(room, b"from Alice"), bob.phone.tries(room, b"from Bob"))
        finally:
            system.thaw("web-1")
        seconds = time.monotonic() - began
        assert [answer.status_code for answer in answers] == [200, 200]
        assert 5 < seconds < 10

        # What the frozen one had taken before it comes to nothing.
        await asyncio.to_thread(system.wait_ready, "web-1", 60)
        last = await alice.sends(room, b"on it goes")
        sent = {answer.json()["id"] for answer in answers} | {last["id"]}
        async with bob.phone.socket(url=system.urls[0]) as socket:
            arrived = await socket.messages(3)
        assert {entry["id"] for entry in arrived} == sent
        page = await bob.phone.gets("mailbox", limit=500)
        assert len([entry for entry in page["entries"] if entry["kind"] == "message"]) == 3


async def test_a_client_cannot_say_where_it_comes_from(behind):
    """The address that is counted is the one that nginx sees."""
    system, gateway = behind
    form = {"username": "nobody-here", "password": "x" * 43, "device_name": "x"}
    async with await http(gateway) as client:
        answer = await client.post(
            "/api/v1/accounts/sign-in",
            json=form,
            headers={"X-Forwarded-For": "203.0.113.7", "X-Real-IP": "203.0.113.7"},
        )
    assert answer.json()["code"] == "bad_credentials"

    connection = psycopg2.connect(system.database_url)
    with connection.cursor() as cursor:
        cursor.execute("SELECT subject FROM accounts_signinattempt WHERE subject LIKE 'address:%'")
        counted = cursor.fetchall()
    connection.close()
    assert counted == [("address:127.0.0.1",)]


async def test_a_host_that_dies_is_passed_over(behind):
    system, gateway = behind
    async with await http(gateway) as client:
        system.stop_part("web-1")

        answers = [await client.get("/api/v1/limits") for _ in range(20)]

        assert {answer.status_code for answer in answers} == {200}
        system.stop_part("web-2")
        gone = await client.get("/api/v1/limits")
        assert (gone.status_code, gone.json()["code"], gone.headers["retry-after"]) == (503, "unavailable", "1")
        for name in ("web-1", "web-2"):
            system.start_part(name)
            await asyncio.to_thread(system.wait_ready, name, 60)
        async with asyncio.timeout(20):
            while (await client.get("/api/v1/limits")).status_code != 200:
                await asyncio.sleep(0.1)  # until nginx tries them again


async def test_a_host_is_emptied_and_taken_out_while_people_write_and_ask(behind, tmp_path):
    """As docs/operations.md says: drain, `down`, reload, stop; and back again. No request fails, nothing is lost."""
    system, gateway = behind
    async with Crowd(system, tmp_path, url=gateway.url) as crowd, asking(gateway) as (codes, more):
        await crowd.comes(pairs=3)
        crowd.write()
        await more()
        out, other = crowd.host_of("web-1"), crowd.host_of("web-2")
        moved, stay = crowd.at(out), crowd.at(other)
        assert moved
        assert stay

        done = await asyncio.to_thread(manage, system, "hosts", "drain", out, "--seconds", "2")
        assert (done.returncode, f"{out} is empty" in done.stdout) == (0, True), done.stderr
        await until(lambda: len(crowd.at(other)) == len(crowd.people), "all at the other host")
        assert {person.connects for person in moved} == {2}
        assert {person.connects for person in stay} == {1}

        async def begin_anew(**hosts):
            """Reload. Sockets of the old configuration end within its time, and their people come back by the new one."""
            connects = {person: person.connects for person in crowd.people}
            await asyncio.to_thread(gateway.reload, **hosts)
            await until(
                lambda: all(person.connects > connects[person] and person._keeper.host for person in crowd.people),
                "everybody by the new configuration", SHUTDOWN_S + 10,
            )  # fmt: skip
            await more()
            await crowd.heard(crowd.people)

        await begin_anew(down=["web-1"])
        assert len(crowd.at(other)) == len(crowd.people)
        await asyncio.to_thread(system.stop_part, "web-1")
        await more()
        await crowd.heard(crowd.people)

        system.start_part("web-1")
        await asyncio.to_thread(system.wait_ready, "web-1", 60)
        await begin_anew()
        # It takes users again, who come by its path.
        newcomer = await crowd.joins()
        assert newcomer._keeper.host == crowd.host_of("web-1")
        assert await crowd.ends() > 50
    assert set(codes) == {200}


async def test_after_kill_9_the_users_of_a_host_are_served_by_the_other(behind, tmp_path):
    """While people write and others ask: no request fails, nothing is lost, and soon everybody is at the host that is left."""
    system, gateway = behind
    async with Crowd(system, tmp_path, url=gateway.url) as crowd, asking(gateway) as (codes, more):
        await crowd.comes(pairs=3)
        crowd.write()
        await more()
        killed, other = crowd.host_of("web-1"), crowd.host_of("web-2")
        assert crowd.at(killed)

        began = time.monotonic()
        dies_for_good(system, "web-1")
        await until(lambda: len(crowd.at(other)) == len(crowd.people), "all at the other host")
        await crowd.heard(crowd.people)
        received = time.monotonic() - began
        await more()

        print(f"\nafter kill -9 behind nginx: all received after {received:.1f} s")
        assert received < REASSIGNED_S
        assert await crowd.ends() > 20
    assert set(codes) == {200}
    system.start_part("web-1")
    await asyncio.to_thread(system.wait_ready, "web-1", 60)


def test_no_token_is_logged(behind):
    """And the log of requests has no query either."""
    _, gateway = behind
    token = "a-token-that-nobody-may-see"
    httpx.get(
        f"{gateway.url}/api/v1/devices?asked=this",
        headers={"Authorization": f"Bearer {token}"},
        verify=trusting(gateway),
    )
    gateway.stop()
    requests, errors = ((gateway.folder / name).read_text() for name in ("access.log", "error.log"))
    gateway.start()

    assert "/api/v1/devices" in requests
    assert "asked=this" not in requests
    assert token not in requests + errors
