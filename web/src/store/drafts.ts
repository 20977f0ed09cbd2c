/**
 * What is being written: with its room, which is read before it is written. For that there is no time when the page goes; so then
 * it is put down beside, counts before what stands with the room, and is taken up with the next start.
 *
 * Beside is the browser's local storage: what is put there is there at once. A transaction of the database waits for those before
 * it, and one that has not begun when the page goes is never done. Where there is no such storage, or no more place in it, it is
 * tried all the same.
 */

import type { RoomId } from "../protocol/ids";
import type { Db } from "./db";

const BESIDE = "draft ";
const nameOf = (room: RoomId) => `${BESIDE}${room}`;

const PUT_DOWN = "letterlock.draft ";
const putDownOf = (room: RoomId) => `${PUT_DOWN}${room}`;

export async function draftOf(db: Db, room: RoomId): Promise<string> {
  const putDown = putDownFor(room);
  if (putDown !== null) return putDown;
  const tx = db.transaction(["rooms", "values"]);
  const [beside, known] = await Promise.all([
    tx.objectStore("values").get(nameOf(room)) as Promise<string | undefined>,
    tx.objectStore("rooms").get(room),
  ]);
  return beside ?? known?.draft ?? "";
}

export async function keepDraft(db: Db, room: RoomId, draft: string): Promise<void> {
  const putDown = putDownFor(room);
  const tx = db.transaction(["rooms", "values"], "readwrite");
  const known = await tx.objectStore("rooms").get(room);
  if (known !== undefined) tx.objectStore("rooms").put({ ...known, draft });
  tx.objectStore("values").delete(nameOf(room));
  await tx.done;
  // Not before: this may be the last that is done here. What was put down meanwhile is newer than what was kept.
  if (putDown !== null && putDownFor(room) === putDown) putDowns()?.removeItem(putDownOf(room));
}

/** Keep with their rooms what was put down beside them. */
export async function takeUpDrafts(db: Db): Promise<void> {
  const names = await db.getAllKeys("values", IDBKeyRange.bound(BESIDE, `${BESIDE}\uffff`));
  const beside = [...names.map((name) => name.slice(BESIDE.length)), ...roomsPutDown()] as RoomId[];
  for (const room of new Set(beside)) await keepDraft(db, room, await draftOf(db, room));
}

/** It is put down when this returns, or at least all that is to be done is asked for. */
export async function putDraftDown(db: Db, room: RoomId, draft: string): Promise<void> {
  try {
    const there = putDowns();
    if (there !== null) {
      there.setItem(putDownOf(room), draft);
      return;
    }
  } catch {
    // It is full. What was put down there before is older.
    putDowns()?.removeItem(putDownOf(room));
  }
  const tx = db.transaction("values", "readwrite");
  const put = tx.store.put(draft, nameOf(room));
  tx.commit();
  await Promise.all([put, tx.done]);
}

/** Nothing that was put down is left for who comes next. */
export function forgetPutDown(): void {
  for (const room of roomsPutDown()) putDowns()?.removeItem(putDownOf(room));
}

/** Null where storage is forbidden, or where there is none. */
function putDowns(): Storage | null {
  try {
    return globalThis.localStorage ?? null;
  } catch {
    return null;
  }
}

function putDownFor(room: RoomId): string | null {
  return putDowns()?.getItem(putDownOf(room)) ?? null;
}

function roomsPutDown(): RoomId[] {
  const there = putDowns();
  const names = Array.from({ length: there?.length ?? 0 }, (_, n) => there?.key(n) ?? "");
  return names.filter((name) => name.startsWith(PUT_DOWN)).map((name) => name.slice(PUT_DOWN.length) as RoomId);
}
