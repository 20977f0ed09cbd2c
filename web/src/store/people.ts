/** Names of users. Nobody is ever renamed: the first name that the server told of somebody stays. */

import type { UserId } from "../protocol/ids";
import type { Db } from "./db";
import type { PersonRecord } from "./schema";
import { valuesIn } from "./values";

/** Within a transaction over `people`. */
export async function keepName(
  people: { get(user: UserId): Promise<PersonRecord | undefined>; put(person: PersonRecord): unknown },
  { user, username }: PersonRecord,
): Promise<void> {
  if ((await people.get(user)) === undefined) people.put({ user, username });
}

/** The server tells another name of somebody than before. False when that is known. */
export async function dispute(db: Db, user: UserId): Promise<boolean> {
  const tx = db.transaction(["people", "values"], "readwrite");
  const people = tx.objectStore("people");
  const known = await people.get(user);
  const isNews = known !== undefined && !known.disputed;
  if (isNews) {
    people.put({ ...known, disputed: true });
    const values = valuesIn(tx.objectStore("values"));
    const notice = { kind: "name", id: `name:${user}`, user, username: known.username } as const;
    values.put("notices", [...((await values.get("notices")) ?? []), notice]);
  }
  await tx.done;
  return isNews;
}
