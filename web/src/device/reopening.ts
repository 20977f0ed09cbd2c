/** Keys have come: what could not be opened before is opened now. */

import type { MessageEntry } from "../protocol/entries";
import type { RoomId } from "../protocol/ids";
import { previewOf } from "../store/rooms";
import type { EntryRecord } from "../store/schema";
import { requireDevice } from "../store/values";
import { wordsOf } from "../store/words";
import type { Parts } from "./parts";
import type { Identity } from "./ports";
import { ALG, sealedMessage } from "./receiving";

const BATCH = 200;
const CLOSED = ["locked", "no_key"] as const;

/** Try every message again that lacked a key, in the order of seq. Done by one tab at a time: the others wait, and find little left. */
export function reopen(parts: Parts, signal: AbortSignal): Promise<void> {
  return parts.locks.run("letterlock-reopening", () => reopenAll(parts, signal), signal);
}

async function reopenAll(parts: Parts, signal: AbortSignal): Promise<void> {
  const me = await parts.session.identity();
  for (const problem of CLOSED) {
    for (let after = 0; ; ) {
      const range = IDBKeyRange.bound([problem, after], [problem, Number.POSITIVE_INFINITY], true);
      const records = await parts.db.getAllFromIndex("entries", "problem", range, BATCH);
      if (records.length === 0) break;
      await reopenBatch(parts, me, records);
      signal.throwIfAborted();
      after = records.at(-1)!.seq;
    }
  }
}

async function reopenBatch(parts: Parts, me: Identity, records: readonly EntryRecord[]): Promise<void> {
  const sealed = records.filter((record) => record.data.alg === ALG);
  const entries = sealed.map((record) => ({ ...record.data, seq: record.seq, kind: "message" }) as MessageEntry);
  const bodies = await parts.sealing.open(entries.map(sealedMessage), true);
  const rooms = new Set<RoomId>();
  const tx = parts.db.transaction(["entries", "rooms", "values"], "readwrite");
  await requireDevice(tx.objectStore("values"), me);
  for (const [at, body] of bodies.entries()) {
    const record = await tx.objectStore("entries").get(sealed[at]!.seq);
    // Another tab was here, or the store was filled anew.
    if (record?.problem == null || record.message !== sealed[at]!.message) continue;
    if (body.problem === record.problem) continue;
    const isText = body.problem === null && body.type === "text";
    const { ciphertext: _, ...data } = record.data;
    const words = isText ? wordsOf(body.text) : [];
    const next: EntryRecord = isText
      ? { ...record, data, text: body.text, problem: null, ...(words.length > 0 && { words }) }
      : { ...record, text: null, problem: body.problem ?? "not_verified" };
    tx.objectStore("entries").put(next);
    if (record.room === null) continue;
    rooms.add(record.room);
    const room = await tx.objectStore("rooms").get(record.room);
    if (room?.preview?.seq === record.seq) tx.objectStore("rooms").put({ ...room, preview: previewOf(next) });
  }
  await tx.done;
  if (rooms.size > 0) parts.bus.tell({ type: "stored", rooms: [...rooms], upTo: 0, rewritten: true });
}
