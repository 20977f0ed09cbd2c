/** The device's copy of the user's connections, by version (protocol/book.ts), and the changes that wait for an answer. */

import type { IDBPObjectStore } from "idb";

import { after, completed, expects, heardOf, isNews, NOTHING, type Progress, type Run, stored } from "../protocol/book";
import { type Action, type Change, rebased } from "../protocol/changes";
import type { DeviceId, UserId } from "../protocol/ids";
import type { Relation, RelationsPage, Settings } from "../protocol/relations";
import type { Db, Stores, Writing } from "./db";
import { keepName } from "./people";
import type { ChangeRecord, RelationRecord, Schema } from "./schema";
import { requireDevice, valuesIn } from "./values";

type StoreOf<Name extends Stores> = IDBPObjectStore<Schema, Stores[], Name, "readwrite">;
type ValuesIn = ReturnType<typeof valuesIn>;

/** What is new to the copy; `block`: one of the two blocks the other now, or no longer does. */
export interface News {
  readonly isNew: boolean;
  readonly block: boolean;
}

export function relationRecord(said: Relation): RelationRecord {
  const { user, username, state, blocked, note, version } = said;
  const { blocked_by: blockedBy, changed_by: changedBy, changed_at: changedAt } = said;
  return { user, username, state, blocked, blockedBy, note, version, changedBy, changedAt };
}

/** Keep what is newer than what is here. */
export async function applyRelation(
  relations: StoreOf<"relations">,
  people: StoreOf<"people">,
  said: Relation,
): Promise<News> {
  const known = await relations.get(said.user);
  if (!isNews(said, known)) return { isNew: false, block: false };
  relations.put(relationRecord(said));
  await keepName(people, said);
  const block = said.blocked !== (known?.blocked ?? false) || said.blocked_by !== (known?.blockedBy ?? false);
  return { isNew: true, block };
}

/** Keep settings as of a version, unless newer ones are here. Whether that changed something. */
export async function applySettings(values: ValuesIn, settings: Settings, version: number): Promise<boolean> {
  const known = await values.get("settings");
  if (known !== undefined && known.version > version) return false;
  values.put("settings", { version, settings });
  return JSON.stringify(known?.settings) !== JSON.stringify(settings);
}

export async function progressOf(db: Db): Promise<Progress> {
  return ((await db.get("values", "progress")) as Progress | undefined) ?? NOTHING;
}

/** Whose copy it is. */
type Me = { readonly user: UserId; readonly device: DeviceId };
type CopyTx = Writing<["relations", "people", "values", "changes"]>;

async function copyTx(db: Db, me: Me): Promise<CopyTx> {
  const tx = db.transaction(["relations", "people", "values", "changes"], "readwrite");
  await requireDevice(tx.objectStore("values"), me);
  return tx;
}

async function keep(tx: CopyTx, said: Relation): Promise<News> {
  return applyRelation(
    tx.objectStore("relations") as unknown as StoreOf<"relations">,
    tx.objectStore("people") as unknown as StoreOf<"people">,
    said,
  );
}

async function advance(tx: CopyTx, change: (before: Progress) => Progress): Promise<void> {
  const values = valuesIn(tx.objectStore("values"));
  values.put("progress", change((await values.get("progress")) ?? NOTHING));
}

/** A page of `GET /connections?since=`; what to read next, null at the end. A page out of its turn completes nothing. */
export async function applyPage(
  db: Db,
  run: Run,
  since: number,
  page: RelationsPage,
  me: Me,
): Promise<{ next: Run | null; news: News }> {
  const tx = await copyTx(db, me);
  const values = valuesIn(tx.objectStore("values"));
  let news: News = { isNew: false, block: false };
  for (const said of page.connections) news = both(news, await keep(tx, said));
  const changed = await applySettings(values, page.settings, page.version);
  values.put("consistency", page.consistency);
  news = both(news, { isNew: changed, block: false });
  if (!expects(run, since, page)) {
    await tx.done;
    return { next: run, news };
  }
  const next = after(page);
  await advance(tx, (before) => (next === null ? completed(before, page.version) : heardOf(before, page.version)));
  await tx.done;
  return { next, news };
}

function both(one: News, other: News): News {
  return { isNew: one.isNew || other.isNew, block: one.block || other.block };
}

/** The server has made a change of this device, or found it made. */
export async function changeMade(db: Db, change: Change, relation: Relation, version: number, me: Me): Promise<News> {
  const tx = await copyTx(db, me);
  const changes = tx.objectStore("changes");
  await changes.delete(change.order);
  const news = await keep(tx, relation);
  await advance(tx, (before) => heardOf(news.isNew ? stored(before, relation.version) : before, version));
  for (const later of await changes.getAll()) {
    const baseVersion = rebased(changeOf(later), change, relation, me.device);
    if (baseVersion !== later.baseVersion) changes.put({ ...later, baseVersion });
  }
  await tx.done;
  return news;
}

/** The server has refused a change, said how things are, and wants the user asked. */
export async function askAbout(
  db: Db,
  order: number,
  question: NonNullable<ChangeRecord["question"]>,
  said: { relation: Relation; version: number } | null,
  me: Me,
): Promise<News> {
  const tx = await copyTx(db, me);
  let news: News = { isNew: false, block: false };
  if (said !== null) {
    news = await keep(tx, said.relation);
    await advance(tx, (before) => heardOf(news.isNew ? stored(before, said.relation.version) : before, said.version));
  }
  const changes = tx.objectStore("changes");
  const change = await changes.get(order);
  if (change !== undefined) changes.put({ ...change, question });
  await tx.done;
  return news;
}

// Changes.

/** Keep a change, on the version that is here now. Survives a loss of power: what was pressed must not be taken back by one. */
export async function pressed(
  db: Db,
  action: Action,
  who: { user: UserId } | { username: string },
  note: string | null = null,
): Promise<void> {
  const tx = db.transaction(["changes", "relations", "values"], "readwrite", { durability: "strict" });
  const progress = (await valuesIn(tx.objectStore("values")).get("progress")) ?? NOTHING;
  const username = "username" in who ? who.username.toLowerCase() : null;
  const known =
    "user" in who
      ? { user: who.user }
      : await tx
          .objectStore("relations")
          .index("username")
          .get(username as string);
  tx.objectStore("changes").add({
    action,
    user: known?.user ?? null,
    username: known === undefined ? username : null,
    baseVersion: progress.version,
    note,
  });
  await tx.done;
}

export function changesIn(db: Db): Promise<ChangeRecord[]> {
  return db.getAll("changes");
}

/** As the server is told of it. */
export function changeOf(record: ChangeRecord): Change {
  const { order, action, user, username, baseVersion, note } = record;
  return { order: order!, action, user, username, baseVersion, note };
}

/** Change a change that waits; `null` gives it up. */
export async function settle(
  db: Db,
  order: number,
  settled: (change: ChangeRecord) => ChangeRecord | null,
): Promise<ChangeRecord | null> {
  const tx = db.transaction("changes", "readwrite");
  const change = await tx.store.get(order);
  if (change !== undefined) {
    const next = settled(change);
    if (next === null) tx.store.delete(order);
    else tx.store.put(next);
  }
  await tx.done;
  return change ?? null;
}
