"""docs/protocol.md says what the server does: codes, close codes, frames, kinds, limits."""

import json
import pkgutil
import re
from importlib import import_module

import pytest

from chat.intake import accepted_text
from delivery import frames
from delivery.acks import Receipts
from delivery.frames import CloseCode
from kernel import limits
from kernel.entries import Entry, Origin
from kernel.errors import DomainError, NotFound
from kernel.limits import table
from messages.entries import HIDDEN, message_text, payload_text
from messages.kinds import Kind
from messages.log import NewMessage
from tests.promises.conftest import PAGE

OURS = ("accounts", "chat", "config", "connections", "delivery", "kernel", "messages")
# Of HTTP itself: the same code as any other wrong request, with the status that HTTP has for it.
HTTP_ONLY = {("invalid", 405), ("invalid", 406), ("invalid", 415)}


def rows(page, heading):
    """The cells of the table under a heading."""
    part = page.split(f"{heading}\n", 1)[1].split("\n#", 1)[0]
    lines = [line.strip("| \n").split(" | ") for line in part.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in cells] for cells in lines[2:]]


def examples(side):
    return re.findall(rf"^```frame {side}\n(.*?)\n```$", PAGE.read_text(), flags=re.MULTILINE | re.DOTALL)


def all_errors():
    """Every refusal that is defined anywhere in the server."""
    for name in OURS:
        package = import_module(name)
        for module in pkgutil.walk_packages(package.__path__, f"{name}."):
            if ".migrations" not in module.name and not module.name.endswith(("asgi", "__main__")):
                import_module(module.name)
    found, waiting = set(), [DomainError]
    while waiting:
        subclasses = waiting.pop().__subclasses__()
        found.update(subclasses)
        waiting += subclasses
    return {each for each in found if each.__module__.split(".")[0] in OURS}


def test_every_refusal_is_on_the_page_with_its_status_and_every_line_is_a_refusal(page):
    on_page = {(code.strip("`"), int(status)) for code, status, *_ in rows(page, "## 2. Errors")}
    in_code = {(error.code, error.status) for error in all_errors()}

    assert in_code - HTTP_ONLY == on_page


def test_the_page_says_truly_what_may_be_repeated(page):
    on_page = {code.strip("`"): may_retry == "yes" for code, _, may_retry, *_ in rows(page, "## 2. Errors")}

    for error in all_errors():
        assert error.retryable == on_page[error.code], error


def test_every_refusal_says_something_for_people():
    for error in all_errors():
        problem = error().problem()
        assert problem["title"].endswith(".") and problem["detail"], error


def test_every_close_code_is_on_the_page_and_the_other_way_round(page):
    on_page = {(int(code.strip("`")), name) for code, name, *_ in rows(page, "### 4.3 Close codes")}

    assert on_page == {(code.value, code.name.lower()) for code in CloseCode}


@pytest.mark.parametrize("example", examples("client"), ids=lambda text: json.loads(text)["type"])
def test_every_example_of_a_client_frame_is_understood(example):
    frame = frames.decode(example)

    assert type(frame).__name__.lower() == json.loads(example)["type"]


def test_every_client_frame_has_an_example():
    assert {json.loads(example)["type"] for example in examples("client")} == set(frames.FIELDS)


class TestServerFrames:
    """What our own encoders make of the examples' values is the examples."""

    @pytest.fixture
    def example(self):
        """The example of a type."""
        return {frame["type"]: frame for frame in map(json.loads, examples("server"))}

    def test_welcome(self, example):
        fields = {name: value for name, value in example["welcome"].items() if name != "type"}
        assert json.loads(frames.welcome(**fields)) == example["welcome"]

    def test_entries(self, example):
        (text,) = frames.entries([Entry(41, HIDDEN, None)])
        assert json.loads(text) == example["entries"]

    def test_accepted(self, example):
        (wanted,) = example["accepted"]["messages"]
        message = NewMessage(wanted["id"], wanted["room"], wanted["sender"], "", None, 0, "", 0, b"")
        (text,) = frames.accepted([accepted_text(message, wanted["accepted_at"])])
        assert json.loads(text) == example["accepted"]

    def test_error(self, example):
        text = frames.error(NotFound(id=example["error"]["problem"]["id"]).problem(), "17")
        assert json.loads(text) == example["error"]

    def test_reconnect(self, example):
        fields = {name: value for name, value in example["reconnect"].items() if name != "type"}
        assert json.loads(frames.reconnect(**fields)) == example["reconnect"]

    def test_receipts(self, example):
        class Listener:
            def send(self, users, frame, *, exclude_device=None):
                heard.append((list(users), frame))

        heard = []
        (wanted,) = example["receipts"]["receipts"]
        receipts = Receipts(Listener())
        receipts.owe({wanted["user"]: [Origin(wanted["room"], wanted["device"], wanted["delivered"], "alice")]})
        receipts.flush()
        assert heard == [(["alice"], example["receipts"])]


def test_every_kind_of_entry_is_on_the_page(page):
    on_page = {
        kind.strip("`"): set(re.findall(r"`([a-z_]+)`|([a-z_]+)(?=,|`)", members))
        for kind, members in rows(page, "### 3.2 Entries")
    }

    assert on_page.keys() == {*(kind.name.lower() for kind in Kind), "hidden"}


def test_a_message_entry_has_the_members_of_the_page(page):
    (members,) = (members for kind, members in rows(page, "### 3.2 Entries") if kind == "`message`")
    text = message_text("id", "room", "sender", "device", None, 1, 2, "alg", 0, b"opaque")

    assert list(json.loads("{" + text + "}")) == ["kind", *re.findall(r"[a-z_]+", members)]
    assert json.loads("{" + payload_text(Kind.ROOM, {"room": "x"}) + "}") == {"kind": "room", "room": "x"}


async def test_the_limits_are_served_as_they_are(cast):
    rules = {"connection_consistency": "confirm", "device_grace_days": 30, "disclose_blocks": True}

    assert await (await cast.person("alice")).phone.gets("limits") == table() | rules
    assert (await cast.http().get("limits")).json() == table() | rules


def test_every_limit_that_clients_meet_is_in_the_table():
    served = {name.upper() for name in table()} - {"RATES"}
    # How the server goes about it; no client can be refused by these.
    internal = {"RECEIPTS_MS", "PUSHED_BYTES", "FIRST_PAGE_ENTRIES", "COMMIT_BYTES"}
    ours = {name for name, value in vars(limits).items() if name.isupper() and isinstance(value, int)}

    assert served | internal == ours
    assert table()["rates"].keys() == limits.RATES.keys()
