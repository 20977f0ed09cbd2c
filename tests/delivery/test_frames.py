"""The socket's wire: what clients may say, what is refused, and how the server spells its frames."""

import json
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery import frames
from delivery.frames import MalformedFrame, Refused
from kernel.entries import Entry
from kernel.errors import InvalidInput
from kernel.limits import FRAME_BYTES, POST_MESSAGES

ROOM = "019ab0c4-0000-7000-8000-000000000001"
MESSAGE = "019ab0c4-7d3e-7aaa-8bbb-0123456789ab"
LATER = "019ab0c4-7d3e-7aaa-8bbb-0123456789ac"

uuids = st.uuids().map(str)
seqs = st.integers(0, 2**63 - 1)
refs = st.none() | st.text(st.characters(codec="utf-8"), max_size=64)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"), max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
names = st.sampled_from(["type", "ref", "seq", "room", "message", "later", "messages", "token", "client", "x"])
kinds = st.sampled_from([*frames.FIELDS, "entries", "welcome", "", "HELLO"])


def said(**frame):
    return json.dumps(frame)


def refused(text):
    """What an answered frame was refused for."""
    with pytest.raises(Refused) as found:
        frames.decode(text)
    return found.value


class TestWhatClientsSay:
    @given(seq=seqs, ref=refs)
    def test_ack(self, seq, ref):
        assert frames.decode(said(type="ack", seq=seq, ref=ref)) == frames.Ack(seq, ref)

    @given(room=uuids, seq=seqs, ref=refs)
    def test_read(self, room, seq, ref):
        assert frames.decode(said(type="read", room=room, seq=seq, ref=ref)) == frames.Read(room, seq, ref)

    @given(message=uuids, later=uuids, ref=refs)
    def test_reject(self, message, later, ref):
        assert frames.decode(said(type="reject", message=message, later=later, ref=ref)) == frames.Reject(
            message, later, ref
        )

    @given(room=uuids, ref=refs)
    def test_typing(self, room, ref):
        assert frames.decode(said(type="typing", room=room, ref=ref)) == frames.Typing(room, ref)

    @given(ref=refs)
    def test_ping(self, ref):
        assert frames.decode(said(type="ping", ref=ref)) == frames.Ping(ref)

    @given(messages=st.lists(json_values, min_size=1, max_size=POST_MESSAGES), ref=refs)
    def test_send_leaves_the_messages_to_the_sender_service(self, messages, ref):
        text = said(type="send", messages=messages, ref=ref)
        if len(text.encode()) <= FRAME_BYTES:
            frame = frames.decode(text)
            assert isinstance(frame, frames.Send)
            assert (len(frame.messages), frame.ref) == (len(messages), ref)

    @pytest.mark.parametrize(
        ("client", "name", "version"),
        [({"name": "cast", "version": "1"}, "cast", "1"), ({"name": "cast"}, "cast", ""), ({}, "", ""), (None, "", "")],
    )
    def test_hello(self, client, name, version):
        fields = {} if client is None else {"client": client}
        assert frames.decode(said(type="hello", token="t", **fields)) == frames.Hello("t", name, version)

    def test_bytes_are_taken_like_text(self):
        assert frames.decode(b'{"type":"ping"}') == frames.Ping(None)


class TestWhatHangsUp:
    @pytest.mark.parametrize(
        "text",
        ["", " ", "null", "1", '"hello"', "[]", '[{"type":"ping"}]', "{}", "{", '{"type":"ping"}x', '{"type":null}', '{"type":1}',
         '{"type":["ping"]}', '{"type":"PING"}', '{"type":"welcome"}', '{"type":"ping","ref":NaN}', "\x00", "\ud800",
         '{"type":"ping","ref":"\\ud800"}', '{"type":"ack","seq":' + "1" * 5_000 + "}", "[" * 60_000, '{"a":' * 10_000,
         b"\xff\xfe", b'{"type":"ping","ref":"\xff"}', '{"type":"ping","ref":"' + "x" * FRAME_BYTES + '"}'],
    )  # fmt: skip
    def test_what_is_no_frame_of_ours(self, text):
        with pytest.raises(MalformedFrame):
            frames.decode(text)

    def test_the_limit_counts_bytes(self):
        room = FRAME_BYTES - len(said(type="typing", room=""))
        assert refused(said(type="typing", room="x" * room)).error.fields == {"field": "room"}
        with pytest.raises(MalformedFrame):
            frames.decode(said(type="typing", room="x" * (room + 1)))
        with pytest.raises(MalformedFrame):
            frames.decode('{"type":"typing","room":"' + "é" * (FRAME_BYTES // 2) + '"}')

    @given(text=st.text() | st.binary())
    def test_any_text_or_bytes(self, text):
        with pytest.raises(MalformedFrame):
            frames.decode(text)

    @given(value=json_values | st.dictionaries(names, json_values | kinds | uuids | seqs))
    def test_any_json_is_a_frame_or_malformed_or_refused(self, value):
        try:
            frame = frames.decode(json.dumps(value))
        except MalformedFrame:
            return
        except Refused as refused:
            assert isinstance(refused.error, InvalidInput)
            # What is answered can be spelled, whatever was said.
            assert json.loads(frames.error(refused.error.problem(), refused.ref))["problem"]["status"] == 400
            return
        assert isinstance(frame, frames.ClientFrame)

    @given(kind=kinds, fields=st.dictionaries(names.filter(lambda name: name != "type"), json_values | uuids | seqs))
    def test_any_fields_of_a_known_type(self, kind, fields):
        self.test_any_json_is_a_frame_or_malformed_or_refused.hypothesis.inner_test(self, {**fields, "type": kind})


class TestWhatIsAnswered:
    @pytest.mark.parametrize(
        ("frame", "field"),
        [
            ({"type": "ack"}, "seq"),
            ({"type": "ack", "seq": -1}, "seq"),
            ({"type": "ack", "seq": 2**63}, "seq"),
            ({"type": "ack", "seq": 2**70}, "seq"),
            ({"type": "ack", "seq": True}, "seq"),
            ({"type": "ack", "seq": 1.0}, "seq"),
            ({"type": "ack", "seq": "1"}, "seq"),
            ({"type": "read", "room": ROOM}, "seq"),
            ({"type": "read", "seq": 1}, "room"),
            ({"type": "read", "room": ROOM.upper(), "seq": 1}, "room"),
            ({"type": "typing", "room": ROOM.replace("-", "")}, "room"),
            ({"type": "typing", "room": f"{ROOM}\n"}, "room"),
            ({"type": "typing", "room": None}, "room"),
            ({"type": "reject", "message": MESSAGE}, "later"),
            ({"type": "reject", "later": LATER}, "message"),
            ({"type": "send"}, "messages"),
            ({"type": "send", "messages": []}, "messages"),
            ({"type": "send", "messages": {}}, "messages"),
            ({"type": "send", "messages": [0] * (POST_MESSAGES + 1)}, "messages"),
            ({"type": "hello"}, "token"),
            ({"type": "hello", "token": 1}, "token"),
            ({"type": "hello", "token": "t", "client": "cast"}, "client"),
            ({"type": "hello", "token": "t", "client": {"name": 1}}, "client"),
            ({"type": "hello", "token": "t", "client": {"name": "\x00"}}, "client"),
            ({"type": "hello", "token": "t", "client": {"name": "x" * 65}}, "client"),
            ({"type": "hello", "token": "t", "client": {"platform": "x"}}, "client"),
        ],
    )
    def test_a_wrong_field_is_named(self, frame, field):
        found = refused(said(ref="17", **frame))

        assert found.ref == "17"
        assert (found.error.code, found.error.fields["field"]) == ("invalid", field)

    @pytest.mark.parametrize("kind", sorted(frames.FIELDS))
    def test_an_unknown_field_is_refused_in_every_frame(self, kind):
        found = refused(said(type=kind, ref="17", plaintext="hello"))

        assert found.ref == "17"
        assert (found.error.code, found.error.fields["field"]) == ("unknown_field", "plaintext")

    @pytest.mark.parametrize("ref", [17, ["17"], "x" * 65, False])
    def test_a_wrong_ref_is_not_repeated(self, ref):
        found = refused(said(type="ping", ref=ref))

        assert (found.ref, found.error.fields["field"]) == (None, "ref")

    def test_a_long_name_is_not_repeated_whole(self):
        assert refused(json.dumps({"type": "ping", "x" * 1_000: 1})).error.fields["field"] == "x" * 64


class TestWhatTheServerSays:
    def test_entries_stand_behind_their_numbers(self):
        (text,) = frames.entries([Entry(41, '"kind":"hidden"', None), Entry(42, '"kind":"hidden"', None)])

        wanted = [{"seq": 41, "kind": "hidden"}, {"seq": 42, "kind": "hidden"}]
        assert json.loads(text) == {"type": "entries", "entries": wanted}

    @given(sizes=st.lists(st.integers(1, 44_500), max_size=30))
    def test_frames_stay_within_the_limit_and_in_order(self, sizes):
        batch = [Entry(seq, f'"kind":"{"x" * size}"', None) for seq, size in enumerate(sizes, start=1)]

        texts = frames.entries(batch)

        assert all(len(text.encode()) <= FRAME_BYTES for text in texts)
        found = [entry for text in texts for entry in json.loads(text)["entries"]]
        assert found == [{"seq": entry.seq, "kind": "x" * sizes[entry.seq - 1]} for entry in batch]

    def test_many_accepted_sends_take_several_frames(self):
        answers = [json.dumps({"id": str(uuid.uuid4()), "filler": "x" * 250}) for _ in range(500)]

        texts = frames.accepted(answers)

        assert len(texts) > 1
        assert all(len(text.encode()) <= FRAME_BYTES for text in texts)
        found = [message for text in texts for message in json.loads(text)["messages"]]
        assert found == [json.loads(answer) for answer in answers]

    @given(ref=refs, detail=st.text(st.characters(codec="utf-8")))
    def test_a_refusal_repeats_the_ref(self, ref, detail):
        frame = json.loads(frames.error(InvalidInput(detail or "no", field="seq").problem(), ref))

        assert frame["type"] == "error"
        assert frame.get("ref") == ref
        assert frame["problem"]["code"] == "invalid"
