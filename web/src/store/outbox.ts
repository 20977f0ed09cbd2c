/** The persistent outbox: a message is here from before it is first sent until it is accepted or discarded. */

import type { MessageId, RoomId } from "../protocol/ids";
import { messageId } from "../protocol/ids";
import type { Problem } from "../protocol/problems";
import { type Db, type Writing, whole } from "./db";
import type { EntryRecord, OutboxRecord } from "./schema";
import { valuesIn } from "./values";

/** The server takes no id whose time is further from its own. */
const DAY_MS = 86_400_000;
const NAMES = ["outbox", "values", "marks"] as const;
type Tx = Writing<[...typeof NAMES]>;

/**
 * Keep a message. Its `sentAt` is later than that of every other message of this device that a server has or may take, in whichever
 * tab it was written, so it orders them; and its id is made of that time, so an id orders them, too.
 */
export async function write(db: Db, room: RoomId, text: string, now: number): Promise<OutboxRecord> {
  const tx = db.transaction(NAMES, "readwrite") as Tx;
  return whole(tx, () => add(tx, { room, text, fresh: true }, now));
}

/** A message that has failed, or was refused by somebody. Null for any other, and where it was written again. */
export async function findRefused(db: Db, id: MessageId): Promise<{ room: RoomId; text: string } | null> {
  const tx = db.transaction(["outbox", "entries"]);
  return (await refusedIn(tx.objectStore("outbox"), tx.objectStore("entries"), id))?.what ?? null;
}

/** The same text as another message; the one before has been written again, or is gone if no server has it. Null as above. */
export async function writeAgain(db: Db, id: MessageId, now: number): Promise<OutboxRecord | null> {
  const tx = db.transaction(["outbox", "values", "marks", "entries"], "readwrite");
  return whole(tx, async () => {
    const [outbox, entries] = [tx.objectStore("outbox"), tx.objectStore("entries")];
    const refused = await refusedIn(outbox, entries, id);
    if (refused === null) return null;
    const { what, unsent, sent } = refused;
    if (unsent !== undefined) outbox.delete(unsent.order);
    if (sent !== undefined) entries.put({ ...sent, resent: true });
    return add(tx as unknown as Tx, { ...what, fresh: true }, now);
  });
}

async function refusedIn(
  outbox: { index(name: "id"): { get(id: MessageId): Promise<OutboxRecord | undefined> } },
  entries: { index(name: "message"): { get(id: MessageId): Promise<EntryRecord | undefined> } },
  id: MessageId,
) {
  const unsent = await outbox.index("id").get(id);
  const sent = unsent === undefined ? await entries.index("message").get(id) : undefined;
  const { room, text } = unsent ?? sent ?? {};
  const isRefused = unsent?.failed != null || (sent?.refused != null && !sent.resent);
  return isRefused && room != null && text != null ? { what: { room, text }, unsent, sent } : null;
}

/** The same message with another id and time, as the server has it `now`. Null if it does not wait any more. It is renewed once. */
export async function renew(db: Db, id: MessageId, now: number): Promise<OutboxRecord | null> {
  const tx = db.transaction(NAMES, "readwrite") as Tx;
  const record = await tx.objectStore("outbox").index("id").get(id);
  let renewed: OutboxRecord | null = null;
  if (record !== undefined && record.failed === null) {
    tx.objectStore("outbox").delete(record.order);
    renewed = await add(tx, { room: record.room, text: record.text }, now);
  }
  await tx.done;
  return renewed;
}

async function add(tx: Tx, what: Pick<OutboxRecord, "room" | "text" | "fresh">, now: number): Promise<OutboxRecord> {
  const sentAt = await nextTime(tx, what.room, now);
  valuesIn(tx.objectStore("values")).put("stamp", sentAt);
  const id = messageId(sentAt, crypto.getRandomValues(new Uint8Array(10)));
  const record: OutboxRecord = { ...what, order: orderOf(sentAt, id), id, sentAt, failed: null };
  tx.objectStore("outbox").add(record);
  return record;
}

/**
 * What was stamped more than a day ahead, by a clock that was wrong, no server has taken or will take: it counts for nothing, or
 * everything from then on would be refused with it.
 */
async function nextTime(tx: Tx, room: RoomId, now: number): Promise<number> {
  const values = valuesIn(tx.objectStore("values"));
  const stamp = (await values.get("stamp")) ?? 0;
  const device = (await values.get("identity"))?.device;
  const mark = device === undefined ? undefined : await tx.objectStore("marks").get([room, device]);
  const untilThen = IDBKeyRange.bound([room, ""], [room, paddedOf(now + DAY_MS)]);
  const last = await tx.objectStore("outbox").index("room").openCursor(untilThen, "prev");
  return Math.max(now, stamp > now + DAY_MS ? 0 : stamp + 1, (mark?.sentAt ?? 0) + 1, (last?.value.sentAt ?? 0) + 1);
}

function paddedOf(sentAt: number): string {
  return String(sentAt).padStart(15, "0");
}

function orderOf(sentAt: number, id: MessageId): string {
  return `${paddedOf(sentAt)} ${id}`;
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

/** These may be on their way from now on. */
export async function markLeaving(db: Db, ids: readonly MessageId[]): Promise<void> {
  const tx = db.transaction("outbox", "readwrite");
  for (const id of ids) {
    const record = await tx.store.index("id").get(id);
    if (record === undefined) continue;
    const { fresh: _, ...rest } = record;
    tx.store.put(rest);
  }
  await tx.done;
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

/** Discarded. False when there is none of that id (any more). */
export async function removeUnsent(db: Db, id: MessageId): Promise<boolean> {
  const tx = db.transaction("outbox", "readwrite");
  const order = await tx.store.index("id").getKey(id);
  if (order !== undefined) tx.store.delete(order);
  await tx.done;
  return order !== undefined;
}
