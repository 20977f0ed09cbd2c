/** An epoch: what its record says, who signed it, and that all members have the same key. */

import { beforeAll, describe, expect, test } from "vitest";

import { type Bytes, Secret } from "../../src/crypto/bytes";
import { b64, unb64 } from "../../src/crypto/encoding";
import * as epochs from "../../src/crypto/epochs";
import { EncryptionKey } from "../../src/crypto/keys";
import * as messages from "../../src/crypto/messages";
import {
  aDevice,
  byHand,
  flips,
  NOW_S,
  OTHER_ROOM,
  type Person,
  payloadOf,
  person,
  ROOM,
  refused,
  tampered,
  text,
} from "./people";

let alice: Person;
let bob: Person;
let mallory: Person;
let made: epochs.NewEpoch;
beforeAll(async () => {
  [alice, bob, mallory] = await Promise.all([person("alice"), person("bob"), person("mallory")]);
  made = await create();
});

type What = Parameters<typeof epochs.create>[0];
const create = (changes: Partial<What> = {}) =>
  epochs.create({
    room: ROOM,
    epoch: 1,
    prev: new Uint8Array(0),
    creator: alice.user,
    device: alice.device,
    signer: alice.signer.privateKey,
    members: [alice.keys, bob.keys],
    nowS: NOW_S,
    ...changes,
  });
const envelope = () => made.record.signed.envelope(alice.device);
const read = (value: unknown = envelope(), place: Partial<epochs.Place> = {}, by: Person = alice) =>
  epochs.read(
    value,
    { room: ROOM, epoch: 1, creator: alice.user, device: alice.device, ...place },
    by.signer.publicKey,
  );
const wrapOf = (one: Person, of = made) => of.wraps.get(one.user) as Bytes;

test("all members get one key, and talk by it", async () => {
  const record = await read(JSON.parse(JSON.stringify(envelope())));
  const keys = await Promise.all(
    [alice, bob].map((one) => epochs.openWrap(record, wrapOf(one), one.user, one.encryption.held)),
  );
  const ciphertext = await messages.seal(
    keys[0] as messages.EpochKey,
    alice.user,
    alice.device,
    alice.signer.privateKey,
    text(),
  );
  const told = { id: text().id, sentAt: text().ts };

  expect(
    await messages.open(
      keys[1] as messages.EpochKey,
      alice.user,
      alice.device,
      alice.signer.publicKey,
      ciphertext,
      told,
    ),
  ).toEqual(text());
  expect(keys.every((key) => !key.base.extractable)).toBe(true);
});

test("it is uploaded as the protocol says", () => {
  const body = epochs.upload(made, 41) as Record<string, Record<string, { ver: number; ct: string }>>;
  expect(Object.keys(body).sort()).toEqual(["members_version", "record", "roster", "wraps"]);
  expect(body.roster).toEqual([alice, bob].map((one) => [one.user, b64(one.keys.identity), 1]));
  expect(Object.keys(body.wraps ?? {})).toEqual([alice.user, bob.user]);
  expect(unb64(body.wraps?.[bob.user]?.ct)).toHaveLength(80);
});

describe("a record", () => {
  test("is for one room, number, creator and device", async () => {
    await refused(() => read(envelope(), { room: OTHER_ROOM }), "bad_epoch");
    await refused(() => read(envelope(), { epoch: 2 }), "bad_epoch");
    await refused(() => read(envelope(), { creator: bob.user }), "bad_epoch");
    await refused(() => read(envelope(), { device: bob.device }), "bad_epoch");
    await refused(() => read(envelope(), {}, mallory), "bad_signature");
    await refused(() => read(tampered(envelope(), { epoch: 2 }), { epoch: 2 }), "bad_signature");
  });

  test.each([
    { v: 2 },
    { epoch: 0 },
    { epoch: "1" },
    { epoch: 2 },
    { prev: b64(new Uint8Array(32)) },
    { prev: null },
    { roster: "" },
    { commit: b64(new Uint8Array(31)) },
    { ts: -1 },
    { ts: 1.5 },
    { creator: "alice" },
    { room: undefined },
    { more: 1 },
  ])("has one form: not %j", async (changes) => {
    const forged = await byHand(
      epochs.KIND,
      { ...payloadOf(envelope()), ...changes },
      alice.signer.privateKey,
      alice.device,
    );
    await refused(() => read(forged), "bad_encoding");
  });

  test("follows the one before it", async () => {
    const second = await create({ epoch: 2, prev: made.record.signed.digest });
    epochs.checkFollows(second.record, made.record);
    const other = await create({ epoch: 2, prev: new Uint8Array(32) });
    await refused(() => epochs.checkFollows(other.record, made.record), "bad_epoch");
    const elsewhere = await create({ epoch: 2, prev: made.record.signed.digest, room: OTHER_ROOM });
    await refused(() => epochs.checkFollows(elsewhere.record, made.record), "bad_epoch");
    await refused(() => create({ epoch: 2 }), "bad_epoch");
    await refused(() => create({ prev: new Uint8Array(32) }), "bad_epoch");
  });

  test("has the signed roster and no other", async () => {
    const roster = epochs.readRoster(made.roster.map(epochs.writeLine));
    await epochs.checkRoster(made.record, [...roster].reverse());
    await refused(() => epochs.checkRoster(made.record, roster.slice(1)), "bad_epoch");
    await refused(() => epochs.checkRoster(made.record, [...roster, epochs.lineOf(mallory.keys)]), "bad_epoch");
    const line = epochs.writeLine(epochs.lineOf(bob.keys));
    for (const value of [
      null,
      {},
      [[]],
      [line, line],
      [[...line, 1]],
      [["bob", line[1], 1]],
      [[line[0], "AA", 1]],
      [[line[0], line[1], 0]],
      [[line[0], line[1], "1"]],
    ])
      await refused(() => epochs.readRoster(value), "bad_encoding");
  });
});

describe("a wrap", () => {
  test("is for one member, room, epoch and version", async () => {
    await refused(() => epochs.openWrap(made.record, wrapOf(alice), bob.user, bob.encryption.held), "bad_wrap");
    await refused(() => epochs.openWrap(made.record, wrapOf(bob), mallory.user, bob.encryption.held), "bad_wrap");
    await refused(
      () => epochs.openWrap(made.record, wrapOf(bob), bob.user, { ...bob.encryption.held, version: 2 }),
      "bad_wrap",
    );
    const second = await create({ epoch: 2, prev: made.record.signed.digest });
    await refused(() => epochs.openWrap(second.record, wrapOf(bob), bob.user, bob.encryption.held), "bad_wrap");
    for (const changed of flips(wrapOf(bob)))
      await refused(() => epochs.openWrap(made.record, changed, bob.user, bob.encryption.held), "bad_wrap");
    await refused(() => epochs.openWrap(made.record, wrapOf(bob).slice(1), bob.user, bob.encryption.held), "bad_wrap");
  });

  test("with another key than the others have is noticed", async () => {
    const other = await create({ secret: Secret.fresh() });
    await refused(() => epochs.openWrap(made.record, wrapOf(bob, other), bob.user, bob.encryption.held), "bad_commit");
  });

  test("is given to who comes later, with the key that all have", async () => {
    const secret = await epochs.secretOf(made.record, wrapOf(bob), bob.user, bob.encryption.held);
    const sealed = await epochs.wrap(secret.reveal(), ROOM, 1, mallory.user, mallory.encryption.announced);
    await epochs.openWrap(made.record, sealed, mallory.user, mallory.encryption.held);
  });
});

test("there are 1 to 1000 different members, each with a wrap", async () => {
  await refused(() => create({ members: [] }), "bad_epoch");
  await refused(() => create({ members: [alice.keys, alice.keys] }), "bad_epoch");
  const another = await alice.keys
    .next()
    .withDevice(await aDevice("laptop"))
    .sign(alice.identity);
  await refused(() => create({ members: [alice.keys, another] }), "bad_epoch");
  await refused(
    () =>
      epochs.wrap(new Uint8Array(32), ROOM, 1, bob.user, { version: 1, suite: "x25519", public: new Uint8Array(32) }),
    "bad_key",
  );
});

test("a version that is not known opens nothing", async () => {
  const other = (await EncryptionKey.fresh(1)).held;
  await refused(() => epochs.openWrap(made.record, wrapOf(bob), bob.user, other), "bad_wrap");
});
