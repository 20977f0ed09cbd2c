"""When a message is late: the rule by itself, for any two messages."""

from itertools import permutations
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from messages.late import Shown, is_late

ids = st.integers(0, 1).map(lambda number: UUID(int=number))
shown = st.builds(Shown, seq=st.integers(1, 6), room=ids, device=ids, sent_at=st.integers(0, 6))


@given(message=shown, later=shown)
def test_it_takes_another_of_the_same_device_and_room_shown_before_and_sent_after(message, later):
    proves = later.seq < message.seq and later.sent_at > message.sent_at
    same = (message.device, message.room) == (later.device, later.room)

    assert is_late(message, later) == (proves and same)


@given(message=shown, later=shown)
def test_of_two_messages_at_most_one_is_late(message, later):
    assert not (is_late(message, later) and is_late(later, message))


@given(mailbox=st.lists(shown, min_size=3, max_size=8))
def test_who_proves_a_proof_proves_what_it_proves(mailbox):
    for first, second, third in permutations(mailbox, 3):
        if is_late(first, second) and is_late(second, third):
            assert is_late(first, third)


@given(messages=st.lists(st.integers(0, 1000), max_size=8))
def test_what_is_stamped_after_the_last_and_arrives_in_order_is_never_late(messages):
    stamped, last = [], -1
    for now in messages:
        last = max(now, last + 1)
        stamped.append(last)
    mailbox = [Shown(seq, UUID(int=0), UUID(int=0), sent_at) for seq, sent_at in enumerate(stamped, 1)]

    assert not any(is_late(message, later) for message in mailbox for later in mailbox)
