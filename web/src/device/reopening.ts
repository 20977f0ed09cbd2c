/** Keys have come: what could not be opened before is opened now. */

import type { MessageEntry } from "../protocol/entries";
import type { RoomId } from "../protocol/ids";
import { previewOf } from "../store/rooms";
import type { EntryRecord } from "../store/schema";
import { wordsOf } from "../store/words";
import type { Parts } from "./parts";
import { ALG, sealedMessage } from "./receiving";

const BATCH = 200;
const CLOSED = ["locked", "no_key"] as const;

/** Try every message again that lacked a key, in the order of seq. Run by one tab at a time: the others wait, and find little left. */
export async function reopen(parts: Parts): Promise<void> {
  for (const problem of CLOSED) {
    for (let after = 0; ; ) {
      const range = IDBKeyRange.bound([problem, after], [problem, Number.POSITIVE_INFINITY], true);
      const records = await parts.db.getAllFromIndex("entries", "problem", range, BATCH);
      if (records.length === 0) break;
      await reopenBatch(parts, records);
      after = records.at(-1)!.seq;
    }
  }
}

async function reopenBatch(parts: Parts, records: readonly EntryRecord[]): Promise<void> {
  const entries = records.map((record) => ({ ...record.data, seq: record.seq, kind: "message" }) as MessageEntry);
  const bodies = await parts.sealing.open(entries.filter((entry) => entry.alg === ALG).map(sealedMessage), true);
  const rooms = new Set<RoomId>();
  const tx = parts.db.transaction(["entries", "rooms"], "readwrite");
  for (const [at, body] of bodies.entries()) {
    const record = await tx.objectStore("entries").get(records[at]!.seq);
    if (record === undefined || record.problem == null) continue; // another tab was here
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
