/** Alice, Bob and Mallory with their keys, made from the seeds of tests/crypto/people.py: the same keys, byte for byte. */

import { expect } from "vitest";

import { type Bytes, Secret, utf8 } from "../../src/crypto/bytes";
import { b64, digest, pae, Signed, sign, signature, unb64 } from "../../src/crypto/encoding";
import { type CryptoCode, CryptoError } from "../../src/crypto/errors";
import type { Fields } from "../../src/crypto/json";
import { EncryptionKey, type Pair, pairOf } from "../../src/crypto/keys";
import { EpochKey, type Payload } from "../../src/crypto/messages";
import * as userkeys from "../../src/crypto/userkeys";
import type { DeviceId, MessageId, RoomId, UserId } from "../../src/protocol/ids";

export const ROOM = "0192f1aa-0000-7000-8000-0000000000ff" as RoomId;
export const OTHER_ROOM = "0192f1aa-0000-7000-8000-0000000000fe" as RoomId;
export const MESSAGE = "0192f1aa-0000-7000-8000-000000000001" as MessageId;
export const SENT_AT = 1_763_800_002_000;
export const NOW_S = 1_763_800_001;

export const seed = (text: string): Promise<Bytes> => digest(utf8(text));
export const secret = async (text: string): Promise<Secret> => new Secret(await seed(text));

export interface Person {
  readonly user: UserId;
  readonly device: DeviceId;
  readonly identity: Pair;
  readonly encryption: EncryptionKey;
  readonly signer: Pair;
  readonly box: Pair;
  readonly keys: userkeys.UserKeys;
}

export async function person(name: "alice" | "bob" | "mallory"): Promise<Person> {
  const digit = { alice: "a", bob: "b", mallory: "c" }[name];
  const user = `0192f1aa-0000-7000-8000-00000000000${digit}` as UserId;
  const listed = await aDevice(`${name} phone`, name);
  const identity = await pairOf("Ed25519", await secret(`uik ${name}`));
  const encryption = await EncryptionKey.of(1, await secret(`uek ${name}`));
  return {
    user,
    device: listed.id,
    identity,
    encryption,
    signer: await pairOf("Ed25519", await secret(`dsk ${name}`)),
    box: await pairOf("X25519", await secret(`box ${name}`)),
    keys: await userkeys.first(user, identity.public, encryption.announced, listed).sign(identity),
  };
}

/** A device's entry in a document; its keys come from the seeds of `keys`. */
export async function aDevice(name: string, keys = name): Promise<userkeys.DeviceKey> {
  const digits = [...(await seed(`device ${name}`))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  const parts = [
    digits.slice(0, 8),
    digits.slice(8, 12),
    digits.slice(12, 16),
    digits.slice(16, 20),
    digits.slice(20, 32),
  ];
  const id = parts.join("-") as DeviceId;
  const { public: key } = await pairOf("Ed25519", await secret(`dsk ${keys}`));
  const { public: box } = await pairOf("X25519", await secret(`box ${keys}`));
  return { id, key, since: NOW_S, until: null, box };
}

export async function epochKey(changes: { room?: RoomId; epoch?: number; secret?: Bytes } = {}): Promise<EpochKey> {
  return EpochKey.of(changes.room ?? ROOM, changes.epoch ?? 1, changes.secret ?? (await seed("epoch key")));
}

export function text(body = "hello"): Payload {
  return { id: MESSAGE, type: "text", body, ts: SENT_AT };
}

/** A document of this kind by somebody's own hand, with whatever is in it. `undefined` leaves a member out. */
export async function byHand(kind: string, document: Fields, key: CryptoKey, keyid = "uik"): Promise<Fields> {
  return (await sign(kind, document, key)).envelope(keyid);
}

/** The same of bytes that no writer of ours would write. */
export async function bytesByHand(kind: string, payload: Bytes, key: CryptoKey): Promise<Fields> {
  return (await Signed.of(kind, payload, await signature(key, pae(kind, payload)))).envelope("uik");
}

export function payloadOf(envelope: Fields): Record<string, unknown> {
  return JSON.parse(new TextDecoder().decode(unb64(envelope.payload))) as Record<string, unknown>;
}

/** An envelope whose payload was changed after signing. */
export function tampered(envelope: Fields, change: Fields): Fields {
  return { ...envelope, payload: b64(utf8(JSON.stringify({ ...payloadOf(envelope), ...change }))) };
}

/** The value with one byte changed, for each of its bytes. */
export function* flips(value: Bytes, bit = 1): Generator<Bytes> {
  for (let at = 0; at < value.length; at += 1) {
    const changed = value.slice();
    changed[at] = (changed[at] as number) ^ bit;
    yield changed;
  }
}

export function hex(text: string): Bytes {
  return Uint8Array.from(text.match(/../g) ?? [], (byte) => Number.parseInt(byte, 16));
}

/** It is refused with one of these codes, and with nothing else. */
export async function refused(attempt: () => unknown, ...codes: CryptoCode[]): Promise<void> {
  const error: unknown = await (async () => attempt())().then(
    () => "nothing was refused",
    (reason) => reason,
  );
  expect(error).toBeInstanceOf(CryptoError);
  expect(codes.length ? codes : [(error as CryptoError).code]).toContain((error as CryptoError).code);
}
