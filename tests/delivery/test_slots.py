"""Which slot a recipient belongs to: part of the stored format."""

from collections import Counter
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from delivery.slots import SLOTS, slot_of, slots_of
from kernel.ids import uuid7

# Pending rows and the slot map hold these numbers: another answer would leave rows where nobody looks for their order.
GOLDEN = {
    "00000000-0000-0000-0000-000000000000": 21,
    "ffffffff-ffff-ffff-ffff-ffffffffffff": 26,
    "019ab0c4-0000-7000-8000-0000000000aa": 46,
    "019ab0c4-0000-7000-8000-0000000000bb": 28,
    "019ab0c4-7d3e-7aaa-8bbb-0123456789ab": 22,
}


def test_the_slots_of_known_ids_never_change():
    assert {id: slot_of(id) for id in GOLDEN} == GOLDEN


@given(id=st.uuids())
def test_an_id_and_its_text_have_one_slot(id):
    assert slot_of(id) == slot_of(str(id)) == slot_of(UUID(str(id)))
    assert 0 <= slot_of(id) < SLOTS


def test_users_who_come_one_after_the_other_are_spread_evenly():
    counts = Counter(slot_of(uuid7()) for _ in range(64_000))

    assert len(counts) == SLOTS
    assert 850 < min(counts.values()) and max(counts.values()) < 1_150


@given(recipients=st.lists(st.uuids().map(str), unique=True))
def test_grouping_keeps_everybody_once_and_in_order(recipients):
    grouped = slots_of(recipients)

    assert sorted(user for users in grouped.values() for user in users) == sorted(recipients)
    for slot, users in grouped.items():
        assert users == [user for user in recipients if slot_of(user) == slot]
