/** A message: who reads it, who wrote it, and where it belongs. */

import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";

import * as aead from "../../src/crypto/aead";
import { type Bytes, concat, random, utf8 } from "../../src/crypto/bytes";
import { pae, signature } from "../../src/crypto/encoding";
import * as messages from "../../src/crypto/messages";
import type { MessageId } from "../../src/protocol/ids";
import {
  aDevice,
  epochKey,
  flips,
  MESSAGE,
  OTHER_ROOM,
  type Person,
  person,
  refused,
  SENT_AT,
  seed,
  text,
} from "./people";

let alice: Person;
let bob: Person;
let mallory: Person;
let key: messages.EpochKey;
beforeAll(async () => {
  [alice, bob, mallory] = await Promise.all([person("alice"), person("bob"), person("mallory")]);
  key = await epochKey();
});

const sealed = (payload = text(), by = alice) => messages.seal(key, by.user, by.device, by.signer.privateKey, payload);

interface Where {
  key?: messages.EpochKey;
  sender?: Person;
  device?: string;
  by?: CryptoKey;
  id?: string;
  sentAt?: number;
}

function opened(ciphertext: Bytes, where: Where = {}) {
  const sender = where.sender ?? alice;
  const device = (where.device ?? sender.device) as Person["device"];
  return messages.open(where.key ?? key, sender.user, device, where.by ?? sender.signer.publicKey, ciphertext, {
    id: (where.id ?? MESSAGE) as MessageId,
    sentAt: where.sentAt ?? SENT_AT,
  });
}

/** A ciphertext by somebody with the epoch's key and a client of their own. */
async function byHand(payload: Bytes, options: { padding?: Bytes; signer?: CryptoKey; signed?: Bytes } = {}) {
  const { aad } = await key.lane(alice.user, alice.device);
  const toSign = pae("chat.e2ee.v1.msg", concat(aad, utf8("\n\n"), options.signed ?? payload));
  const signed = await signature(options.signer ?? alice.signer.privateKey, toSign);
  const spaces = options.padding ?? new Uint8Array((64 - ((64 + payload.length) % 64)) % 64).fill(0x20);
  return aead.seal(await aead.hkdf(await seed("epoch key"), aad), concat(signed, payload, spaces), aad);
}

function said(changes: Record<string, unknown> = {}): Bytes {
  return utf8(JSON.stringify({ v: 1, id: MESSAGE, type: "text", body: "hello", ts: SENT_AT, ...changes }));
}

test("any text comes back", async () => {
  await fc.assert(
    fc.asyncProperty(fc.string({ unit: "grapheme" }), async (body) => {
      expect((await opened(await sealed(text(body)))).body).toBe(body);
    }),
  );
});

test("the longest body fits and one byte more does not", async () => {
  const room = messages.MAX_PAYLOAD - messages.encode(text("")).length;
  const longest = await sealed(text("a".repeat(room)));

  expect(longest.length).toBe(32_732);
  expect((await opened(longest)).body).toBe("a".repeat(room));
  await refused(() => sealed(text("a".repeat(room + 1))), "too_long");
});

test("a length tells its step only", async () => {
  const lengths = new Set<number>();
  for (let length = 0; length < 120; length += 1) lengths.add((await sealed(text("a".repeat(length)))).length);
  expect([...lengths].sort((a, b) => a - b)).toHaveLength(3);
  for (const length of lengths) expect((length - 28) % 64).toBe(0);
  expect(Math.min(...lengths)).toBe(156 + 64);
});

test("every changed byte is noticed", async () => {
  const ciphertext = await sealed(text("a text of some length, so that there is padding behind it"));
  for (const bit of [1, 0x80])
    for (const changed of flips(ciphertext, bit)) await refused(() => opened(changed), "bad_message");
});

test("what is cut off or added is noticed", async () => {
  const ciphertext = await sealed();
  for (let length = 0; length < ciphertext.length; length += 1)
    await refused(() => opened(ciphertext.slice(0, length)), "bad_message");
  for (const more of [1, 16, 64, 40_000])
    await refused(() => opened(concat(ciphertext, new Uint8Array(more))), "bad_message");
});

test("a message is for one room, epoch, user and device", async () => {
  const ciphertext = await sealed();
  const places: Where[] = [
    { key: await epochKey({ room: OTHER_ROOM }) },
    { key: await epochKey({ epoch: 2 }) },
    { key: await epochKey({ secret: new Uint8Array(32) }) },
    { sender: bob },
    { sender: bob, by: alice.signer.publicKey },
    { sender: bob, device: alice.device, by: alice.signer.publicKey },
    { device: (await aDevice("alice laptop")).id },
    { by: mallory.signer.publicKey },
    { by: alice.identity.publicKey },
    { id: "0192f1aa-0000-7000-8000-000000000002" },
    { sentAt: SENT_AT + 1 },
  ];
  for (const place of places) await refused(() => opened(ciphertext, place), "bad_message");
  expect(await opened(ciphertext)).toEqual(text());
});

test("a member cannot write in another's name", async () => {
  // Mallory is a member and has the epoch's key, so everything but the signature can be made.
  const forged = await byHand(said({ body: "I owe Mallory 100" }), { signer: mallory.signer.privateKey });
  await refused(() => opened(forged), "bad_message");
  const other = await byHand(said({ body: "I owe Mallory 100" }), { signed: said() });
  await refused(() => opened(other), "bad_message");
});

describe("payloads", () => {
  test.each([
    { v: 2 },
    { v: "1" },
    { id: "1" },
    { id: MESSAGE.toUpperCase() },
    { type: "" },
    { type: "Text" },
    { type: 1 },
    { body: 1 },
    { body: null },
    { ts: -1 },
    { ts: "1" },
    { ts: SENT_AT + 0.5 },
  ])("of another form are refused: %j", async (change) =>
    refused(async () => opened(await byHand(said(change))), "bad_message"),
  );

  test.each([
    '{"v":1}',
    "[]",
    "null",
    "",
    '{"v":1.0,"id":"ID","type":"text","body":"x","ts":TS}',
    '{"v":1,"id":"ID","type":"text","body":"x","body":"y","ts":TS}',
    '{"v":1,"id":"ID","type":"text","body":"\\ud800","ts":TS}',
  ])("%s is none", async (written) => {
    const payload = utf8(written.replace("ID", MESSAGE).replace("TS", String(SENT_AT)));
    await refused(async () => opened(await byHand(payload)), "bad_message");
  });

  test("with more in them than is known are read", async () => {
    const ciphertext = await byHand(said({ reply_to: "x", size: 1.5, more: [{}] }));
    expect(await opened(ciphertext)).toEqual(text());
  });

  test("are padded by spaces, by as many as one likes, and by nothing else", async () => {
    const fill = (64 - ((64 + said().length) % 64)) % 64;
    const spaces = (count: number) => new Uint8Array(count).fill(0x20);
    expect(await opened(await byHand(said(), { padding: spaces(fill + 640) }))).toEqual(text());
    await refused(async () => opened(await byHand(said(), { padding: new Uint8Array(fill) })), "bad_message");
    await refused(async () => opened(await byHand(said(), { padding: random(fill) })), "bad_message");
  });

  test("that cannot be written are refused before", async () => {
    await refused(() => sealed(text("\ud83d")), "bad_encoding");
    await refused(() => sealed({ ...text(), type: "Text" }), "bad_encoding");
    await refused(() => sealed({ ...text(), id: "x" as MessageId }), "bad_encoding");
  });
});
