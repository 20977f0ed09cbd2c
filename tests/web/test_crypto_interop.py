"""Python's cryptography and the web client's: what one makes the other opens, and both read the vectors of others alike."""

import itertools
import json

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from client.crypto import boxes, encoding, epochs, kdf, messages, recovery, safety, userkeys, vault
from client.crypto.archives import archive, open_archive
from client.crypto.encoding import b64, unb64
from client.crypto.errors import BadEncoding
from client.crypto.keys import EncryptionKey
from client.crypto.messages import Payload
from client.crypto.pins import Pin, check_own, follow
from client.crypto.userkeys import DeviceKey
from tests.crypto.people import NOW_S, ROOM, a_device_key, person, seed
from tests.crypto.test_vectors import HPKE_OF_OURS, cases, vectors
from tests.web.peer import Peer, RefusedByPeer

ALICE, BOB = person("alice"), person("bob")
PASSWORD = "seven geese crossed ﬁve Å harbours 🪿"
BODIES = ["hello", "", 'héllo\n\0 "quoted" \\ 🪿 \u2028', "a" * 32_000]
SENT = [
    {"id": f"0192f1aa-0000-7000-8000-{number:012x}", "sent_at": 1_763_800_002_000 + number, "body": body}
    for number, body in enumerate(BODIES)
]


@pytest.fixture(scope="module")
def peer(tmp_path_factory):
    peer = Peer("crypto/peer.ts", tmp_path_factory.mktemp("peer"))
    yield peer
    peer.close()


@pytest.fixture(scope="module")
def world():
    """All that Alice's client writes: 34 encryption keys, so that there is an archive."""
    parameters = kdf.Kdf.fresh(kdf.FLOOR)
    password, key = kdf.split(PASSWORD, parameters), recovery.new()
    opened = vault.new(ALICE.user, parameters, password.wrap, key)
    identity = opened.secrets.identity
    listed = DeviceKey(
        ALICE.device,
        ALICE.signer.public_key().public_bytes_raw(),
        NOW_S,
        None,
        ALICE.box.public_key().public_bytes_raw(),
    )
    documents = [
        userkeys.first(ALICE.user, opened.secrets.identity_public, opened.secrets.newest.announced, listed).sign(
            identity
        )
    ]
    laptop = a_device_key("laptop")
    documents.append(documents[-1].next().with_device(laptop).sign(identity))
    documents.append(documents[-1].next().with_revoked(laptop.id, NOW_S + 1).sign(identity))
    for version in range(2, 35):
        fresh = EncryptionKey.fresh(version)
        opened = opened.next(opened.secrets.with_key(fresh))
        content = documents[-1].next(prune=version == 9).with_encryption_key(fresh.announced)
        documents.append(content.sign(identity))
    kept, page = archive(opened)
    made = epochs.create(
        ROOM, 3, documents[0].digest, ALICE.user, ALICE.device, ALICE.signer, [documents[-1], BOB.keys], NOW_S
    )
    sealed = [
        messages.seal(made.key, ALICE.user, ALICE.device, ALICE.signer, Payload(said["id"], "text", said["body"], said["sent_at"]))
        for said in SENT
    ]  # fmt: skip
    box = boxes.seal_box(kept.secrets.newest, ALICE.user, ALICE.device, listed.box)
    told = {
        "user": ALICE.user, "room": ROOM, "epoch": 3, "password": PASSWORD, "kdf": parameters.json(),
        "documents": [document.json() for document in documents], "vault": kept.json(), "archive": page.json(),
        "recovery_key": recovery.to_text(key), "box": b64(box), "box_key": b64(ALICE.box.private_bytes_raw()),
        "record": made.record.json(), "roster": made.json(1)["roster"], "wrap": b64(made.wraps[ALICE.user]),
        "messages": [
            {**said, "ciphertext": b64(ciphertext)} for said, ciphertext in zip(SENT, sealed, strict=True)
        ],
    }  # fmt: skip
    expected = {
        "auth": password.auth, "recovery_auth": recovery.auth_of(key), "identity": b64(identity.private_bytes_raw()),
        "encryption": [b64(one.private) for one in opened.secrets.encryption_keys],
        "box": b64(kept.secrets.newest.private), "epoch_key": b64(made.key.secret),
        "digest": b64(documents[-1].digest), "devices": [[one.id, one.since, one.until] for one in documents[-1].devices],
        "bodies": BODIES, "qr": safety.qr_text(ALICE.user, documents[-1].identity),
    }  # fmt: skip
    return told, expected


def test_what_python_makes_the_browser_opens(peer, world):
    told, expected = world
    assert peer.ask("open", **told) == expected


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"room": "0192f1aa-0000-7000-8000-0000000000fe"}, "bad_epoch"),
        ({"epoch": 4}, "bad_epoch"),
        ({"user": BOB.user}, "wrong_user"),
        ({"password": "seven geese"}, "wrong_secret"),
        ({"recovery_key": recovery.to_text(bytes(32))}, "wrong_secret"),
        ({"roster": []}, "bad_epoch"),
    ],
)
def test_and_nothing_else_than_what_was_made(peer, world, change, code):
    told, _ = world
    with pytest.raises(RefusedByPeer) as refused:
        peer.ask("open", **told | change)
    assert refused.value.code == code


def test_a_message_that_was_moved_is_not_opened(peer, world):
    told, _ = world
    first, second, *_ = told["messages"]
    with pytest.raises(RefusedByPeer) as refused:
        peer.ask("open", **told | {"messages": [first | {"ciphertext": second["ciphertext"]}]})
    assert refused.value.code == "bad_message"


def test_what_the_browser_makes_python_opens(peer):
    made = peer.ask("make", user=ALICE.user, room=ROOM, device=ALICE.device, password=PASSWORD, messages=SENT)

    documents = [userkeys.read(envelope, ALICE.user) for envelope in made["documents"]]
    for before, after in itertools.pairwise(documents):
        follow(Pin.of(before), after, before)
    newest = documents[-1]
    password = kdf.split(PASSWORD, kdf.Kdf.read(made["kdf"]))
    assert password.auth == made["auth"]
    opened = vault.open_with_password(made["vault"], ALICE.user, password.wrap)
    check_own(newest, opened.secrets)
    key = recovery.from_text(made["recovery_key"])
    assert recovery.auth_of(key) == made["recovery_auth"]
    assert vault.open_with_recovery_key(made["vault"], ALICE.user, key).secrets.newest == opened.secrets.newest
    old = open_archive(made["archive"]["ct"], ALICE.user, 1, opened.key)
    held = [*old, *opened.secrets.encryption_keys]
    assert [one.version for one in held] == list(range(1, 35))
    box_key = X25519PrivateKey.from_private_bytes(unb64(made["box_key"]))
    box = boxes.open_box(unb64(made["box"]), ALICE.user, ALICE.device, newest.encryption, box_key)
    assert box == opened.secrets.newest

    (device,) = newest.devices
    record = epochs.read(
        made["record"], room=ROOM, epoch=3, creator=ALICE.user, device=ALICE.device, public=device.public
    )
    epochs.check_roster(record, epochs.read_roster(made["roster"]))
    epoch_key = epochs.open_wrap(record, unb64(made["wrap"]), ALICE.user, box)
    for said, ciphertext in zip(SENT, made["messages"], strict=True):
        text = messages.open(
            epoch_key,
            ALICE.user,
            ALICE.device,
            device.public,
            unb64(ciphertext),
            id=said["id"],
            sent_at=said["sent_at"],
        )
        assert text.body == said["body"]


def test_safety_numbers_and_signed_bytes_are_the_same(peer):
    a, b = (ALICE.user, ALICE.keys.identity), (BOB.user, BOB.keys.identity)
    assert peer.ask("safety", a=[a[0], b64(a[1])], b=[b[0], b64(b[1])]) == safety.safety_number(*a, *b)
    assert unb64(peer.ask("pae", kind="é", body="ü")) == encoding.pae("é", "ü".encode())


# JSON: two readers of one document must see the same, or both nothing.

EDITS = st.sampled_from([*'"\\{}[],:0- \n\x00é\ufeff', "1.0", "e5", "\\u0041", "\\ud800", "null"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@st.composite
def texts(draw):
    text = draw(st.builds(json.dumps, VALUES, ensure_ascii=st.booleans()))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(text)))
        text = text[:at] + draw(EDITS) + text[at + draw(st.integers(0, 2)) :]
    return text.encode(errors="surrogatepass")


def as_read(raw):
    try:
        return {"read": whole(encoding.load(raw))}
    except BadEncoding:
        return {"refused": "bad_encoding"}


def whole(value):
    """Numbers that are not written as whole ones are nothing to either client; beyond 2^53 a browser has no exact ones."""
    match value:
        case float():
            return "not whole"
        case bool() | None | str():
            return value
        case int():
            return float(value)
        case list():
            return [whole(one) for one in value]
        case dict():
            return {name: whole(one) for name, one in value.items()}


@given(st.lists(texts(), min_size=50, max_size=50))
@settings(deadline=None, max_examples=40, suppress_health_check=list(HealthCheck))
def test_both_read_json_alike(peer, some):
    answers = peer.ask("json", texts=[b64(raw) for raw in some])
    for raw, answer in zip(some, answers, strict=True):
        assert whole(answer) == as_read(raw), raw


# The primitives of the web client against vectors that others published (PyPI `cryptography-vectors`).


def test_hpke_is_rfc_9180s(peer):
    (vector,) = (
        one
        for one in json.loads(vectors("HPKE/test-vectors.json"))
        if all(one[name] == value for name, value in HPKE_OF_OURS.items())
    )
    hexed = {name: bytes.fromhex(value) for name, value in vector.items() if isinstance(value, str)}
    # The RFC seals with an aad, which this protocol does not use: its key and nonce seal our 32 bytes instead.
    sealed = hexed["enc"] + AESGCM(hexed["key"]).encrypt(hexed["base_nonce"], seed("secret"), b"")
    answer = peer.ask("hpke", private=b64(hexed["skRm"]), sealed=b64(sealed), info=b64(hexed["info"]))
    assert answer == {"public": b64(hexed["pkRm"]), "opened": b64(seed("secret"))}


def test_ed25519_is_the_authors(peer):
    good, bad = [], []
    for line in vectors("asymmetric/Ed25519/sign.input").splitlines():
        _, public, message, signed = (bytes.fromhex(part) for part in line.split(":")[:4])
        signature = signed[:64]
        changed = signature[:40] + bytes([signature[40] ^ 1]) + signature[41:]
        good.append([b64(public), b64(signature), b64(message)])
        bad += [[b64(public), b64(changed), b64(message)], [b64(public), b64(signature), b64(message + b"\0")]]
    assert len(good) == 1024
    assert peer.ask("ed25519", cases=good) == ["ok"] * len(good)
    assert peer.ask("ed25519", cases=bad) == [{"refused": "bad_signature"}] * len(bad)


def test_aes_256_gcm_is_nists(peer):
    asked, expected = [], []
    for case in cases(vectors("ciphers/AES/GCM/gcmDecrypt256.rsp")):
        if (case["IVlen"], case["Taglen"]) == (96, 128):
            key, nonce, ct, aad, tag = (bytes.fromhex(case[name]) for name in ("Key", "IV", "CT", "AAD", "Tag"))
            asked.append([b64(key), b64(nonce + ct + tag), b64(aad)])
            expected.append({"refused": "bad_seal"} if "FAIL" in case else b64(bytes.fromhex(case["PT"])))
    assert len(asked) == 184 + 191
    assert peer.ask("gcm", cases=asked) == expected


def test_argon2id_is_rfc_9106s(peer):
    checked = 0
    for case in cases(vectors("KDF/argon2id.txt")):
        if "secret" in case or "ad" in case:  # the protocol has neither
            continue
        answer = peer.ask(
            "argon2id", secret=b64(bytes.fromhex(case["pass"])), salt=b64(bytes.fromhex(case["salt"])),
            m=int(case["memcost"]), t=int(case["iter"]), p=int(case["lanes"]), length=int(case["length"]),
        )  # fmt: skip
        assert unb64(answer).hex() == case["output"]
        checked += 1
    assert checked >= 5


def test_argon2id_with_standard_parameters_is_pythons(peer):
    memory, passes, lanes = kdf.STANDARD
    ours = kdf.stretch(b"seven geese", bytes(16), kdf.STANDARD)
    theirs = peer.ask(
        "argon2id", secret=b64(b"seven geese"), salt=b64(bytes(16)), m=memory, t=passes, p=lanes, length=32
    )
    assert unb64(theirs) == ours


def test_hkdf_is_rfc_5869s(peer):
    third = list(cases(vectors("KDF/rfc-5869-HKDF-SHA256.txt")))[2]
    assert unb64(peer.ask("hkdf", key=b64(bytes.fromhex(third["IKM"])), info="")).hex() == third["OKM"][:64]
