/** What the user should know of, until it is put away. */

import type { Notice } from "../messenger";
import type { Db } from "./db";
import { valuesIn } from "./values";

/** Keep a notice; one with the same id is replaced. */
export async function addNotice(db: Db, notice: Notice): Promise<void> {
  await change(db, (notices) => [...notices.filter((other) => other.id !== notice.id), notice]);
}

export async function removeNotice(db: Db, id: string): Promise<void> {
  await change(db, (notices) => notices.filter((notice) => notice.id !== id));
}

async function change(db: Db, change: (notices: readonly Notice[]) => readonly Notice[]): Promise<void> {
  const tx = db.transaction("values", "readwrite");
  const values = valuesIn(tx.store);
  await values.put("notices", change((await values.get("notices")) ?? []));
  await tx.done;
}
