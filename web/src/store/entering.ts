/** Signing in: who this device is from now on, and what stays here from before. */

import { problem } from "../protocol/problems";
import { type Db, STORES, type Stores, type Writing } from "./db";
import { forgetPutDown } from "./drafts";
import type { OutboxRecord, RoomRecord } from "./schema";
import type { Values } from "./values";

/** Where nobody was signed in, keys that are here were made for this sign-in. */
const MADE_BEFORE: ReadonlySet<Stores> = new Set(["keys", "wanted"]);
/** Whose keys were seen and compared, which epochs, which rooms, which names: a server must not have that forgotten by signing a device out. */
const KNOWN: readonly Stores[] = [...MADE_BEFORE, "documents", "epochs", "rosters", "places", "people"];
/** Of the same user, a block that was pressed is kept as well: it must not be taken back by signing a device out. */
const OF_THE_SAME: ReadonlySet<Stores> = new Set([...KNOWN, "changes"]);

/** The account that was asked for by this name is another one than the one that is here under it. */
export class OtherAccount extends Error {}

/**
 * Keep an answer to a sign-in, in one transaction; what belongs to another account is gone before. What the same user has written
 * and no server has stays. `asked`: the name that the user gave.
 */
export async function enter(
  db: Db,
  identity: Values["identity"],
  tokens: Values["tokens"] | null,
  asked: unknown,
): Promise<void> {
  const tx = db.transaction(STORES, "readwrite");
  const before = (await tx.objectStore("values").get("identity")) as Values["identity"] | undefined;
  if (before !== undefined && before.username === asked && before.user !== identity.user) {
    tx.abort();
    await tx.done.catch(() => undefined);
    throw new OtherAccount("the account of this name is another one");
  }
  const isSame = before?.user === identity.user;
  const kept = before === undefined ? MADE_BEFORE : isSame ? OF_THE_SAME : new Set<Stores>();
  const { unsent, rooms } = isSame ? await writtenIn(tx) : { unsent: [], rooms: [] };
  for (const store of STORES) if (!kept.has(store)) tx.objectStore(store).clear();
  for (const record of unsent) tx.objectStore("outbox").put(record);
  for (const room of rooms) tx.objectStore("rooms").put(room);
  // What was given meanwhile is read together with what is here.
  tx.objectStore("wanted").delete("restored");
  tx.objectStore("values").put(identity, "identity");
  if (tokens !== null) tx.objectStore("values").put(tokens, "tokens");
  await tx.done;
  if (!isSame) forgetPutDown();
}

/**
 * What waits, has failed, or is being written, and the rooms that it is for, as if nothing had arrived in them. What waited may be
 * on the server, its answer lost with the device: so it does not go again by itself, but has failed.
 */
async function writtenIn(tx: Writing): Promise<{ unsent: OutboxRecord[]; rooms: RoomRecord[] }> {
  const outbox = await tx.objectStore("outbox").getAll();
  const unsent = outbox
    .filter((record) => !record.accepted)
    .map((record) => ({ ...record, failed: record.failed ?? problem("signed_out", 0) }));
  const needed = new Set(unsent.map(({ room }) => room));
  const rooms = (await tx.objectStore("rooms").getAll())
    .filter(({ id, draft }) => draft !== "" || needed.has(id))
    .map((room) => ({ ...room, unread: 0, lastSeq: 0, preview: null, outdated: true }));
  return { unsent, rooms };
}
