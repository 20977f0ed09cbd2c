/** The persistent outbox: a message is here from before it is first sent until it is accepted or discarded. */

import type { MessageId, RoomId } from "../protocol/ids";
import { messageId } from "../protocol/ids";
import type { Problem } from "../protocol/problems";
import type { Db } from "./db";
import type { OutboxRecord } from "./schema";
import { valuesIn } from "./values";

/**
 * Keep a message. Its `sentAt` is later than that of every other message that this device ever wrote, in whichever tab, so it
 * orders them; and its id is made of that time, so an id orders them, too.
 */
export async function write(db: Db, room: RoomId, text: string, now: number): Promise<OutboxRecord> {
  const random = crypto.getRandomValues(new Uint8Array(10));
  const tx = db.transaction(["outbox", "values"], "readwrite");
  const values = valuesIn(tx.objectStore("values"));
  const sentAt = Math.max(now, ((await values.get("stamp")) ?? 0) + 1);
  values.put("stamp", sentAt);
  const id = messageId(sentAt, random);
  const record: OutboxRecord = { order: orderOf(sentAt, id), id, room, sentAt, text, failed: null };
  tx.objectStore("outbox").add(record);
  await tx.done;
  return record;
}

function orderOf(sentAt: number, id: MessageId): string {
  return `${String(sentAt).padStart(15, "0")} ${id}`;
}

/** What waits and what has failed, in the order of writing. */
export function outboxIn(db: Db): Promise<OutboxRecord[]> {
  return db.getAll("outbox");
}

export function outboxOf(db: Db, room: RoomId): Promise<OutboxRecord[]> {
  return db.getAllFromIndex("outbox", "room", IDBKeyRange.bound([room, ""], [room, "\uffff"]));
}

export function findUnsent(db: Db, id: MessageId): Promise<OutboxRecord | undefined> {
  return db.getFromIndex("outbox", "id", id);
}

/** Refused for good; it stays until the user discards it. */
export async function failMessage(db: Db, id: MessageId, problem: Problem): Promise<void> {
  const tx = db.transaction("outbox", "readwrite");
  const record = await tx.store.index("id").get(id);
  if (record !== undefined) tx.store.put({ ...record, failed: problem });
  await tx.done;
}

/** The server has these: they are not sent again, and stay until their entries come. */
export async function markAccepted(db: Db, ids: readonly MessageId[]): Promise<Set<RoomId>> {
  const rooms = new Set<RoomId>();
  const tx = db.transaction("outbox", "readwrite");
  for (const id of ids) {
    const record = await tx.store.index("id").get(id);
    if (record === undefined) continue;
    tx.store.put({ ...record, accepted: true, failed: null });
    rooms.add(record.room);
  }
  await tx.done;
  return rooms;
}

/** A refused message of the mailbox was written once more. */
export async function markResent(db: Db, id: MessageId): Promise<void> {
  const tx = db.transaction("entries", "readwrite");
  const record = await tx.store.index("message").get(id);
  if (record !== undefined) tx.store.put({ ...record, resent: true });
  await tx.done;
}

/** Discarded. False when there is none of that id (any more). */
export async function removeUnsent(db: Db, id: MessageId): Promise<boolean> {
  const tx = db.transaction("outbox", "readwrite");
  const order = await tx.store.index("id").getKey(id);
  if (order !== undefined) tx.store.delete(order);
  await tx.done;
  return order !== undefined;
}
