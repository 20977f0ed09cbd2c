/** Single values of the device, by their names. */

import type { Notice } from "../messenger";
import type { Tokens } from "../protocol/answers";
import type { Progress } from "../protocol/book";
import type { DeviceId, UserId } from "../protocol/ids";
import type { Settings } from "../protocol/relations";
import type { Db } from "./db";

export interface Values {
  /** Who this device is; missing: nobody is signed in. */
  identity: { user: UserId; username: string; device: DeviceId; deviceName: string };
  /** Missing beside an identity: the server has signed this device out. */
  tokens: Tokens;
  readReceipts: boolean;
  /** The `sent_at` that this device has given last: the greatest, unless one was far ahead of the time (store/outbox.ts). */
  stamp: number;
  /** Every entry from `low` up to `stored` is here. */
  stored: number;
  low: number;
  /** A new device is reading its history, and has not acknowledged anything yet. */
  begun: true;
  /** How complete the copy of the connections is (protocol/book.ts), and what the server knows of that. */
  progress: Progress;
  reported: number;
  settings: { version: number; settings: Settings };
  consistency: string;
  discloses: boolean;
  notices: readonly Notice[];
  /** The user wants Web Push on this device, and with which key of the server's it was subscribed (device/push.ts). */
  push: string;
}

export async function getValue<Name extends keyof Values>(db: Db, name: Name): Promise<Values[Name] | undefined> {
  return (await db.get("values", name)) as Values[Name] | undefined;
}

export async function putValue<Name extends keyof Values>(db: Db, name: Name, value: Values[Name]): Promise<void> {
  await db.put("values", value, name);
}

export function forgetValue(db: Db, name: keyof Values): Promise<void> {
  return db.delete("values", name);
}

/** Somebody else is signed in here by now, or nobody is. */
export class OtherDevice extends Error {}

/**
 * Within a transaction over `values`: what was asked for as this device is kept only while it still is this device. Otherwise
 * something of one account would be left for the next one.
 */
export async function requireDevice(
  store: { get(name: string): Promise<unknown> },
  who: { user: UserId; device?: DeviceId },
): Promise<void> {
  const identity = (await store.get("identity")) as Values["identity"] | undefined;
  if (identity?.user !== who.user || (who.device !== undefined && identity.device !== who.device)) {
    throw new OtherDevice("what came is for a device that is signed out");
  }
}

/** The same within a transaction over `values`. */
export function valuesIn(store: {
  get(name: string): Promise<unknown>;
  put(value: unknown, name: string): Promise<unknown>;
  delete(name: string): Promise<void>;
}) {
  return {
    get: async <Name extends keyof Values>(name: Name) => (await store.get(name)) as Values[Name] | undefined,
    put: <Name extends keyof Values>(name: Name, value: Values[Name]) => store.put(value, name),
    delete: (name: keyof Values) => store.delete(name),
  };
}
