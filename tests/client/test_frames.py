"""The frames of docs/protocol.md, as the client spells and reads them."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.errors import MalformedFrame
from client.protocol import frames
from client.protocol.entries import HiddenEntry, OtherEntry, decode_entry
from client.protocol.frames import Ack, Hello, OtherFrame, Outgoing, Ping, Read, Reject, Send, Typing
from client.protocol.ids import MessageId, RoomId, UserId, message_id
from client.protocol.opaque import Ciphertext, from_text, to_text
from client.protocol.problems import decode_problem

PAGE = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text()
ROOM = RoomId("019ab0c4-0000-7000-8000-000000000001")
MESSAGE = MessageId("019ab0c4-7d3e-7aaa-8bbb-0123456789ab")


def examples(side: str) -> list[str]:
    return re.findall(rf"^```frame {side}\n(.*?)\n```$", PAGE, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("example", examples("server"), ids=lambda text: json.loads(text)["type"])
def test_every_server_example_of_the_page_is_understood(example):
    assert not isinstance(frames.decode(example), OtherFrame)


def test_every_client_example_of_the_page_is_spelled_alike():
    spelled = [
        Hello("eyJhbGciOi…", "letterlock-py", "0.1.0"),
        Send(
            "17", (Outgoing(MESSAGE, ROOM, UserId("u"), None, 1795385284123, "chat.e2ee.v1", 0, Ciphertext(b"opaque")),)
        ),
        Ack(42),
        Read(ROOM, 42),
        Reject(MESSAGE, MessageId("019ab0c4-7d3e-7aaa-8bbb-0123456789ac")),
        Typing(ROOM),
        Ping(),
    ]
    for frame, example in zip(spelled, map(json.loads, examples("client")), strict=True):
        ours = json.loads(frames.encode(frame))

        # What the page allows beside the example: a ref, and what the client composed (§3.1).
        if example["type"] in {"reject", "read"}:
            del ours["ref"]
        for message in ours.get("messages", []):
            assert (message.pop("sender"), message.pop("delivered"), message.pop("read")) == ("u", False, False)
        assert ours == example


def test_every_code_that_may_be_repeated_is_repeated():
    table = re.findall(r"^\| `(\w+)` \| (\d+) \| ([\w ]+) \|", PAGE, flags=re.MULTILINE)
    assert len(table) > 15
    for code, status, may_retry in table:
        problem = decode_problem({"code": code, "status": int(status)})
        assert problem.may_retry == (may_retry == "yes"), code


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"type": 3}', '{"type": "drained"}', '{"type": "drained", "seq": "1"}',
     '{"type": "entries", "entries": [{"seq": 1}]}', '{"type": "entries", "entries": [{"seq": 1, "kind": "message"}]}',
     '{"type": "welcome"}', '{"type": "accepted", "messages": [1]}', '{"type": "receipts", "receipts": [[]]}',
     '{"type": "reconnect", "url": 7, "after_ms": 1}', '{"type": "reconnect", "url": "http://x"}'],
)  # fmt: skip
def test_a_frame_of_an_unknown_shape_is_refused(text):
    with pytest.raises(MalformedFrame):
        frames.decode(text)


def test_what_a_newer_server_adds_does_no_harm():
    assert frames.decode('{"type": "weather"}') == OtherFrame("weather")
    assert decode_entry({"seq": 7, "kind": "weather"}) == OtherEntry(7, "weather")
    assert decode_entry({"seq": 7, "kind": "hidden", "why": "?"}) == HiddenEntry(7)


@given(st.binary(max_size=200))
def test_bytes_survive_the_wire(value):
    assert from_text(to_text(value)) == value
    assert "=" not in to_text(value)


@pytest.mark.parametrize("text", ["YQ==", "YR", "a", "Y Q", "+/+/", "é"])
def test_bytes_have_one_spelling(text):
    with pytest.raises(MalformedFrame):
        from_text(text)


@given(st.integers(0, 2**48 - 1), st.integers(0, 2**74 - 1))
def test_message_ids_are_version_7_and_carry_their_time(now_ms, noise):
    from uuid import UUID

    made = UUID(message_id(now_ms, noise))
    assert made.version == 7
    assert made.variant == "specified in RFC 4122"
    assert made.int >> 80 == now_ms


def test_neither_a_token_nor_a_body_prints_itself():
    assert "secret" not in repr(Hello("secret", "n", "v"))
    assert repr(Ciphertext(b"secret")) == str(Ciphertext(b"secret")) == "<Ciphertext 6 bytes>"
