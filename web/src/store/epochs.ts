/** Epochs of rooms as this device has them: signed records, wraps, keys once they are opened, and who can read. */

import type { RoomId, UserId } from "../protocol/ids";
import type { Db } from "./db";
import type { EpochRecord, PlaceRecord, RosterRecord } from "./schema";

export type Change = NonNullable<EpochRecord["change"]>;
/** An epoch by its place. */
export type At = readonly [RoomId, number];

const byRoom = (room: RoomId) => IDBKeyRange.bound([room, 0], [room, Number.MAX_SAFE_INTEGER]);
const under = (prefix: string) => IDBKeyRange.bound(prefix, `${prefix}\uffff`);

/** Keep epochs. A record that is here stays, whatever comes later under its number; a wrap may come later. */
export async function putEpochs(db: Db, rows: readonly EpochRecord[]): Promise<void> {
  const tx = db.transaction(["epochs", "wanted"], "readwrite");
  for (const row of rows) await putIn(tx.objectStore("epochs"), tx.objectStore("wanted"), row);
  await tx.done;
}

async function putIn(
  epochs: { get(at: [RoomId, number]): Promise<EpochRecord | undefined>; put(row: EpochRecord): unknown },
  wanted: { put(value: unknown, name: string): unknown; delete(name: string): unknown },
  row: EpochRecord,
): Promise<void> {
  const look = `look:${row.room}:${row.epoch}`;
  const known = await epochs.get([row.room, row.epoch]);
  if (known === undefined) {
    epochs.put(row);
    if (row.wrap === null && row.key === null) wanted.put([row.room, row.epoch], look);
    return;
  }
  const isSame =
    known.payload.length === row.payload.length && known.payload.every((byte, at) => byte === row.payload[at]);
  if (row.wrap === null || known.key !== null || !isSame) return;
  epochs.put({ ...known, wrap: row.wrap, key: row.key });
  wanted.delete(look);
}

export function findEpoch(db: Db, room: RoomId, epoch: number): Promise<EpochRecord | undefined> {
  return db.get("epochs", [room, epoch]);
}

/** The epoch of a room with the highest number. */
export async function newestEpoch(db: Db, room: RoomId): Promise<EpochRecord | null> {
  const cursor = await db.transaction("epochs").store.openCursor(byRoom(room), "prev");
  return cursor?.value ?? null;
}

/** The epochs of a room that are here with a wrap, in order. */
export async function wrappedEpochs(db: Db, room: RoomId): Promise<readonly EpochRecord[]> {
  return (await db.getAll("epochs", byRoom(room))).filter((row) => row.wrap !== null);
}

/** Those of the epochs that are not here, or without a key for this user. */
export async function missingEpochs(db: Db, wanted: readonly At[]): Promise<readonly At[]> {
  const { store } = db.transaction("epochs");
  const rows = await Promise.all(wanted.map(([room, epoch]) => store.get([room, epoch])));
  return wanted.filter((_, at) => (rows[at]?.wrap ?? null) === null && (rows[at]?.key ?? null) === null);
}

/** Epochs that are known, with no key for this user. */
export async function lackingEpochs(db: Db): Promise<readonly At[]> {
  return (await db.getAll("wanted", under("look:"))) as At[];
}

/** Epochs whose wrap is here and was never opened. */
export async function closedEpochs(db: Db): Promise<readonly At[]> {
  const rows = await db.getAll("epochs");
  return rows.filter((row) => row.wrap !== null && row.key === null).map((row) => [row.room, row.epoch]);
}

async function changeEpoch(db: Db, room: RoomId, epoch: number, change: Partial<EpochRecord>): Promise<void> {
  const tx = db.transaction("epochs", "readwrite");
  const row = await tx.store.get([room, epoch]);
  if (row !== undefined) tx.store.put({ ...row, ...change });
  await tx.done;
}

export function keepKey(db: Db, room: RoomId, epoch: number, key: CryptoKey): Promise<void> {
  return changeEpoch(db, room, epoch, { key });
}

/** Nothing is sealed under this epoch any more. */
export function outdate(db: Db, room: RoomId, epoch: number): Promise<void> {
  return changeEpoch(db, room, epoch, { outdated: true });
}

/** The number of the entry that told of an epoch. */
export function keepSeq(db: Db, room: RoomId, epoch: number, seq: number): Promise<void> {
  return changeEpoch(db, room, epoch, { seq });
}

export function findRoster(db: Db, room: RoomId): Promise<RosterRecord | undefined> {
  return db.get("rosters", room);
}

/** The signed list of an epoch, and what it changed. The list of an older one goes: those of large rooms are large. */
export async function keepRoster(db: Db, roster: RosterRecord, change: Change | null): Promise<void> {
  const tx = db.transaction(["rosters", "epochs"], "readwrite");
  const known = await tx.objectStore("rosters").get(roster.room);
  if (known === undefined || known.epoch <= roster.epoch) tx.objectStore("rosters").put(roster);
  const row = change === null ? undefined : await tx.objectStore("epochs").get([roster.room, roster.epoch]);
  if (row !== undefined) tx.objectStore("epochs").put({ ...row, change });
  await tx.done;
}

/** What kind of room it is, as this device first learned it: that never changes. */
export async function pinPlace(db: Db, place: PlaceRecord): Promise<PlaceRecord> {
  const tx = db.transaction("places", "readwrite");
  const pinned = (await tx.store.get(place.room)) ?? place;
  tx.store.put(pinned);
  await tx.done;
  return pinned;
}

export function findPlace(db: Db, room: RoomId): Promise<PlaceRecord | undefined> {
  return db.get("places", room);
}

/** How many messages this device knows under an epoch, up to `most`. */
export async function countUnder(db: Db, { room, epoch, seq }: EpochRecord, most: number): Promise<number> {
  const end = [room, Number.MAX_SAFE_INTEGER] as [RoomId, number];
  const index = db.transaction("entries").store.index("room");
  // Nearly all that follows the entry of an epoch in its room is a message under it.
  if (seq !== null) return Math.min(most, await index.count(IDBKeyRange.bound([room, seq], end)));
  let count = 0;
  const range = IDBKeyRange.bound([room, 0], end);
  for (let cursor = await index.openCursor(range, "prev"); cursor !== null; cursor = await cursor.continue()) {
    if (cursor.value.kind !== "message") continue;
    if (typeof cursor.value.data.epoch === "number" && cursor.value.data.epoch < epoch) break;
    count += 1;
    if (count >= most) break;
  }
  return count;
}

// Keys of earlier epochs for who came later: to be given until the server has taken them.

export interface Share {
  readonly room: RoomId;
  readonly user: UserId;
  /** ms since 1970. */
  readonly dueAt: number;
  /** The `members_version` of the entry that told of the user; 0: none did, but the server says that the user wants keys. */
  readonly told: number;
  /** Until when others may give more than this device has, ms since 1970: what was said first holds. */
  readonly othersUntil?: number;
}

const nameOf = (room: RoomId, user: UserId) => `share:${room}:${user}`;

/** Give a user the keys of a room's epochs, at this time or, if that is earlier, when it was to be before. */
export async function wantShare(db: Db, share: Share): Promise<void> {
  const tx = db.transaction("wanted", "readwrite");
  const name = nameOf(share.room, share.user);
  const known = (await tx.store.get(name)) as Share | undefined;
  const { dueAt, told } = known ?? share;
  const both = { dueAt: Math.min(dueAt, share.dueAt), told: Math.max(told, share.told) };
  tx.store.put({ ...known, ...share, ...both }, name);
  await tx.done;
}

/** What is to be given, the earliest first. */
export async function shares(db: Db): Promise<readonly Share[]> {
  const found = (await db.getAll("wanted", under("share:"))) as Share[];
  return found.sort((one, other) => one.dueAt - other.dueAt);
}

/** Try again later. */
export async function postponeShare(db: Db, share: Share): Promise<void> {
  await db.put("wanted", share, nameOf(share.room, share.user));
}

/** Given, or not needed. */
export function settleShare(db: Db, room: RoomId, user: UserId): Promise<void> {
  return db.delete("wanted", nameOf(room, user));
}

// How far a new device has read the keys of all rooms.

/** `after`: behind what the next page begins, null: from the beginning. Undefined: all is read. */
export async function restoredTo(db: Db): Promise<{ after: string | null; done: number } | undefined> {
  const found = (await db.get("wanted", "restored")) as
    | { after: string | null; done: number; whole: boolean }
    | undefined;
  return found?.whole ? undefined : (found ?? { after: null, done: 0 });
}

/** A page of them: keep it, and how far that is. `next` null: it was the last. */
export async function putRestored(
  db: Db,
  rows: readonly EpochRecord[],
  next: string | null,
  done: number,
): Promise<void> {
  const tx = db.transaction(["epochs", "wanted"], "readwrite");
  for (const row of rows) await putIn(tx.objectStore("epochs"), tx.objectStore("wanted"), row);
  tx.objectStore("wanted").put({ after: next, done, whole: next === null }, "restored");
  await tx.done;
}
