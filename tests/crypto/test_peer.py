"""Another implementation of HPKE (PyPI `pyhpke`, not built on the one that this client uses) opens our wraps, and we its."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyhpke import AEADId, CipherSuite, KDFId, KEMId, OpenError

from client.crypto import epochs
from client.crypto.errors import BadWrap
from tests.crypto.people import ROOM, person

BOB = person("bob")
SUITE = CipherSuite.new(KEMId.DHKEM_X25519_HKDF_SHA256, KDFId.HKDF_SHA256, AEADId.AES256_GCM)
PRIVATE = SUITE.kem.deserialize_private_key(BOB.encryption.private)
PUBLIC = SUITE.kem.deserialize_public_key(BOB.encryption.public)

secrets, numbers = st.binary(min_size=32, max_size=32), st.integers(1, 2**31 - 1)


def info(epoch):
    return f"chat.e2ee.v1\nwrap\n{ROOM}\n{epoch}\n{BOB.user}\n1".encode()


@given(secrets, numbers)
@settings(deadline=None)
def test_the_peer_opens_our_wraps(secret, epoch):
    sealed = epochs.wrap(secret, ROOM, epoch, BOB.user, BOB.keys.encryption)

    assert SUITE.create_recipient_context(sealed[:32], PRIVATE, info=info(epoch)).open(sealed[32:]) == secret
    with pytest.raises(OpenError):
        SUITE.create_recipient_context(sealed[:32], PRIVATE, info=info(epoch) + b"0").open(sealed[32:])


@given(secrets, numbers)
@settings(deadline=None)
def test_we_open_the_peers_wraps(secret, epoch):
    encapsulated, sender = SUITE.create_sender_context(PUBLIC, info=info(epoch))
    sealed = encapsulated + sender.seal(secret)

    assert epochs.unwrap(sealed, ROOM, epoch, BOB.user, BOB.encryption) == secret
    other = epoch - 1 or 2
    with pytest.raises(BadWrap):
        epochs.unwrap(sealed, ROOM, other, BOB.user, BOB.encryption)
