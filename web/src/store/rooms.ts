/** Rooms as last seen: what the server told of them, and what the entries of the mailbox make of them. */

import { peerOf, type Room } from "../protocol/answers";
import type { MessageEntry, RoomEntry } from "../protocol/entries";
import type { RoomId, UserId } from "../protocol/ids";
import { Malformed } from "../protocol/shape";
import type { Db } from "./db";
import { keepName } from "./people";
import type { EntryRecord, PlaceRecord, PreviewRecord, RoomRecord } from "./schema";
import { requireDevice } from "./values";

const PREVIEW = 200; // characters

/** A room of which nothing is known yet but that it is there. */
export function unknownRoom(id: RoomId): RoomRecord {
  return {
    id,
    kind: "group",
    peer: null,
    membersVersion: 0,
    epoch: 0,
    history: "joined",
    createdAt: 0,
    members: [],
    readSeq: 0,
    readTold: 0,
    unread: 0,
    lastSeq: 0,
    lastAt: 0,
    muted: false,
    draft: "",
    outdated: true,
    preview: null,
  };
}

/** What this device was told first of a room; null for one of which nothing is known yet but that it is there. */
export function placeOf({ id, kind, peer, members, history }: RoomRecord): PlaceRecord | null {
  return members.length > 0 || peer !== null ? { room: id, kind, peer, history } : null;
}

/** What a message makes of its room: the first one of an unknown room tells whether it is a direct one, and with whom. */
export function withMessage(room: RoomRecord, entry: MessageEntry, record: EntryRecord, me: UserId): RoomRecord {
  let next = room;
  if (entry.recipient !== null && room.members.length === 0 && room.peer === null) {
    next = { ...next, kind: "direct", peer: entry.sender === me ? entry.recipient : entry.sender };
  }
  // History tells up to where the user has read; what comes live tells nothing.
  if (entry.read && entry.sender !== me && entry.seq > next.readSeq) {
    next = { ...next, readSeq: entry.seq, readTold: Math.max(next.readTold, entry.seq) };
  }
  if (record.unread === 1 && !entry.read && entry.seq > next.readSeq) next = { ...next, unread: next.unread + 1 };
  if (entry.seq > next.lastSeq) {
    next = { ...next, lastSeq: entry.seq, lastAt: entry.accepted_at, preview: previewOf(record) };
  }
  return next;
}

/** What stands in the list of rooms of a message. */
export function previewOf(record: EntryRecord): PreviewRecord {
  const { sender, device, delivered, read } = record.data as unknown as MessageEntry;
  const text = record.refused ? null : (record.text?.slice(0, PREVIEW) ?? null);
  return { seq: record.seq, sender, device, text, delivered, read };
}

/** What a change of its members makes of a room. */
export function withChange(room: RoomRecord, entry: RoomEntry, me: UserId): RoomRecord {
  if (entry.members_version <= room.membersVersion) return room;
  const gone = entry.change === "removed" || entry.change === "left" ? new Set(entry.users) : new Set<UserId>();
  const members = room.members.filter((member) => !gone.has(member.user));
  // Who is out of it cannot ask for it any more. Its messages stay.
  return { ...room, membersVersion: entry.members_version, members, outdated: !gone.has(me) };
}

/**
 * Keep a room as the server tells it now, unless a newer state of it has been seen. Whether it is a direct one, with whom, and
 * for whom its history is, counts as it was told first: another kind or peer is refused (`Malformed`), another history ignored.
 */
export async function keepRoom(db: Db, given: Room, me: UserId, now: number): Promise<RoomRecord> {
  const tx = db.transaction(["rooms", "people", "values", "places"], "readwrite");
  await requireDevice(tx.objectStore("values"), { user: me });
  const rooms = tx.objectStore("rooms");
  const known = await rooms.get(given.id);
  const place = (await tx.objectStore("places").get(given.id)) ?? (known && placeOf(known));
  const peer = peerOf(given, me);
  if (place && (place.kind !== given.kind || (place.peer !== null && peer !== null && place.peer !== peer))) {
    tx.abort();
    await tx.done.catch(() => undefined);
    throw new Malformed("a direct room stays one, with the same peer");
  }
  const before = known ?? { ...unknownRoom(given.id), lastAt: given.createdAt || now };
  const isOld = given.membersVersion < before.membersVersion;
  const room: RoomRecord = {
    ...before,
    kind: given.kind,
    peer: before.peer ?? peer,
    membersVersion: Math.max(given.membersVersion, before.membersVersion),
    epoch: Math.max(given.epoch, before.epoch),
    history: place?.history ?? given.history,
    createdAt: given.createdAt,
    members: isOld && known !== undefined ? before.members : given.members,
    muted: given.muted ?? before.muted,
    lastAt: before.lastAt || given.createdAt,
    outdated: isOld,
  };
  rooms.put(room);
  if (room.kind === "group" || room.peer !== null) {
    tx.objectStore("places").put({ room: room.id, kind: room.kind, peer: room.peer, history: room.history });
  }
  for (const member of given.members) await keepName(tx.objectStore("people"), member);
  await tx.done;
  return room;
}

/** The server knows the room no more, or not for this user: whoever was in it, the user is not. */
export function forgetMembership(db: Db, id: RoomId, me: UserId): Promise<RoomRecord | null> {
  return changeRoom(db, id, (room) => ({
    ...room,
    outdated: false,
    members: room.members.filter((member) => member.user !== me),
  }));
}

/** Change what is kept of a room, in one transaction; null where there is none. */
export async function changeRoom(
  db: Db,
  id: RoomId,
  change: (room: RoomRecord) => RoomRecord,
): Promise<RoomRecord | null> {
  const tx = db.transaction("rooms", "readwrite");
  const room = await tx.store.get(id);
  const changed = room === undefined ? null : change(room);
  if (changed !== null && changed !== room) tx.store.put(changed);
  await tx.done;
  return changed;
}

/** Raise the user's read position in a room. `told`: the server knows of it. False when it was as far already. */
export async function readUpTo(db: Db, id: RoomId, seq: number, told: boolean): Promise<boolean> {
  const tx = db.transaction(["rooms", "entries"], "readwrite");
  const rooms = tx.objectStore("rooms");
  const room = await rooms.get(id);
  const isNews = room !== undefined && (seq > room.readSeq || (told && seq > room.readTold));
  if (isNews) {
    const readSeq = Math.max(room.readSeq, seq);
    const beyond = IDBKeyRange.bound([id, 1, readSeq], [id, 1, Number.POSITIVE_INFINITY], true);
    // In the order of seq; most often nothing is left.
    const unread = room.lastSeq <= readSeq ? 0 : await tx.objectStore("entries").index("unread").count(beyond);
    rooms.put({ ...room, readSeq, unread, readTold: told ? Math.max(room.readTold, seq) : room.readTold });
  }
  await tx.done;
  return isNews;
}

/** The seq of the first unread message of a room; null when there is none. */
export async function firstUnread(db: Db, room: RoomRecord): Promise<number | null> {
  if (room.unread === 0) return null;
  const beyond = IDBKeyRange.bound([room.id, 1, room.readSeq], [room.id, 1, Number.POSITIVE_INFINITY], true);
  const cursor = await db.transaction("entries").store.index("unread").openKeyCursor(beyond);
  return cursor?.primaryKey ?? null;
}
