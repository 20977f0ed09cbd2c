/**
 * What is being written: with its room, which is read before it is written. For that there is no time when the page goes; so then
 * it is put down beside, in one step, counts before what stands with the room, and is taken up with the next start.
 */

import type { RoomId } from "../protocol/ids";
import type { Db } from "./db";

const BESIDE = "draft ";
const nameOf = (room: RoomId) => `${BESIDE}${room}`;

export async function draftOf(db: Db, room: RoomId): Promise<string> {
  const tx = db.transaction(["rooms", "values"]);
  const [beside, known] = await Promise.all([
    tx.objectStore("values").get(nameOf(room)) as Promise<string | undefined>,
    tx.objectStore("rooms").get(room),
  ]);
  return beside ?? known?.draft ?? "";
}

export async function keepDraft(db: Db, room: RoomId, draft: string): Promise<void> {
  const tx = db.transaction(["rooms", "values"], "readwrite");
  const known = await tx.objectStore("rooms").get(room);
  if (known !== undefined) tx.objectStore("rooms").put({ ...known, draft });
  tx.objectStore("values").delete(nameOf(room));
  await tx.done;
}

/** Keep with their rooms what was put down beside them. */
export async function takeUpDrafts(db: Db): Promise<void> {
  const names = await db.getAllKeys("values", IDBKeyRange.bound(BESIDE, `${BESIDE}\uffff`));
  for (const name of names) {
    const room = name.slice(BESIDE.length) as RoomId;
    await keepDraft(db, room, await draftOf(db, room));
  }
}

/** All that is to be done is asked for before this returns. */
export async function putDraftDown(db: Db, room: RoomId, draft: string): Promise<void> {
  const tx = db.transaction("values", "readwrite");
  const put = tx.store.put(draft, nameOf(room));
  tx.commit();
  await Promise.all([put, tx.done]);
}
