"""Old encryption keys on pages of their own: the vault stays small, and history stays readable."""

import pytest

from client.crypto import vault
from client.crypto.archives import PAGE, archive, open_archive
from client.crypto.errors import BadEncoding, BadSeal
from client.crypto.kdf import FLOOR, Kdf
from client.crypto.keys import EncryptionKey
from tests.crypto.people import b64, flips, person, raw, seed

ALICE, MALLORY = person("alice"), person("mallory")
WRAP, RECOVERY = bytes(range(32)), bytes(range(2, 34))


def a_vault(keys):
    made = vault.new(ALICE.user, Kdf(*FLOOR, bytes(16)), WRAP, RECOVERY)
    secrets = made.secrets
    for version in range(2, keys + 1):
        secrets = secrets.with_key(EncryptionKey.of(version, seed(f"uek {version}")))
    return made.next(secrets)


def test_32_keys_stay_in_the_vault():
    opened = a_vault(PAGE)

    assert archive(opened) == (opened, None)


def test_with_the_33rd_the_oldest_32_go_to_the_first_page():
    opened = a_vault(PAGE + 1)
    kept, page = archive(opened)

    assert page.page == 1
    assert [key.version for key in kept.secrets.encryption_keys] == [33]
    assert kept.secrets.archives == 1
    assert open_archive(page.ct, ALICE.user, 1, opened.key) == opened.secrets.encryption_keys[:PAGE]
    # And the vault that is uploaded with it says so, to whoever opens it.
    read = vault.open_with_recovery_key(kept.json(), ALICE.user, RECOVERY)
    assert read.secrets.archives == 1
    assert read.secrets.newest == opened.secrets.newest
    assert (read.version, read.key) == (opened.version, opened.key)


def test_the_next_page_is_the_second():
    secrets = archive(a_vault(PAGE + 1))[0].secrets
    for version in range(34, 66):
        secrets = secrets.with_key(EncryptionKey.of(version, seed(f"uek {version}")))
    opened = a_vault(1).next(secrets)
    kept, page = archive(opened)

    assert page.page == 2
    assert open_archive(page.ct, ALICE.user, 2, opened.key) == secrets.encryption_keys[:PAGE]
    assert [key.version for key in kept.secrets.encryption_keys] == [65]
    assert page.json() == {"page": 2, "ct": page.ct}


def test_pages_are_of_one_user_one_number_and_one_key():
    opened = a_vault(PAGE + 1)
    ct = archive(opened)[1].ct

    for user, number, key in (
        (MALLORY.user, 1, opened.key),
        (ALICE.user, 2, opened.key),
        (ALICE.user, 1, bytes(32)),
    ):
        with pytest.raises(BadSeal):
            open_archive(ct, user, number, key)


def test_every_changed_byte_is_noticed():
    opened = a_vault(PAGE + 1)
    sealed = raw(archive(opened)[1].ct)

    for changed in (*flips(sealed), sealed[:-1], sealed + b"\0", b""):
        with pytest.raises(BadSeal):
            open_archive(b64(changed), ALICE.user, 1, opened.key)
    with pytest.raises(BadEncoding):
        open_archive(None, ALICE.user, 1, opened.key)
