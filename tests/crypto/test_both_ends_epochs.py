"""The server takes the epochs that this client makes, and refuses the forms that this client refuses."""

import json
from hashlib import sha256
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat import epoch_documents
from client.crypto import epochs
from client.crypto.encoding import b64
from client.crypto.epochs import RosterLine, open_wrap, read_roster, wrap_json
from client.crypto.messages import LONGEST, SHORTEST
from kernel import limits
from kernel.errors import DomainError
from kernel.sealed import WRAP, read_envelope
from tests.crypto.people import ROOM, an_epoch, person
from tests.crypto.test_epochs import MALFORMED, written

ALICE, BOB = person("alice"), person("bob")
DEVICE, PUBLIC = UUID(ALICE.device), ALICE.keys.devices[0].key


def test_an_epoch_is_taken_and_answered_as_it_was_made():
    made = an_epoch(ALICE, BOB)
    there = epoch_documents.read_new(json.loads(json.dumps(made.json(41))), device=DEVICE)
    record = epoch_documents.record_of(there.envelope, PUBLIC)

    assert there.members_version == 41
    assert (str(record.room), record.epoch, record.prev, str(record.creator)) == (ROOM, 1, b"", ALICE.user)
    assert record.roster_digest == there.roster_digest
    assert there.envelope.digest == made.record.digest
    # What members get of it.
    answered = epochs.read(
        there.envelope.json(), room=ROOM, epoch=1, creator=ALICE.user, device=ALICE.device, public=ALICE.public
    )
    place = [user for user, _, _ in there.roster].index(BOB.user) * epoch_documents.STRIDE
    wrap = there.wraps[place : place + WRAP]
    assert open_wrap(answered, wrap, BOB.user, BOB.encryption) == made.key
    epochs.check_roster(answered, read_roster(epoch_documents.roster_json(there.roster_text)))


lines = st.builds(RosterLine, st.uuids().map(str), st.binary(min_size=32, max_size=32), st.integers(1, 2**31 - 1))


@given(st.lists(lines, unique_by=lambda line: line.user, max_size=20))
def test_both_hash_a_roster_alike(roster):
    theirs = sorted((line.user, b64(line.identity), line.version) for line in roster)

    assert sha256(epoch_documents.roster_text(theirs).encode()).digest() == epochs.roster_digest(roster)


def test_old_wraps_for_somebody_who_came_are_taken():
    made = an_epoch(ALICE)
    wrap = epochs.wrap(made.key.secret, ROOM, 1, BOB.user, BOB.keys.encryption)
    user, found = epoch_documents.read_wraps(
        {"user": BOB.user, "wraps": [{"epoch": 1, **wrap_json(BOB.encryption.version, wrap)}]}
    )

    assert str(user) == BOB.user
    assert open_wrap(made.record, found[1].sealed, BOB.user, BOB.encryption) == made.key


@pytest.mark.parametrize("changes", MALFORMED, ids=repr)
def test_records_of_another_form_are_refused_by_both(changes):
    envelope = read_envelope(
        written(changes), "record", kind=epochs.KIND, keyid=ALICE.device, most=limits.EPOCH_RECORD_BYTES
    )

    with pytest.raises(DomainError):
        epoch_documents.record_of(envelope, PUBLIC)


def test_both_have_the_same_limits():
    assert limits.MEMBERS == epochs.MAX_MEMBERS
    assert (SHORTEST, LONGEST) == (156, 32_732)
