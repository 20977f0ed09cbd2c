"""The rule for late messages (docs/protocol.md §3.3)."""

from hypothesis import given
from hypothesis import strategies as st

from client.protocol import late
from client.protocol.late import Marks
from tests.client.shapes import GARDEN, KITCHEN, LAPTOP, PHONE, message_entry

arrivals = st.lists(
    st.tuples(st.sampled_from([KITCHEN, GARDEN]), st.sampled_from([PHONE, LAPTOP]), st.integers(1, 8)), max_size=30
)


@given(arrivals)
def test_the_marks_say_what_the_definition_says(arrivals):
    entries = [message_entry(n, room=r, device=d, sent_at=t) for n, (r, d, t) in enumerate(arrivals, start=1)]
    marks: Marks = {}
    for entry in entries:
        earlier = [
            other for other in entries
            if other.seq < entry.seq and (other.room, other.device) == (entry.room, entry.device)
        ]  # fmt: skip

        proof = late.advance(marks, entry)

        assert (proof is not None) == any(other.sent_at > entry.sent_at for other in earlier)
        assert (proof is not None) == late.is_late(entry.sent_at, [other.sent_at for other in earlier])
        if proof is not None:
            # What the server will check: the named one is of the same device and room, came earlier, was sent later.
            (witness,) = [other for other in earlier if other.id == proof]
            assert witness.sent_at > entry.sent_at


def test_the_same_time_is_not_late():
    assert not late.is_late(5, [5])


def test_another_device_or_another_room_proves_nothing():
    marks: Marks = {}
    late.advance(marks, message_entry(1, sent_at=100))

    assert late.advance(marks, message_entry(2, sent_at=50, device=LAPTOP)) is None
    assert late.advance(marks, message_entry(3, sent_at=50, room=GARDEN)) is None
    assert late.advance(marks, message_entry(4, sent_at=50)) == "m1"
