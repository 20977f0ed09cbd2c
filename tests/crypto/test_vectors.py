"""The primitives, as this client calls them, against vectors that others published (PyPI `cryptography-vectors`)."""

import json
import re
from importlib.metadata import version
from io import TextIOBase
from pathlib import Path

import cryptography_vectors
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from client.crypto import aead, kdf
from client.crypto.encoding import verify
from client.crypto.errors import BadSeal, BadSignature

HPKE_OF_OURS = {"mode": 0, "kem_id": 0x0020, "kdf_id": 0x0001, "aead_id": 0x0002}


def vectors(path):
    with cryptography_vectors.open_vector_file(path, "r") as file:
        assert isinstance(file, TextIOBase)
        return file.read()


def cases(text):
    """The blocks of `name = value` lines that begin with COUNT, with what is said in brackets above them."""
    above, case = {}, {}
    for line in text.splitlines():
        if bracket := re.fullmatch(r"\[(\w+) = (\d+)\]", line):
            above[bracket[1]] = int(bracket[2])
        elif line.lower().startswith("count"):
            if case:
                yield case
            case = dict(above)
        elif line == "FAIL":
            case["FAIL"] = True
        elif (pair := re.fullmatch(r"(\w+) *= ?(.*)", line)) and case is not None:
            case[pair[1]] = pair[2].strip()
    yield case


def test_the_vectors_are_those_of_the_library():
    assert version("cryptography-vectors") == version("cryptography")
    assert f"cryptography=={version('cryptography')}\n" in (Path(__file__).parents[2] / "requirements.txt").read_text()


def test_hpke_is_rfc_9180s():
    (vector,) = (
        one
        for one in json.loads(vectors("HPKE/test-vectors.json"))
        if all(one[name] == value for name, value in HPKE_OF_OURS.items())
    )
    hexed = {name: bytes.fromhex(value) for name, value in vector.items() if isinstance(value, str)}
    private = X25519PrivateKey.from_private_bytes(hexed["skRm"])
    assert private.public_key().public_bytes_raw() == hexed["pkRm"]

    # The RFC seals with an aad, which this protocol does not use: its key and nonce seal our 32 bytes instead.
    secret = bytes(range(32))
    sealed = hexed["enc"] + AESGCM(hexed["key"]).encrypt(hexed["base_nonce"], secret, b"")

    assert aead.unwrap(sealed, private, hexed["info"]) == secret
    first = vector["encryptions"][0]
    with_rfcs_aad = AESGCM(hexed["key"]).encrypt(
        hexed["base_nonce"], bytes.fromhex(first["pt"]), bytes.fromhex(first["aad"])
    )
    assert with_rfcs_aad.hex() == first["ct"]


def test_ed25519_is_the_authors():
    lines = vectors("asymmetric/Ed25519/sign.input").splitlines()
    assert len(lines) == 1024
    for line in lines:
        _, public, message, signed = (bytes.fromhex(part) for part in line.split(":")[:4])
        signature = signed[:64]
        verify(public, signature, message)
        with pytest.raises(BadSignature):
            verify(public, signature[:40] + bytes([signature[40] ^ 1]) + signature[41:], message)
        with pytest.raises(BadSignature):
            verify(public, signature, message + b"\0")


def test_aes_256_gcm_is_nists():
    opened = refused = 0
    for case in cases(vectors("ciphers/AES/GCM/gcmDecrypt256.rsp")):
        if (case["IVlen"], case["Taglen"]) != (96, 128):
            continue
        key, nonce, ct, aad, tag = (bytes.fromhex(case[name]) for name in ("Key", "IV", "CT", "AAD", "Tag"))
        if "FAIL" in case:
            with pytest.raises(BadSeal):
                aead.open(key, nonce + ct + tag, aad)
            refused += 1
        else:
            assert aead.open(key, nonce + ct + tag, aad) == bytes.fromhex(case["PT"])
            assert aead.seal_with(AESGCM(key), nonce, bytes.fromhex(case["PT"]), aad) == nonce + ct + tag
            opened += 1
    assert (opened, refused) == (184, 191)


def test_argon2id_is_rfc_9106s():
    checked = 0
    for case in cases(vectors("KDF/argon2id.txt")):
        if "secret" in case or "ad" in case:  # the protocol has neither
            continue
        strength = kdf.Strength(int(case["memcost"]), int(case["iter"]), int(case["lanes"]))
        secret, salt = bytes.fromhex(case["pass"]), bytes.fromhex(case["salt"])
        assert kdf.stretch(secret, salt, strength, int(case["length"])).hex() == case["output"]
        checked += 1
    assert checked >= 5


def test_hkdf_is_rfc_5869s():
    # Test case 3 is the one without a salt. It asks for 42 bytes; HKDF's output is a stream, and ours its first 32.
    third = list(cases(vectors("KDF/rfc-5869-HKDF-SHA256.txt")))[2]
    assert (third["salt"], third["info"]) == ("", "")

    assert aead.hkdf(bytes.fromhex(third["IKM"]), b"").hex() == third["OKM"][:64]
