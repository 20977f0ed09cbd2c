/** How far the others are: per room, member and sending device of the user's, the newest message covered. */

import type { Receipt } from "../protocol/frames";
import type { DeviceId, MessageId, RoomId, UserId } from "../protocol/ids";
import type { Db, Reading } from "./db";

const NAMES = ["receipts", "entries", "marks"] as const;
type Tx = Reading<[...typeof NAMES]>;

/** Where a member stands with what one device has sent: seqs in the user's own mailbox; 0: nowhere. */
export interface Reached {
  readonly user: UserId;
  readonly device: DeviceId;
  readonly delivered: number;
  readonly read: number;
  /** One of the two is that of a message that is not here (yet). */
  readonly isAhead: boolean;
}

/**
 * Take receipts in; marks only grow. The rooms for which something is new.
 *
 * Marks are compared by this user's own seq of the named message. One that is not here counts as newest, because receipts are
 * sent as things happen: it overtook its message. Unless it was sent before others that are here: that one's history is to come.
 */
export async function applyReceipts(db: Db, receipts: readonly Receipt[]): Promise<Set<RoomId>> {
  const rooms = new Set<RoomId>();
  const tx = db.transaction(NAMES, "readwrite");
  const store = tx.objectStore("receipts");
  const seqOf = seqs(tx);
  for (const { room, user, device, delivered, read } of receipts) {
    const known = await store.get([room, user, device]);
    const next = {
      room,
      user,
      device,
      delivered: await newer(known?.delivered ?? null, delivered, (id) => seqOf(id, room, device)),
      read: await newer(known?.read ?? null, read, (id) => seqOf(id, room, device)),
    };
    if (known !== undefined && next.delivered === known.delivered && next.read === known.read) continue;
    store.put(next);
    rooms.add(room);
  }
  await tx.done;
  return rooms;
}

export async function reachedIn(db: Db, room: RoomId): Promise<Reached[]> {
  const tx = db.transaction(NAMES);
  const seqOf = seqs(tx);
  const receipts = await tx.objectStore("receipts").index("room").getAll(room);
  return Promise.all(
    receipts.map(async ({ user, device, delivered, read }) => {
      const readSeq = read === null ? 0 : await seqOf(read, room, device);
      const deliveredSeq = delivered === null ? 0 : await seqOf(delivered, room, device);
      const isAhead = (read !== null && isUnknown(readSeq)) || (delivered !== null && isUnknown(deliveredSeq));
      return { user, device, delivered: Math.max(deliveredSeq, readSeq), read: readSeq, isAhead };
    }),
  );
}

/** The seq of a message; of one that is not here, 0 if it is older than what is, and infinity if it is newer. */
type SeqOf = (id: MessageId, room: RoomId, device: DeviceId) => Promise<number>;

function isUnknown(seq: number): boolean {
  return seq === 0 || seq === Number.POSITIVE_INFINITY;
}

/** Most members stand at the same message, so each is looked up once. */
function seqs(tx: Tx): SeqOf {
  const known = new Map<MessageId, Promise<number>>();
  return (id, room, device) => {
    const found = known.get(id) ?? find(tx, id, room, device);
    known.set(id, found);
    return found;
  };
}

async function find(tx: Tx, id: MessageId, room: RoomId, device: DeviceId): Promise<number> {
  const seq = await tx.objectStore("entries").index("message").getKey(id);
  if (seq !== undefined) return seq;
  // Ids begin with the time (protocol/ids.ts), so those of one device are in order.
  const newest = await tx.objectStore("marks").get([room, device]);
  return newest !== undefined && id < newest.message ? 0 : Number.POSITIVE_INFINITY;
}

async function newer(
  old: MessageId | null,
  given: MessageId | null,
  seqOf: (id: MessageId) => Promise<number>,
): Promise<MessageId | null> {
  if (old === null || given === null || old === given) return old ?? given;
  const [oldSeq, givenSeq] = [await seqOf(old), await seqOf(given)];
  const isNewer = givenSeq === oldSeq ? given > old : givenSeq > oldSeq; // the same: both are not here
  return isNewer ? given : old;
}
