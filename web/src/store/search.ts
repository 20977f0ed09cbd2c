/** Search over everything that this device could open: full words and prefixes, every word of the query, newest first. */

import type { Db } from "./db";
import type { EntryRecord } from "./schema";
import { wordsOf } from "./words";

/** So many rows are looked at together. */
const BATCH = 100;

/** At most `limit` messages in which every word of the query occurs, or one that begins so. */
export async function search(db: Db, query: string, limit: number): Promise<EntryRecord[]> {
  const prefixes = wordsOf(query);
  if (prefixes.length === 0) return [];
  const tx = db.transaction("entries");
  const index = tx.store.index("words");
  const counts = await Promise.all(prefixes.map((prefix) => index.count(range(prefix))));
  const rarest = prefixes[counts.indexOf(Math.min(...counts))]!;
  // A message comes once for each of its words that begin so.
  const seqs = [...new Set(await index.getAllKeys(range(rarest)))].sort((one, other) => other - one);

  const found: EntryRecord[] = [];
  for (let at = 0; at < seqs.length && found.length < limit; at += BATCH) {
    const records = await Promise.all(seqs.slice(at, at + BATCH).map((seq) => tx.store.get(seq)));
    for (const record of records) {
      if (record !== undefined && hasAll(record, prefixes) && found.length < limit) found.push(record);
    }
  }
  return found;
}

function hasAll(record: EntryRecord, prefixes: readonly string[]): boolean {
  return prefixes.every((prefix) => record.words?.some((word) => word.startsWith(prefix)));
}

function range(prefix: string): IDBKeyRange {
  return IDBKeyRange.bound(prefix, `${prefix}\uffff`, false, true);
}
