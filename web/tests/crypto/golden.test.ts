/** One epoch with one message, byte for byte, as tests/crypto/test_golden.py has it. Do not change these values. */

import { beforeAll, expect, test } from "vitest";

import { Secret, utf8 } from "../../src/crypto/bytes";
import { b64, pae, signature, unb64 } from "../../src/crypto/encoding";
import * as epochs from "../../src/crypto/epochs";
import { verifier } from "../../src/crypto/keys";
import * as messages from "../../src/crypto/messages";
import { safetyNumber } from "../../src/crypto/safety";
import type { DeviceId } from "../../src/protocol/ids";
import { epochKey, NOW_S, type Person, person, ROOM, seed, text } from "./people";

const DEVICE = "0192f1aa-0000-7000-8000-0000000000d1" as DeviceId;
const UIK_ALICE = "tRKD77wO2HNC4riF3MQ1nU73Ydjo4zmM1pZZWVUR5-I";
const DSK_PUBLIC = "dIZwCGorp8dkXbFKwjZFamG51GEdrwGYwtOeyay1wc0";
const UEK_BOB = "G2tN7dyyfYYh6UUh0RRqE8uFiw-PW_2hRLfUJdbybAw";
const RECORD =
  '{"v":1,"room":"0192f1aa-0000-7000-8000-0000000000ff","epoch":1,"prev":"",' +
  '"creator":"0192f1aa-0000-7000-8000-00000000000a","device":"0192f1aa-0000-7000-8000-0000000000d1",' +
  '"roster":"UcIysG76qnmk4d4fEcXQDOQYD6fFhkx9sYL6wCiI574","commit":"G17bHo_OCVLGElptlOUOB6ydRhGKsvDRteNiqjYZsPg",' +
  '"ts":1763800001}';
const SIGNATURE = "Mbr68lfQv0kBufBjgjOMl34_uZjykPMF58jy6MO-k4oTPD20muamSDyo8tC_FoBFCzUzKlownlywpsay90eWAA";
const WRAP_FOR_BOB =
  "JR1fus4QBJoQSLv15kMoTZgjLoYv734FFV94jn29ZECeTyMBoHhhx3BlDb3N0Oee0LTy7OtFlL5Za4xu2X8njJUWmNiTCNH-ZpaeQw45zNU";
const CIPHERTEXT =
  "eDd7UldXtJRCf4kB3ofQwyzmAgeZLR3Q08FQFR4zQ1JcouMyCKHuqPrlg5p1WbZNhmYikfDiQpV-4Ho0-wudOmTUFsAQTSomgXA_ty2NWHE8" +
  "MoiSouYRGDUNm5uo4nU3M8xV97P6irpznODy9p6yI1cfsr-aVghuC5eLEPuwHtsk40PlmUTPl88pWMCVl5SjUEPufjANuvn1w8pPnArhLFYh" +
  "vA1E66xRluUTyXs-n0VcLe_UCI-lB7s-jPQTuaxrwEpQAa8ASE7TNxznblUS4XLccc-16ck9PhELbA";
const PLAINTEXT = '{"v":1,"id":"0192f1aa-0000-7000-8000-000000000001","type":"text","body":"héllo","ts":1763800002000}';
const SAFETY_NUMBER = "138165577109426237823696364927244571293550891250521743113780";
const PAYLOAD = text("héllo");

let alice: Person;
let bob: Person;
beforeAll(async () => {
  [alice, bob] = await Promise.all([person("alice"), person("bob")]);
});

const envelope = {
  payloadType: "chat.e2ee.v1.epoch",
  payload: b64(utf8(RECORD)),
  signatures: [{ keyid: DEVICE, sig: SIGNATURE }],
};

async function readRecord() {
  const place = { room: ROOM, epoch: 1, creator: alice.user, device: DEVICE };
  return epochs.read(envelope, place, await verifier(unb64(DSK_PUBLIC)));
}

test("the seeds give these keys", () => {
  expect(b64(alice.keys.identity)).toBe(UIK_ALICE);
  expect(b64(alice.signer.public)).toBe(DSK_PUBLIC);
  expect(b64(bob.encryption.public)).toBe(UEK_BOB);
});

test("the record is read and written", async () => {
  const record = await readRecord();

  expect(record.ts).toBe(NOW_S);
  expect(record.signed.envelope(DEVICE)).toEqual(envelope);
  expect(await epochs.rosterDigest([bob.keys, alice.keys].map(epochs.lineOf))).toEqual(record.rosterDigest);
  expect(await epochs.commitment(await seed("epoch key"), ROOM, 1)).toEqual(record.commitment);
  // Ed25519 is deterministic: signing again gives the same bytes.
  expect(b64(await signature(alice.signer.privateKey, pae("chat.e2ee.v1.epoch", utf8(RECORD))))).toBe(SIGNATURE);
});

test("a record that is created is written in the same way", async () => {
  const made = await epochs.create({
    room: ROOM,
    epoch: 1,
    prev: new Uint8Array(0),
    creator: alice.user,
    device: DEVICE,
    signer: alice.signer.privateKey,
    members: [alice.keys, bob.keys],
    nowS: NOW_S,
    secret: new Secret(await seed("epoch key")),
  });

  expect(made.record.signed.envelope(DEVICE)).toEqual(envelope);
});

test("the wrap opens", async () => {
  const key = await epochs.secretOf(await readRecord(), unb64(WRAP_FOR_BOB), bob.user, bob.encryption.held);

  expect(key.reveal()).toEqual(await seed("epoch key"));
});

test("the message is read and written", async () => {
  const key = await epochKey();
  const opened = await messages.open(key, alice.user, DEVICE, alice.signer.publicKey, unb64(CIPHERTEXT), {
    id: PAYLOAD.id,
    sentAt: PAYLOAD.ts,
  });

  expect(opened).toEqual(PAYLOAD);
  expect(messages.encode(PAYLOAD)).toEqual(utf8(PLAINTEXT));
  const nonce = (await seed("nonce")).slice(0, 12);
  const sealed = await messages.sealLane(
    await key.lane(alice.user, DEVICE),
    alice.signer.privateKey,
    utf8(PLAINTEXT),
    nonce,
  );
  expect(b64(sealed)).toBe(CIPHERTEXT);
});

test("the safety number is the same", async () => {
  const of = ({ user, keys }: Person) => ({ user, identity: keys.identity });
  expect(await safetyNumber(of(alice), of(bob))).toBe(SAFETY_NUMBER);
});
