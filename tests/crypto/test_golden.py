"""One epoch with one message, byte for byte. Other implementations read and write the same: do not change these values."""

from client.crypto import epochs, messages
from client.crypto.encoding import Signed, b64, pae, unb64
from client.crypto.epochs import RosterLine
from client.crypto.keys import EncryptionKey
from client.crypto.messages import EpochKey, Payload
from client.crypto.safety import safety_number
from tests.crypto.people import NOW_S, ROOM, person, raw, seed
from tests.crypto.people import b64 as encoded

DEVICE = "0192f1aa-0000-7000-8000-0000000000d1"
UIK_ALICE = "tRKD77wO2HNC4riF3MQ1nU73Ydjo4zmM1pZZWVUR5-I"
DSK_PUBLIC = "dIZwCGorp8dkXbFKwjZFamG51GEdrwGYwtOeyay1wc0"
UEK_BOB = "G2tN7dyyfYYh6UUh0RRqE8uFiw-PW_2hRLfUJdbybAw"
RECORD = (
    '{"v":1,"room":"0192f1aa-0000-7000-8000-0000000000ff","epoch":1,"prev":"",'
    '"creator":"0192f1aa-0000-7000-8000-00000000000a","device":"0192f1aa-0000-7000-8000-0000000000d1",'
    '"roster":"UcIysG76qnmk4d4fEcXQDOQYD6fFhkx9sYL6wCiI574","commit":"G17bHo_OCVLGElptlOUOB6ydRhGKsvDRteNiqjYZsPg",'
    '"ts":1763800001}'
)
SIGNATURE = "Mbr68lfQv0kBufBjgjOMl34_uZjykPMF58jy6MO-k4oTPD20muamSDyo8tC_FoBFCzUzKlownlywpsay90eWAA"
WRAP_FOR_BOB = (
    "JR1fus4QBJoQSLv15kMoTZgjLoYv734FFV94jn29ZECeTyMBoHhhx3BlDb3N0Oee0LTy7OtFlL5Za4xu2X8njJUWmNiTCNH-ZpaeQw45zNU"
)
CIPHERTEXT = (
    "eDd7UldXtJRCf4kB3ofQwyzmAgeZLR3Q08FQFR4zQ1JcouMyCKHuqPrlg5p1WbZNhmYikfDiQpV-4Ho0-wudOmTUFsAQTSomgXA_ty2NWHE8"
    "MoiSouYRGDUNm5uo4nU3M8xV97P6irpznODy9p6yI1cfsr-aVghuC5eLEPuwHtsk40PlmUTPl88pWMCVl5SjUEPufjANuvn1w8pPnArhLFYh"
    "vA1E66xRluUTyXs-n0VcLe_UCI-lB7s-jPQTuaxrwEpQAa8ASE7TNxznblUS4XLccc-16ck9PhELbA"
)
PLAINTEXT = '{"v":1,"id":"0192f1aa-0000-7000-8000-000000000001","type":"text","body":"héllo","ts":1763800002000}'
SAFETY_NUMBER = "138165577109426237823696364927244571293550891250521743113780"

ALICE, BOB = person("alice"), person("bob")
PAYLOAD = Payload("0192f1aa-0000-7000-8000-000000000001", "text", "héllo", 1_763_800_002_000)
SECRET = seed("epoch key")


def record_envelope():
    return {
        "payloadType": "chat.e2ee.v1.epoch",
        "payload": encoded(RECORD.encode()),
        "signatures": [{"keyid": DEVICE, "sig": SIGNATURE}],
    }


def read_record():
    return epochs.read(
        record_envelope(), room=ROOM, epoch=1, creator=ALICE.user, device=DEVICE, public=unb64(DSK_PUBLIC)
    )


def test_the_seeds_give_these_keys():
    assert b64(ALICE.keys.identity) == UIK_ALICE
    assert b64(ALICE.signer.public_key().public_bytes_raw()) == DSK_PUBLIC
    assert b64(EncryptionKey.of(1, seed("uek bob")).public) == UEK_BOB


def test_the_record_is_read_and_written():
    record = read_record()

    assert record.ts == NOW_S
    assert record.json() == record_envelope()
    assert epochs.roster_digest([RosterLine.of(BOB.keys), RosterLine.of(ALICE.keys)]) == record.roster_digest
    assert epochs.commitment(SECRET, ROOM, 1) == record.commitment
    # Ed25519 is deterministic: signing again gives the same bytes.
    assert b64(ALICE.signer.sign(pae("chat.e2ee.v1.epoch", RECORD.encode()))) == SIGNATURE


def test_a_record_that_is_created_is_written_in_the_same_way(monkeypatch):
    monkeypatch.setattr(epochs.os, "urandom", lambda length: SECRET[:length])

    made = epochs.create(ROOM, 1, b"", ALICE.user, DEVICE, ALICE.signer, [ALICE.keys, BOB.keys], NOW_S)

    assert made.record.signed == Signed("chat.e2ee.v1.epoch", RECORD.encode(), raw(SIGNATURE))


def test_the_wrap_opens():
    key = epochs.open_wrap(read_record(), raw(WRAP_FOR_BOB), BOB.user, BOB.encryption)

    assert key.secret == SECRET


def test_the_message_is_read_and_written():
    key = EpochKey(ROOM, 1, SECRET)

    opened = messages.open(
        key, ALICE.user, DEVICE, unb64(DSK_PUBLIC), raw(CIPHERTEXT), id=PAYLOAD.id, sent_at=PAYLOAD.ts
    )
    assert opened == PAYLOAD
    assert messages.encode(PAYLOAD) == PLAINTEXT.encode()
    lane = key.lane(ALICE.user, DEVICE)
    assert b64(messages._seal(lane, ALICE.signer, PLAINTEXT.encode(), seed("nonce")[:12])) == CIPHERTEXT


def test_the_safety_number_is_the_same():
    assert safety_number(ALICE.user, ALICE.keys.identity, BOB.user, BOB.keys.identity) == SAFETY_NUMBER
