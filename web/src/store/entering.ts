/** Signing in: who this device is from now on, and what stays here from before. */

import { type Db, STORES, type Stores } from "./db";
import type { Values } from "./values";

/** Where nobody was signed in, keys that are here were made for this sign-in. */
const MADE_BEFORE: ReadonlySet<Stores> = new Set(["keys", "wanted"]);
/** Whose keys were seen and compared, which epochs, which rooms: a server must not have that forgotten by signing a device out. */
const KNOWN: ReadonlySet<Stores> = new Set([...MADE_BEFORE, "documents", "epochs", "rosters", "places"]);

/** The account that was asked for by this name is another one than the one that is here under it. */
export class OtherAccount extends Error {}

/** Keep an answer to a sign-in, in one transaction; what belongs to another account is gone before. `asked`: the name that the user gave. */
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
  const kept = before === undefined ? MADE_BEFORE : before.user === identity.user ? KNOWN : new Set<Stores>();
  for (const store of STORES) if (!kept.has(store)) tx.objectStore(store).clear();
  // What was given meanwhile is read together with what is here.
  tx.objectStore("wanted").delete("restored");
  tx.objectStore("values").put(identity, "identity");
  if (tokens !== null) tx.objectStore("values").put(tokens, "tokens");
  await tx.done;
}
