"""Who is told: an HTTP endpoint and a mail server, both real, on ports of their own, which can be told to fail."""

import email
import socketserver
import threading
from collections import deque
from contextlib import contextmanager
from email.message import Message
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

import httpx
import orjson

DROP = 0


class Call(NamedTuple):
    """One POST as it came."""

    headers: httpx.Headers
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def data(self) -> dict[str, Any]:
        return orjson.loads(self.body)["data"]


class Endpoint:
    """Takes POSTs. `answers` are the next statuses (`DROP` hangs up without one); after them it is 204."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.answers: deque[int] = deque()
        self.headers = {}
        self.url = ""
        # Set while the endpoint answers nobody.
        self.holding = threading.Event()
        self.let_go = threading.Event()


@contextmanager
def endpoint():
    """Serve until the block ends."""
    it = Endpoint()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            it.calls.append(Call(httpx.Headers(list(self.headers.items())), body))
            if it.holding.is_set():
                it.let_go.wait(20)
            status = it.answers.popleft() if it.answers else 204
            if status == DROP:
                self.close_connection = True
                return
            self.send_response(status)
            for name, value in it.headers.items():
                self.send_header(name, value)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        it.url = f"http://127.0.0.1:{server.server_address[1]}/alerts"
        with _serving(server):
            yield it
            it.let_go.set()


class Letterbox:
    """Takes mail. `answers` are the next answers to DATA; after them it is 250."""

    def __init__(self) -> None:
        self.mails: list[Message] = []
        self.recipients: list[list[str]] = []
        self.answers: deque[str] = deque()
        self.port = 0


@contextmanager
def letterbox():
    """Serve until the block ends."""
    it = Letterbox()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.say("220 letterbox")
            to: list[str] = []
            while line := self.rfile.readline():
                match line.decode().upper().split(":")[0].split():
                    case ["RCPT", "TO"]:
                        to.append(line.decode().strip()[8:].strip("<> "))
                        self.say("250 ok")
                    case ["DATA"]:
                        self.say("354 go on")
                        raw = b"".join(iter(self.rfile.readline, b".\r\n"))
                        answer = it.answers.popleft() if it.answers else "250 taken"
                        if answer.startswith("250"):
                            it.mails.append(email.message_from_bytes(raw, policy=default))
                            it.recipients.append(to)
                        self.say(answer)
                    case ["QUIT"]:
                        self.say("221 bye")
                        return
                    case _:
                        self.say("250 ok")

        def say(self, text: str) -> None:
            self.wfile.write(f"{text}\r\n".encode())

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        it.port = server.server_address[1]
        with _serving(server):
            yield it


@contextmanager
def _serving(server: socketserver.BaseServer):
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
