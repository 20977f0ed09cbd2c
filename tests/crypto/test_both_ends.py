"""The server refuses first what contacts would refuse, and takes what this client writes: two readings of one protocol."""

import json
from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accounts import documents, kdf, vaults
from client.crypto import archives, vault
from client.crypto.encoding import b64, ctx, pae, unb64
from client.crypto.errors import CryptoError
from client.crypto.kdf import FLOOR, Kdf
from client.crypto.keys import EncryptionKey
from client.crypto.pins import Pin, check_change, follow
from client.crypto.userkeys import Pruned, read
from kernel import sealed
from kernel.errors import DomainError
from tests.crypto.people import NOW_S, a_device_key, person, seed
from tests.crypto.test_userkeys import MALFORMED, written

ALICE, MALLORY = person("alice"), person("mallory")
USER, PHONE = UUID(ALICE.user), UUID(ALICE.device)
NAMES = ("laptop", "tablet", "watch", "fridge")


def travelled(value):
    return json.loads(json.dumps(value))


def at_the_server(keys):
    return documents.read(travelled(keys.json()), user=USER)


def live_at_the_server(*contents):
    return {UUID(device.id) for content in contents for device in content.live}


def test_a_first_document_is_taken():
    documents.check_first(at_the_server(ALICE.keys), device=PHONE, live={PHONE})


def step(content, choice, name, version):
    device = content.device(a_device_key(name).id)
    match choice:
        case "add" if device is None:
            return content.with_device(a_device_key(name))
        case "revoke" if device is not None and device.until is None:
            return content.with_revoked(device.id, NOW_S + version)
        case "rotate":
            return content.with_encryption_key(EncryptionKey.of(version, seed(f"uek {version}")).announced)
        case _:
            return content


steps = st.lists(
    st.tuples(st.sampled_from(["add", "revoke", "rotate", "prune", "nothing"]), st.sampled_from(NAMES)), max_size=12
)


@given(steps)
@settings(deadline=None, max_examples=50)
def test_whatever_a_user_does_the_server_and_the_contacts_follow(done):
    keys, pin = ALICE.keys, Pin.of(ALICE.keys)
    for choice, name in done:
        content = step(keys.next(prune=choice == "prune"), choice, name, keys.encryption.version + 1)
        newer = content.sign(ALICE.identity)

        old, new = at_the_server(keys), at_the_server(newer)
        documents.check_follows(old, new, device=PHONE, live=live_at_the_server(keys, newer))
        pin = follow(pin, read(travelled(newer.json()), ALICE.user), keys)
        keys = newer


A_STEP_BEFORE = (
    ALICE.keys.next().with_device(a_device_key("laptop")).with_device(a_device_key("tablet")).sign(ALICE.identity)
)
BEFORE = A_STEP_BEFORE.next().with_revoked(a_device_key("tablet").id, NOW_S + 1).sign(ALICE.identity)
KEYS = st.sampled_from([BEFORE.encryption, replace(BEFORE.encryption, version=2), *(
    EncryptionKey.of(version, seed("another")).announced for version in (1, 2, 3)
)])  # fmt: skip
DEVICES = st.lists(
    st.sampled_from([
        *BEFORE.devices,
        a_device_key("watch"),
        replace(BEFORE.devices[1], until=NOW_S),
        replace(BEFORE.devices[2], until=None),
        replace(BEFORE.devices[2], until=NOW_S + 2),
        replace(BEFORE.devices[1], box=None),
        replace(BEFORE.devices[1], key=MALLORY.keys.devices[0].key),
    ]),
    unique_by=lambda device: device.id,
    max_size=4,
).map(lambda others: (BEFORE.devices[0], *(one for one in others if one.id != ALICE.device)))  # fmt: skip
PLACES = st.sampled_from([None, Pruned(BEFORE.seq, BEFORE.digest), Pruned(1, ALICE.keys.digest)])


@given(KEYS, DEVICES, PLACES, st.sampled_from([BEFORE.digest, ALICE.keys.digest]), st.integers(4, 5))
@settings(deadline=None, max_examples=300)
def test_what_contacts_refuse_the_server_refuses_first(encryption, devices, pruned, prev, seq):
    content = replace(BEFORE.next(), seq=seq, prev=prev, encryption=encryption, devices=devices, pruned=pruned).sign(
        ALICE.identity
    )
    try:
        check_change(BEFORE, content)
    except CryptoError:
        with pytest.raises(DomainError):
            documents.check_follows(
                at_the_server(BEFORE), at_the_server(content), device=PHONE, live=live_at_the_server(BEFORE, content)
            )


@pytest.mark.parametrize("changes", MALFORMED, ids=repr)
def test_documents_of_another_form_are_refused_by_both(changes):
    with pytest.raises(DomainError):
        documents.check_first(documents.read(written(**changes), user=USER), device=PHONE, live={PHONE})


def test_a_vault_and_its_archive_are_taken():
    parameters = Kdf.fresh()
    made = vault.new(ALICE.user, parameters, bytes(32), bytes(range(32)))
    read_there = vaults.read(travelled(made.json()))

    assert (read_there.version, read_there.kdf) == (1, parameters.json())
    # As it is stored and answered.
    opened = vault.open_with_password(json.loads(read_there.sealed), ALICE.user, bytes(32))
    assert opened.key == made.key

    secrets = made.secrets
    for version in range(2, 34):
        secrets = secrets.with_key(EncryptionKey.fresh(version))
    full = vaults.read(travelled(made.next(secrets).json()))
    assert len(full.sealed) < 16 * 1024
    kept, page = archives.archive(made.next(secrets))
    there = vaults.read_page(travelled(page.json()))
    assert there.number == 1
    assert len(archives.open_archive(b64(there.sealed), ALICE.user, there.number, kept.key)) == 32


numbers = st.integers(-1, 2) | st.sampled_from([19_455, 19_456, 1_048_576, 1_048_577, 10, 11, 16, 17])


@given(numbers, numbers, numbers)
def test_both_have_the_same_floor_and_ceiling(memory, passes, lanes):
    value = {"alg": "argon2id", "m": memory, "t": passes, "p": lanes, "salt": b64(bytes(16))}
    try:
        Kdf.read(value)
    except CryptoError:
        with pytest.raises(DomainError):
            kdf.read(value, "kdf")
    else:
        assert kdf.read(value, "kdf") == value


def test_made_up_parameters_are_ones_that_clients_take():
    assert Kdf.read(kdf.made_up("nobody")).memory_kib > FLOOR.memory_kib


@given(st.text(alphabet="AZaz09-_=+/ ", max_size=8))
def test_both_read_base64_alike(text):
    try:
        expected = unb64(text)
    except CryptoError:
        with pytest.raises(DomainError):
            sealed.unb64(text, "field")
    else:
        assert sealed.unb64(text, "field") == expected


@given(st.binary(max_size=40))
def test_both_sign_and_name_the_same_bytes(body):
    assert sealed.pae("a/kind", body) == pae("a/kind", body)
    assert sealed.ctx("msg", 1, "a-b") == ctx("msg", 1, "a-b")
    assert sealed.b64(body) == b64(body)
