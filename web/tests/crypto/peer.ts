/**
 * The web client's cryptography for tests/web/test_crypto_interop.py: one request a line on stdin, one answer a line on stdout.
 * Bytes travel as base64url, secrets too: this is a test, with keys that nobody has.
 */

import { createInterface } from "node:readline";

import * as aead from "../../src/crypto/aead";
import { archive, openArchive } from "../../src/crypto/archives";
import { openBox, sealBox } from "../../src/crypto/boxes";
import { type Bytes, Secret, utf8 } from "../../src/crypto/bytes";
import { b64, pae, unb64, verify } from "../../src/crypto/encoding";
import * as epochs from "../../src/crypto/epochs";
import { CryptoError } from "../../src/crypto/errors";
import { type Fields, load } from "../../src/crypto/json";
import * as kdf from "../../src/crypto/kdf";
import { EncryptionKey, generate, pairOf, verifier } from "../../src/crypto/keys";
import * as messages from "../../src/crypto/messages";
import { follow, pinOf } from "../../src/crypto/pins";
import * as recovery from "../../src/crypto/recovery";
import { qrText, safetyNumber } from "../../src/crypto/safety";
import { stretch } from "../../src/crypto/stretch";
import * as userkeys from "../../src/crypto/userkeys";
import * as vaults from "../../src/crypto/vault";
import type { DeviceId, MessageId, RoomId, UserId } from "../../src/protocol/ids";

// biome-ignore lint/suspicious/noExplicitAny: what the test says
type Told = any;

const secretKey = (text: string) => new Secret(unb64(text, 32));

/** What opens of all that Python has made, in the form of `made`. */
async function open(told: Told): Promise<unknown> {
  const user = told.user as UserId;
  const documents = [];
  for (const envelope of told.documents) documents.push(await userkeys.read(envelope, user));
  for (const [at, document] of documents.slice(1).entries())
    follow(pinOf(documents[at] as userkeys.UserKeys), document, documents[at]);
  const newest = documents.at(-1) as userkeys.UserKeys;
  const password = await kdf.split(told.password, kdf.readKdf(told.kdf), stretch);
  const opened = await vaults.openWithPassword(told.vault, user, password.wrap);
  const recovered = await vaults.openWithRecoveryKey(told.vault, user, recovery.fromText(told.recovery_key));
  const old = await openArchive(told.archive.ct, user, told.archive.page, recovered.key);
  const device = newest.devices[0] as userkeys.DeviceKey;
  const box = await openBox(
    unb64(told.box),
    user,
    device.id,
    newest.encryption,
    await pairOf("X25519", secretKey(told.box_key)),
  );
  const place = { room: told.room as RoomId, epoch: told.epoch as number, creator: user, device: device.id };
  const record = await epochs.read(told.record, place, await verifier(device.key));
  await epochs.checkRoster(record, epochs.readRoster(told.roster));
  const key = await epochs.openWrap(record, unb64(told.wrap), user, opened.secrets.newest.held);
  const bodies = [];
  for (const { id, sent_at, ciphertext } of told.messages) {
    const said = { id: id as MessageId, sentAt: sent_at as number };
    bodies.push((await messages.open(key, user, device.id, await verifier(device.key), unb64(ciphertext), said)).body);
  }
  return {
    auth: kdf.authOf(password),
    recovery_auth: await recovery.authOf(recovery.fromText(told.recovery_key)),
    identity: b64(opened.secrets.identitySecret.reveal()),
    encryption: [...old, ...opened.secrets.encryptionKeys].map((one) => b64(one.secret.reveal())),
    box: b64(box.secret.reveal()),
    epoch_key: b64((await epochs.secretOf(record, unb64(told.wrap), user, opened.secrets.newest.held)).reveal()),
    digest: b64(newest.digest),
    devices: newest.devices.map((one) => [one.id, one.since, one.until]),
    bodies,
    qr: qrText(user, newest.identity),
  };
}

/** The same made here, with the private keys by which Python can look. */
async function make(told: Told): Promise<unknown> {
  const user = told.user as UserId;
  const room = told.room as RoomId;
  const recoveryKey = Secret.fresh();
  const parameters = kdf.freshKdf(kdf.FLOOR);
  const password = await kdf.split(told.password, parameters, stretch);
  let vault = await vaults.create(user, parameters, password.wrap, recoveryKey);
  const signer = await generate("Ed25519");
  const boxSecret = Secret.fresh();
  const box = await pairOf("X25519", boxSecret);
  const device = {
    id: told.device as DeviceId,
    key: signer.public,
    since: 1_800_000_000,
    until: null,
    box: box.public,
  };
  const { identity, newest } = vault.secrets;
  const documents = [await userkeys.first(user, identity.public, newest.announced, device).sign(identity)];
  for (let version = 2; version <= 34; version += 1) {
    const key = await EncryptionKey.fresh(version);
    vault = vault.next(vault.secrets.withKey(key));
    const before = documents.at(-1) as userkeys.UserKeys;
    documents.push(await before.next().withEncryptionKey(key.announced).sign(identity));
  }
  const kept = await archive(vault);
  const announced = kept.vault.secrets.newest;
  const made = await epochs.create({
    room,
    epoch: 3,
    prev: (documents[0] as userkeys.UserKeys).digest,
    creator: user,
    device: device.id,
    signer: signer.privateKey,
    members: [documents.at(-1) as userkeys.UserKeys],
    nowS: 1_800_000_000,
  });
  const sealed = [];
  for (const { id, sent_at, body } of told.messages) {
    const payload = { id, type: "text", body, ts: sent_at };
    sealed.push(b64(await messages.seal(made.key, user, device.id, signer.privateKey, payload)));
  }
  const upload = epochs.upload(made, 1) as Told;
  return {
    documents: documents.map((document) => document.envelope),
    vault: await kept.vault.sealed(),
    archive: kept.page,
    kdf: kdf.writeKdf(parameters),
    auth: kdf.authOf(password),
    recovery_key: recovery.toText(recoveryKey),
    recovery_auth: await recovery.authOf(recoveryKey),
    box: b64(await sealBox(announced, user, device.id, box.public)),
    box_key: b64(boxSecret.reveal()),
    record: upload.record,
    roster: upload.roster,
    wrap: upload.wraps[user].ct,
    messages: sealed,
  };
}

async function hpke(told: Told): Promise<unknown> {
  const pair = await pairOf("X25519", secretKey(told.private));
  const opened = await aead.unwrap(unb64(told.sealed), pair, unb64(told.info));
  return { public: b64(pair.public), opened: b64(opened) };
}

async function ed25519(told: Told): Promise<unknown> {
  return each(told.cases, async ([key, signature, message]: Bytes[]) =>
    verify(await verifier(key as Bytes), signature as Bytes, message as Bytes),
  );
}

async function gcm(told: Told): Promise<unknown> {
  return each(told.cases, async ([key, sealed, aad]: Bytes[]) =>
    b64(await aead.open(key as Bytes, sealed as Bytes, aad as Bytes)),
  );
}

/** The result for each case; its code where it was refused. */
function each(cases: string[][], work: (bytes: Bytes[]) => Promise<unknown>): Promise<unknown[]> {
  return Promise.all(
    cases.map(async (texts) => {
      try {
        return (await work(texts.map((text) => unb64(text)))) ?? "ok";
      } catch (error) {
        if (!(error instanceof CryptoError)) throw error;
        return { refused: error.code };
      }
    }),
  );
}

function json(told: Told): unknown {
  return told.texts.map((text: string) => {
    try {
      const read = load(unb64(text));
      // Numbers that are not whole are nothing to us: see json.ts.
      return { read: JSON.parse(JSON.stringify(read, (_, one) => (Number.isNaN(one) ? "not whole" : one))) };
    } catch (error) {
      if (!(error instanceof CryptoError)) throw error;
      return { refused: error.code };
    }
  });
}

const deeds: Record<string, (told: Told) => unknown> = {
  open,
  make,
  hpke,
  ed25519,
  gcm,
  json,
  hkdf: async (told) => b64(await aead.hkdf(unb64(told.key), unb64(told.info))),
  argon2id: async ({ secret, salt, m, t, p, length }) =>
    b64(await stretch(unb64(secret), unb64(salt), { memory: m, passes: t, lanes: p }, length)),
  pae: (told) => b64(pae(told.kind, utf8(told.body))),
  safety: ({ a, b }) => safetyNumber({ user: a[0], identity: unb64(a[1]) }, { user: b[0], identity: unb64(b[1]) }),
};

for await (const line of createInterface({ input: process.stdin })) {
  const told = JSON.parse(line) as Fields;
  let answer: unknown;
  try {
    answer = { answer: await deeds[told.do as string]?.(told) };
  } catch (error) {
    answer = { refused: error instanceof CryptoError ? error.code : String((error as Error).stack) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
