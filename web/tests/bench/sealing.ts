/** What the cryptography costs in a browser: `python -m bench.browser` runs this in Chromium and shows the figures. */

import { Secret } from "../../src/crypto/bytes";
import { b64 } from "../../src/crypto/encoding";
import * as epochs from "../../src/crypto/epochs";
import { STANDARD } from "../../src/crypto/kdf";
import { EncryptionKey, generate, pairOf } from "../../src/crypto/keys";
import * as messages from "../../src/crypto/messages";
import { safetyNumber } from "../../src/crypto/safety";
import * as userkeys from "../../src/crypto/userkeys";
import { inWorker } from "../../src/device/keys/stretching";
import type { MessageId, RoomId } from "../../src/protocol/ids";
import { openStore } from "../../src/store/db";
import { putEpochs } from "../../src/store/epochs";

type Figures = Record<string, number>;

const id = <Id extends string>(): Id => crypto.randomUUID() as Id;

/** The median of some runs, in ms, for each of `count`. */
async function each(count: number, work: () => Promise<unknown>, runs = 7): Promise<number> {
  const times: number[] = [];
  for (let run = 0; run < runs; run += 1) {
    const began = performance.now();
    await work();
    times.push((performance.now() - began) / count);
  }
  return times.sort((one, other) => one - other)[Math.floor(runs / 2)]!;
}

async function member() {
  const identity = await pairOf("Ed25519", Secret.fresh());
  const signer = await generate("Ed25519");
  const encryption = await EncryptionKey.fresh(1);
  const listed = { id: id<userkeys.DeviceKey["id"]>(), key: signer.public, since: 1, until: null, box: null };
  const user = id<userkeys.Said["user"]>();
  const keys = await userkeys.first(user, identity.public, encryption.announced, listed).sign(identity);
  return { user, device: listed.id, identity, signer, encryption, keys };
}

async function measure(worker: string): Promise<Figures> {
  const alice = await member();
  const room = id<RoomId>();
  const key = await messages.EpochKey.of(room, 1, Secret.fresh().reveal());
  const body = "a text of usual length, as people write them to each other all day long, with a word more or less";
  const texts = Array.from({ length: 100 }, (_, at) => ({ id: id<MessageId>(), type: "text", body, ts: at }));
  const seal = (payload: messages.Payload) =>
    messages.seal(key, alice.user, alice.device, alice.signer.privateKey, payload);
  const open = (sealed: Uint8Array<ArrayBuffer>, at: number) =>
    messages.open(key, alice.user, alice.device, alice.signer.publicKey, sealed, { id: texts[at]!.id, sentAt: at });
  const sealed = await Promise.all(texts.map(seal));

  const others: Awaited<ReturnType<typeof member>>[] = [];
  for (let number = 0; number < 999; number += 1) others.push(await member());
  const members = [alice, ...others];
  const documents = members.map(({ keys }) => keys);
  const make = (some: readonly userkeys.UserKeys[]) =>
    epochs.create({
      room,
      epoch: 1,
      prev: new Uint8Array(0),
      creator: alice.user,
      device: alice.device,
      signer: alice.signer.privateKey,
      members: some,
      nowS: 1,
    });
  const made = await make(documents);
  const wrap = made.wraps.get(alice.user)!;

  const db = await openStore(undefined, "bench");
  const rows = Array.from({ length: 500 }, (_, at) => ({
    room,
    epoch: at + 1,
    creator: alice.user,
    device: alice.device,
    payload: made.record.signed.payload,
    signature: made.record.signed.signature,
    wrap: { version: 1, ct: wrap },
    key: key.base,
    outdated: false,
    seq: null,
    change: null,
  }));

  const stretch = inWorker(() => new Worker(worker, { type: "module" }));
  return {
    "seal one message": await each(1, () => seal(texts[0]!), 51),
    "open one message": await each(1, () => open(sealed[0]!, 0), 51),
    "seal a message, 100 at once": await each(100, () => Promise.all(texts.map(seal))),
    "open a message, 100 at once": await each(100, () => Promise.all(sealed.map(open))),
    "read a key document, 1 000 at once": await each(
      1000,
      () => Promise.all(documents.map((keys) => userkeys.read(keys.envelope, keys.user))),
      3,
    ),
    "make an epoch for 2": await each(1, () => make(documents.slice(0, 2)), 21),
    "make an epoch for 1 000": await each(1, () => make(documents), 5),
    "write down an epoch for 1 000": await each(1, async () => JSON.stringify(epochs.upload(made, 1)), 5),
    "open a wrap, 100 at once": await each(100, () =>
      Promise.all(texts.map(() => epochs.openWrap(made.record, wrap, alice.user, alice.encryption.held))),
    ),
    "store an epoch, 500 at once": await each(500, () => putEpochs(db, rows), 3),
    "a safety number": await each(
      1,
      () => safetyNumber({ user: alice.user, identity: alice.keys.identity }, others[0]!.keys),
      3,
    ),
    "a password, by standard parameters, in the worker": await each(
      1,
      async () => b64(await stretch(Secret.fresh().reveal(), Secret.fresh(16).reveal(), STANDARD)),
      3,
    ),
  };
}

Object.assign(globalThis, { measure });
