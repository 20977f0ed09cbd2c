/** Opening the device's IndexedDB (store/schema.ts). */

import { deleteDB, type IDBPDatabase, type IDBPTransaction, openDB, type StoreNames } from "idb";

import { NAME, type Schema, VERSION } from "./schema";

export type Db = IDBPDatabase<Schema>;
export type Stores = StoreNames<Schema>;
/** A transaction that reads, at least, over these stores. */
export type Reading<Names extends readonly Stores[]> = IDBPTransaction<Schema, Names, "readonly" | "readwrite">;
/** A transaction that may write, over whatever stores it was begun with. */
export type Writing<Names extends readonly Stores[] = Stores[]> = IDBPTransaction<Schema, Names, "readwrite">;

/** Every store, in no order. */
export const STORES = [
  "values",
  "entries",
  "marks",
  "refusals",
  "rooms",
  "outbox",
  "receipts",
  "relations",
  "changes",
  "people",
  "keys",
  "documents",
  "epochs",
  "rosters",
  "places",
  "wanted",
] as const satisfies readonly Stores[];

/** `onLost`: nothing can be read or kept from now on, though nobody here has closed it. */
export function openStore(onLost: () => void = () => undefined, name = NAME): Promise<Db> {
  return openDB<Schema>(name, VERSION, {
    upgrade(db) {
      db.createObjectStore("values");
      const entries = db.createObjectStore("entries", { keyPath: "seq" });
      entries.createIndex("room", ["room", "seq"]);
      entries.createIndex("message", "message");
      entries.createIndex("words", "words", { multiEntry: true });
      entries.createIndex("unread", ["room", "unread", "seq"]);
      entries.createIndex("problem", ["problem", "seq"]);
      entries.createIndex("refuses", "refuses");
      db.createObjectStore("marks", { keyPath: ["room", "device"] });
      db.createObjectStore("refusals", { keyPath: "message" });
      db.createObjectStore("rooms", { keyPath: "id" });
      const outbox = db.createObjectStore("outbox", { keyPath: "order" });
      outbox.createIndex("room", ["room", "order"]);
      outbox.createIndex("id", "id");
      const receipts = db.createObjectStore("receipts", { keyPath: ["room", "user", "device"] });
      receipts.createIndex("room", "room");
      const relations = db.createObjectStore("relations", { keyPath: "user" });
      relations.createIndex("username", "username");
      db.createObjectStore("changes", { keyPath: "order", autoIncrement: true });
      db.createObjectStore("people", { keyPath: "user" });
      db.createObjectStore("keys");
      db.createObjectStore("documents", { keyPath: "user" });
      db.createObjectStore("epochs", { keyPath: ["room", "epoch"] });
      db.createObjectStore("rosters", { keyPath: "room" });
      db.createObjectStore("places", { keyPath: "room" });
      db.createObjectStore("wanted");
    },
    // Another tab has a newer version, or deletes everything: that must not wait for this one. Closing it tells nobody.
    blocking(_current, _blocked, event) {
      (event.target as IDBDatabase).close();
      onLost();
    },
    // The user has cleared the site's data, or the disk is gone.
    terminated: onLost,
  });
}

/** Whether something could not be stored because there is no space left for it. */
export function isFull(error: unknown): boolean {
  return error instanceof DOMException && error.name === "QuotaExceededError";
}

/** Do all of a task in a transaction, or nothing of it. Rejected with what has ended the transaction. */
export async function whole<Result>(
  tx: { readonly done: Promise<void>; readonly error: DOMException | null; abort(): void },
  task: () => Promise<Result>,
): Promise<Result> {
  try {
    const result = await task();
    await tx.done;
    return result;
  } catch (error) {
    try {
      tx.abort();
    } catch {
      // It is over already: what ended it is the error.
    }
    await tx.done.catch(() => undefined);
    // What was under way is told no more than that the transaction has ended; that knows why.
    throw tx.error ?? error;
  }
}

/** Forget everything, in one transaction: nothing of one account is left when the next one comes. */
export async function wipe(db: Db): Promise<void> {
  const tx = db.transaction(STORES, "readwrite");
  await Promise.all([...STORES.map((name) => tx.objectStore(name).clear()), tx.done]);
}

export function deleteStore(name = NAME): Promise<void> {
  return deleteDB(name);
}
