/** How far the others are: per room, member and sending device of the user's, the newest message covered. */

import type { Receipt } from "../protocol/frames";
import type { DeviceId, MessageId, RoomId, UserId } from "../protocol/ids";
import type { Db } from "./db";

/** Where a member stands with what one device has sent: seqs in the user's own mailbox; 0: nowhere. */
export interface Reached {
  readonly user: UserId;
  readonly device: DeviceId;
  readonly delivered: number;
  readonly read: number;
}

/**
 * Take receipts in; marks only grow. The rooms for which something is new.
 *
 * Marks are compared by this user's own seq of the named message. One that is not here yet (the receipt overtook the entry)
 * counts as newest, because receipts are sent as things happen.
 */
export async function applyReceipts(db: Db, receipts: readonly Receipt[]): Promise<Set<RoomId>> {
  const rooms = new Set<RoomId>();
  const tx = db.transaction(["receipts", "entries"], "readwrite");
  const store = tx.objectStore("receipts");
  const seqOf = seqs((id) => tx.objectStore("entries").index("message").getKey(id));
  for (const { room, user, device, delivered, read } of receipts) {
    const known = await store.get([room, user, device]);
    const next = {
      room,
      user,
      device,
      delivered: await newer(known?.delivered ?? null, delivered, seqOf),
      read: await newer(known?.read ?? null, read, seqOf),
    };
    if (known !== undefined && next.delivered === known.delivered && next.read === known.read) continue;
    store.put(next);
    rooms.add(room);
  }
  await tx.done;
  return rooms;
}

export async function reachedIn(db: Db, room: RoomId): Promise<Reached[]> {
  const tx = db.transaction(["receipts", "entries"]);
  const seqOf = seqs((id) => tx.objectStore("entries").index("message").getKey(id));
  const receipts = await tx.objectStore("receipts").index("room").getAll(room);
  return Promise.all(
    receipts.map(async ({ user, device, delivered, read }) => {
      const readSeq = read === null ? 0 : await seqOf(read);
      const deliveredSeq = delivered === null ? 0 : await seqOf(delivered);
      return { user, device, delivered: Math.max(deliveredSeq, readSeq), read: readSeq };
    }),
  );
}

type SeqOf = (id: MessageId) => Promise<number>;

/** Most members stand at the same message, so each is looked up once. */
function seqs(find: (id: MessageId) => Promise<number | undefined>): SeqOf {
  const known = new Map<MessageId, Promise<number>>();
  return (id) => {
    const found = known.get(id) ?? find(id).then((seq) => seq ?? Number.POSITIVE_INFINITY);
    known.set(id, found);
    return found;
  };
}

async function newer(old: MessageId | null, given: MessageId | null, seqOf: SeqOf): Promise<MessageId | null> {
  if (old === null || given === null || old === given) return old ?? given;
  return (await seqOf(given)) > (await seqOf(old)) ? given : old;
}
