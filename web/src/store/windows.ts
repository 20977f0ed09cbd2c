/** A room's rows out of the store, some at a time: nothing that is not shown is read. */

import type { RoomId } from "../protocol/ids";
import type { Db } from "./db";
import type { EntryRecord } from "./schema";

const END = Number.POSITIVE_INFINITY;

/** At most `limit` rows of a room below a seq, in the order of seq: the newest of them. */
export async function rowsBefore(db: Db, room: RoomId, before: number, limit: number): Promise<EntryRecord[]> {
  const index = db.transaction("entries").store.index("room");
  const below = IDBKeyRange.bound([room, 0], [room, before], false, true);
  // The way back to where the window begins goes over keys alone; then its rows come at once.
  const cursor = await index.openKeyCursor(below, "prev");
  if (cursor === null) return [];
  const first = limit > 1 ? await cursor.advance(limit - 1) : cursor;
  if (first === null) return index.getAll(below);
  return index.getAll(IDBKeyRange.bound(first.key, [room, before], false, true));
}

/** At most `limit` rows of a room from a seq on, in the order of seq. */
export function rowsFrom(db: Db, room: RoomId, from: number, limit: number): Promise<EntryRecord[]> {
  return db.getAllFromIndex("entries", "room", IDBKeyRange.bound([room, from], [room, END]), limit);
}

/** The rows of a room between two seqs, both of them included. */
export function rowsBetween(db: Db, room: RoomId, first: number, last: number): Promise<EntryRecord[]> {
  return db.getAllFromIndex("entries", "room", IDBKeyRange.bound([room, first], [room, last]));
}

/** Whether there is a row of the room below a seq. */
export async function hasBefore(db: Db, room: RoomId, before: number): Promise<boolean> {
  const below = IDBKeyRange.bound([room, 0], [room, before], false, true);
  return (await db.getKeyFromIndex("entries", "room", below)) !== undefined;
}
