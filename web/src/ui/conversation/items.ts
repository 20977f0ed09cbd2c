/**
 * What a conversation's list shows, made of the timeline's rows: rows, and between them days and the marker of what is unread.
 * Pure. Items of rows that have not changed are the same objects as before, so that only what changed is drawn anew.
 */

import { dayOf } from "../../i18n/dates";
import type { Row } from "../../messenger";

export type Item =
  | { readonly kind: "begin"; readonly key: "begin" }
  | { readonly kind: "day"; readonly key: string; readonly at: number }
  | { readonly kind: "unread"; readonly key: "unread" }
  | {
      readonly kind: "row";
      readonly key: string;
      readonly row: Row;
      /** Whether it begins, and ends, a run of messages of one sender. */
      readonly first: boolean;
      readonly last: boolean;
    };

/** Messages of one sender within this time stand together. */
const RUN = 5 * 60_000;

function together(above: Row | undefined, below: Row | undefined): boolean {
  return (
    above?.kind === "message" &&
    below?.kind === "message" &&
    above.sender === below.sender &&
    below.at - above.at < RUN &&
    dayOf(above.at) === dayOf(below.at)
  );
}

function sameFields(one: object | null, other: object | null): boolean {
  if (one === other) return true;
  if (one === null || other === null) return false;
  return Object.entries(one).every(([key, value]) => {
    const given: unknown = (other as Record<string, unknown>)[key];
    return value === given || (typeof value === "object" && typeof given === "object" && sameFields(value, given));
  });
}

/** The same by content: a device may make its rows anew, and thousands of them are compared per frame. */
export function sameRow(one: Row, other: Row): boolean {
  return one === other || (one.kind === other.kind && sameFields(one, other));
}

function reused(item: Extract<Item, { kind: "row" }>, before: ReadonlyMap<string, Item>): Item {
  const old = before.get(item.key);
  if (old?.kind !== "row") return item;
  const same = old.first === item.first && old.last === item.last && sameRow(old.row, item.row);
  return same ? old : item;
}

/** When each row was; a change of the room that nobody gave a time counts to the day of what follows it. */
function momentsOf(rows: readonly Row[]): readonly (number | null)[] {
  const moments: (number | null)[] = [];
  let following: number | null = null;
  for (let index = rows.length - 1; index >= 0; index -= 1) {
    following = rows[index]?.at ?? following;
    moments[index] = following;
  }
  return moments;
}

export function itemsOf(
  rows: readonly Row[],
  given: { readonly unreadFrom: number | null; readonly atBeginning: boolean },
  before: readonly Item[] = [],
): readonly Item[] {
  const known = new Map(before.map((item) => [item.key, item]));
  const items: Item[] = given.atBeginning ? [{ kind: "begin", key: "begin" }] : [];
  const moments = momentsOf(rows);
  let day = 0;
  let marked = given.unreadFrom === null;
  rows.forEach((row, index) => {
    const at = moments[index] ?? null;
    if (at !== null && dayOf(at) !== day) {
      day = dayOf(at);
      // Clocks may step back, so that a day comes twice: the row makes its separator's key unique.
      items.push({ kind: "day", key: `day:${row.key}`, at });
    }
    if (!marked && row.seq !== null && row.seq >= (given.unreadFrom ?? 0)) {
      marked = true;
      items.push({ kind: "unread", key: "unread" });
    }
    const broken = items.at(-1)?.kind !== "row";
    const item = {
      kind: "row",
      key: row.key,
      row,
      first: broken || !together(rows[index - 1], row),
      last: !together(row, rows[index + 1]),
    } as const;
    items.push(reused(item, known));
  });
  return items;
}

/** What comes next on the screen: rows that came in front are shown before those that came behind, one step each. */
export function nextRows(
  shown: readonly Row[],
  rows: readonly Row[],
): { readonly rows: readonly Row[]; readonly shift: boolean; readonly rest: boolean } {
  const first = shown[0];
  const last = shown.at(-1);
  if (first === undefined || last === undefined || rows[0]?.key === first.key)
    return { rows, shift: false, rest: false };
  const at = rows.findIndex((row) => row.key === first.key);
  if (at <= 0) return { rows, shift: false, rest: false };
  const end = rows.findLastIndex((row) => row.key === last.key);
  if (end === rows.length - 1 || end < at) return { rows, shift: true, rest: false };
  return { rows: rows.slice(0, end + 1), shift: true, rest: true };
}
