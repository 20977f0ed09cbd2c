"""Sealed messages are taken from listed devices under the newest epoch, as long as that is not outdated; and nothing else is."""

from datetime import timedelta
from uuid import UUID

import pytest
from django.db import transaction
from django.utils import timezone

from accounts.models import Device
from chat import rooms
from chat.models import Membership, Room
from messages.models import Message
from tests.delivery import depot
from tests.delivery.depot import Lane, direct_room, group, message, person

pytestmark = pytest.mark.usefixtures("depot")


@pytest.fixture
def intake():
    with depot.intake() as made:
        yield made


@pytest.fixture
def alice():
    return listed(person("alice", devices=2))


@pytest.fixture
def bob():
    return listed(person("bob"))


@pytest.fixture
def room(alice, bob):
    return with_epoch(direct_room(alice, bob), 3)


@pytest.fixture
def lane(intake, alice):
    return Lane(intake, alice.id, alice.devices[0])


def listed(who):
    Device.objects.filter(id__in=who.devices).update(is_listed=True)
    return who


def with_epoch(room, epoch, **state):
    Room.objects.filter(id=room).update(epoch=epoch, **state)
    return room


def sealed(room, epoch):
    return message(room, bytes(348), alg="chat.e2ee.v1", epoch=epoch)


def outcome(lane, room, epoch):
    draft = sealed(room, epoch)
    (answer,) = lane.sends(draft)
    assert Message.objects.filter(id=draft["id"]).exists() == (answer.error is None)
    return answer.error and (
        answer.error.code,
        *[answer.error.fields.get(name) for name in ("epoch", "stale", "reasons")],
    )


def test_the_newest_epoch_and_no_other_is_taken(lane, room):
    assert outcome(lane, room, 3) is None
    for epoch in (0, 1, 2, 4):
        assert outcome(lane, room, epoch) == ("epoch_stale", 3, False, [])


def test_a_room_without_an_epoch_needs_one_first(lane, alice, bob):
    room = direct_room(alice, listed(person("carol")))

    assert outcome(lane, room, 0) == ("epoch_stale", 0, False, [])
    assert outcome(lane, room, 1) == ("epoch_stale", 0, False, [])


@pytest.mark.parametrize(
    ("bits", "reasons"), [(1, ["left"]), (2, ["keys"]), (4, ["joined"]), (7, ["left", "keys", "joined"])]
)
def test_an_outdated_epoch_is_refused_with_the_reasons(lane, room, bits, reasons):
    assert outcome(lane, room, 3) is None
    with_epoch(room, 3, stale=bits)

    assert outcome(lane, room, 3) == ("epoch_stale", 3, True, reasons)


def test_after_joins_the_epoch_before_is_taken_for_a_moment(lane, room):
    with_epoch(room, 4, grace_until=timezone.now() + timedelta(seconds=30))
    assert [outcome(lane, room, epoch) for epoch in (4, 3)] == [None, None]
    assert outcome(lane, room, 2)[0] == "epoch_stale"

    with_epoch(room, 4, stale=Room.Stale.LEFT)
    assert [outcome(lane, room, epoch)[0] for epoch in (4, 3)] == ["epoch_stale"] * 2

    with_epoch(room, 4, stale=0, grace_until=timezone.now())
    assert outcome(lane, room, 3)[0] == "epoch_stale"


def test_the_moment_is_not_for_who_was_refused_before(intake, lane, alice, room):
    """What was refused is sealed anew and comes later: nothing of the same lane may overtake it under the old epoch."""
    with_epoch(room, 3, stale=Room.Stale.JOINED)
    assert outcome(lane, room, 3)[0] == "epoch_stale"
    with_epoch(room, 4, stale=0, grace_until=timezone.now() + timedelta(seconds=30))

    assert outcome(lane, room, 3)[0] == "epoch_stale"
    assert outcome(lane, room, 4) is None
    assert outcome(Lane(intake, alice.id, alice.devices[1]), room, 3) is None


def test_before_the_first_epoch_there_is_none_to_be_graceful_about(lane, room):
    with_epoch(room, 1, grace_until=timezone.now() + timedelta(seconds=30))

    assert outcome(lane, room, 0)[0] == "epoch_stale"


def test_a_device_that_the_key_document_does_not_list_sends_nothing(intake, lane, alice, room):
    Device.objects.filter(id=alice.devices[1]).update(is_listed=False)

    assert outcome(Lane(intake, alice.id, alice.devices[1]), room, 3)[0] == "device_not_listed"
    assert outcome(lane, room, 3) is None


def test_a_removal_outdates_the_epoch_before_it_is_answered(lane, alice, bob):
    room = with_epoch(group(alice, bob, listed(person("carol"))), 1)
    assert outcome(lane, room, 1) is None

    rooms.remove_member(UUID(alice.id), UUID(room), UUID(bob.id))
    assert outcome(lane, room, 1) == ("epoch_stale", 1, True, ["left"])


def test_a_join_outdates_it_only_where_what_was_before_is_not_for_who_comes(lane, alice, bob):
    carol = person("carol")
    for history, expected in ((Room.History.ALL, None), (Room.History.JOINED, ("epoch_stale", 1, True, ["joined"]))):
        room = with_epoch(group(alice, bob), 1, history=history)
        rooms.add_members(UUID(alice.id), UUID(room), [UUID(carol.id)])

        assert outcome(lane, room, 1) == expected


def test_a_new_key_outdates_the_epochs_of_all_rooms_of_its_user(lane, alice, bob):
    rooms_of_bob = [with_epoch(group(alice, bob), 1), with_epoch(group(alice, bob, person("carol")), 2)]
    other = with_epoch(group(alice, person("dave")), 1)
    with transaction.atomic():
        rooms.user_rekeyed(UUID(bob.id))

    assert [outcome(lane, room, epoch) for room, epoch in zip(rooms_of_bob, (1, 2), strict=True)] == [
        ("epoch_stale", 1, True, ["keys"]), ("epoch_stale", 2, True, ["keys"]),
    ]  # fmt: skip
    assert outcome(lane, other, 1) is None


def test_a_send_that_is_stored_is_answered_as_before_whatever_the_epoch_is_by_now(lane, room):
    draft = sealed(room, 3)
    (first,) = lane.sends(draft)
    with_epoch(room, 5, stale=Room.Stale.LEFT)
    Membership.objects.filter(room=room).update(role="member")

    (again,) = lane.sends(draft)
    assert again.text == first.text
