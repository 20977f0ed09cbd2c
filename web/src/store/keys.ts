/** Keys at rest: this device's own, of which no script can read the private halves, and others' documents, pinned. */

import type { DeviceId, UserId } from "../protocol/ids";
import type { Db } from "./db";
import type { DocumentRecord } from "./schema";

export interface StoredPair {
  readonly privateKey: CryptoKey;
  readonly publicKey: CryptoKey;
  readonly public: Uint8Array<ArrayBuffer>;
}

/** What this device signs with, and what boxes for it are sealed to. */
export interface DeviceKeys {
  readonly device: DeviceId;
  readonly signing: StoredPair;
  readonly box: StoredPair;
}

/** One version of the user's encryption key. */
export interface StoredKey extends StoredPair {
  readonly version: number;
}

/** A request that may have come through, and what it brings if it did. */
export interface Pending {
  readonly method: "PUT" | "POST";
  readonly path: string;
  readonly body: Readonly<Record<string, unknown>>;
  /** Who sends it. */
  readonly device: DeviceId;
  readonly ifMatch: number | null;
  readonly key: StoredKey | null;
  /** A recovery key's text. */
  readonly recoveryKey: string | null;
  /** The key is the first one of a new identity. */
  readonly isReset: boolean;
  /** Nothing was left out of what is kept, so it can be sent again. */
  readonly isWhole: boolean;
}

/** The name under which an account may just have been made, and the parameters of its password as they travel. */
export interface Registering {
  readonly username: string;
  readonly kdf: unknown;
}

const KEY = "uek:";
const KEYS = () => IDBKeyRange.bound(KEY, `${KEY}\uffff`);

export async function deviceKeys(db: Db): Promise<DeviceKeys | undefined> {
  return (await db.get("keys", "device")) as DeviceKeys | undefined;
}

/** Keys for this device; those of an earlier sign-in are gone. */
export async function beginDevice(db: Db, keys: DeviceKeys): Promise<void> {
  const tx = db.transaction(["keys", "wanted"], "readwrite");
  tx.objectStore("keys").put(keys, "device");
  tx.objectStore("keys").delete(KEYS());
  tx.objectStore("wanted").delete("registering");
  await tx.done;
}

export async function encryptionKey(db: Db, version: number): Promise<StoredKey | undefined> {
  return (await db.get("keys", KEY + version)) as StoredKey | undefined;
}

/** Versions of the encryption key that are here, in no order. */
export async function versions(db: Db): Promise<readonly number[]> {
  return (await db.getAllKeys("keys", KEYS())).map((name) => Number(name.slice(KEY.length)));
}

/** Keep these too. False when all of them were here. */
export async function addKeys(db: Db, keys: readonly StoredKey[]): Promise<boolean> {
  const tx = db.transaction("keys", "readwrite");
  const before = await tx.store.count(KEYS());
  for (const key of keys) tx.store.put(key, KEY + key.version);
  const after = await tx.store.count(KEYS());
  await tx.done;
  return after > before;
}

/** Keep these and no others. */
export async function onlyKeys(db: Db, keys: readonly StoredKey[]): Promise<void> {
  const tx = db.transaction("keys", "readwrite");
  tx.store.delete(KEYS());
  for (const key of keys) tx.store.put(key, KEY + key.version);
  await tx.done;
}

/** The recovery key's text, until the user has written it down. */
export async function recoveryKey(db: Db): Promise<string | null> {
  return ((await db.get("keys", "recovery")) as string | undefined) ?? null;
}

export function forgetRecoveryKey(db: Db): Promise<void> {
  return db.delete("keys", "recovery");
}

export async function pending(db: Db): Promise<Pending | null> {
  return ((await db.get("wanted", "pending")) as Pending | undefined) ?? null;
}

/** Note the request that is sent next; null: it came to nothing. */
export async function waitFor(db: Db, pending: Pending | null): Promise<void> {
  await (pending === null ? db.delete("wanted", "pending") : db.put("wanted", pending, "pending"));
}

/** It has been taken: what it brings is this device's from now on. */
export async function settle(db: Db, pending: Pending): Promise<void> {
  const tx = db.transaction(["keys", "wanted"], "readwrite");
  const keys = tx.objectStore("keys");
  if (pending.isReset) keys.delete(KEYS());
  if (pending.key !== null) keys.put(pending.key, KEY + pending.key.version);
  if (pending.recoveryKey !== null) keys.put(pending.recoveryKey, "recovery");
  tx.objectStore("wanted").delete("pending");
  await tx.done;
}

export async function registering(db: Db): Promise<Registering | null> {
  return ((await db.get("wanted", "registering")) as Registering | undefined) ?? null;
}

export async function keepRegistering(db: Db, what: Registering): Promise<void> {
  await db.put("wanted", what, "registering");
}

/** When the newest message of all rooms was accepted (ms); 0 without one. */
export async function newestAccepted(db: Db): Promise<number> {
  const rooms = await db.getAll("rooms");
  return rooms.reduce((newest, room) => Math.max(newest, room.lastAt), 0);
}

// Documents.

export function document(db: Db, user: UserId): Promise<DocumentRecord | undefined> {
  return db.get("documents", user);
}

export async function documents(db: Db, users: readonly UserId[]): Promise<readonly (DocumentRecord | undefined)[]> {
  const { store } = db.transaction("documents");
  return Promise.all(users.map((user) => store.get(user)));
}

/** A document to be taken in the place of the one with the digest `before` (null: there was none). */
export interface Taking {
  readonly document: Omit<DocumentRecord, "older">;
  readonly before: string | null;
  /** Another identity than before: the document before is given up from then on (seconds). */
  readonly ended: number | null;
}

/** Take documents. Answers whose were not: another tab has taken another one meanwhile, against which nobody has looked. */
export async function take(db: Db, takings: readonly Taking[]): Promise<readonly UserId[]> {
  const tx = db.transaction(["documents", "keys"], "readwrite");
  const store = tx.objectStore("documents");
  const overtaken: UserId[] = [];
  const replaced: UserId[] = [];
  for (const { document, before, ended } of takings) {
    const now = await store.get(document.user);
    if ((now?.digest ?? null) !== before) {
      overtaken.push(document.user);
      continue;
    }
    const older = now?.older ?? [];
    if (ended !== null) replaced.push(document.user);
    const left = now !== undefined && ended !== null ? [{ seq: now.seq, envelope: now.envelope, ended }] : [];
    store.put({ ...document, older: [...left, ...older] });
  }
  if (replaced.length > 0) {
    const names = tx.objectStore("keys");
    const compared = { ...((await names.get("compared")) as Compared | undefined) };
    for (const user of replaced) if (user in compared) compared[user] = "";
    names.put(compared, "compared");
  }
  await tx.done;
  return overtaken;
}

/** A document by which old messages can be verified. */
export async function keepOlder(db: Db, user: UserId, seq: number, envelope: unknown): Promise<void> {
  const tx = db.transaction("documents", "readwrite");
  const now = await tx.store.get(user);
  if (now?.older.every((one) => one.seq !== seq || one.ended !== null))
    tx.store.put({ ...now, older: [...now.older, { seq, envelope, ended: null }] });
  await tx.done;
}

/**
 * Whose identity key the user has compared, and which (base64url). Empty: one was compared, and another came after it. That
 * stays so until the user compares again, whatever comes.
 */
export type Compared = Record<UserId, string>;

export async function compared(db: Db): Promise<Compared> {
  return ((await db.get("keys", "compared")) as Compared | undefined) ?? {};
}

/** The user has compared this identity key, of the document with this digest; or takes that back (null). False for another document. */
export async function compare(
  db: Db,
  user: UserId,
  what: { identity: string; digest: string } | null,
): Promise<boolean> {
  const tx = db.transaction(["keys", "documents"], "readwrite");
  const keys = tx.objectStore("keys");
  const { [user]: _, ...others } = ((await keys.get("compared")) as Compared | undefined) ?? {};
  const isNow = what === null || (await tx.objectStore("documents").get(user))?.digest === what.digest;
  if (isNow) keys.put(what === null ? others : { ...others, [user]: what.identity }, "compared");
  await tx.done;
  return isNow;
}
