"""People, rooms and an intake in a database of the tests' own, and blocks as the connection service writes them."""

from uuid import UUID

import pytest
from django.db import connection, transaction

from kernel import ports
from kernel.ports import Barrier
from tests.delivery import depot
from tests.delivery.depot import Lane, direct_room, group, person


@pytest.fixture(autouse=True)
def _clean(depot):
    """Each test begins with nothing pending and nothing blocked."""
    with connection.cursor() as cursor:
        cursor.execute(
            "TRUNCATE delivery_pending, delivery_dead, delivery_blockcopy, delivery_held, delivery_syncreport"
        )
        cursor.execute("TRUNCATE delivery_abusealert CASCADE")


@pytest.fixture(scope="module")
def intake(depot):
    from tests.delivery.depot import intake

    with intake() as made:
        yield made


@pytest.fixture
def alice():
    return person("alice")


@pytest.fixture
def bob():
    return person("bob", devices=2)


@pytest.fixture
def carol():
    return person("carol")


@pytest.fixture
def room(alice, bob):
    return direct_room(alice, bob)


@pytest.fixture
def circle(alice, bob, carol):
    """A group of the three."""
    return group(carol, alice, bob)


@pytest.fixture
def says(intake):
    """`says(alice, message(room))`: sends by the person's first device; the ids."""
    lanes = {}

    def say(who, *drafts):
        lane = lanes.setdefault(who.id, Lane(intake, who.id, who.devices[0]))
        assert [answer.error for answer in lane.sends(*drafts)] == [None] * len(drafts)
        return [draft["id"] for draft in drafts]

    return say


def barrier(recipient, sender, **flags):
    return Barrier(UUID(recipient.id), UUID(sender.id), **flags)


def block(blocker, blocked, *, known_by_blocked=None, known_by_blocker=None):
    """As the connection service does it: one transaction, both directions."""
    put(
        barrier(blocker, blocked, everywhere=True, direct=True, known_version=known_by_blocked),
        barrier(blocked, blocker, direct=True, known_version=known_by_blocker),
    )


def unblock(blocker, blocked):
    put(barrier(blocker, blocked), barrier(blocked, blocker))


@transaction.atomic
def put(*barriers):
    with connection.cursor() as cursor:
        ports.blocks.put(cursor, barriers)


def reports(device, version, *, seconds_ago=0):
    """The device has said that it has stored this version."""
    with transaction.atomic(), connection.cursor() as cursor:
        ports.blocks.reported(cursor, device=UUID(device), version=version)
    depot.query(
        "UPDATE delivery_syncreport SET reported_at = reported_at - %s * interval '1 second' WHERE device_id = %s AND version = %s",
        seconds_ago, device, version,
    )  # fmt: skip
