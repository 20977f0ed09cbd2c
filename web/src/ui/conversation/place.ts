/** Where a list of a conversation begins, and what of it has been read. Pure. */

import type { Row } from "../../messenger";
import type { Item } from "./items";

type Message = Extract<Row, { kind: "message" }>;

export type Place = { readonly index: number; readonly align: "start" | "center" | "end" };

/** The first place that is shown: what was asked for, else what is unread, else the end. */
export function firstPlace(items: readonly Item[], at: number | null): Place {
  if (at !== null) {
    const index = indexOfSeq(items, at);
    if (index >= 0) return { index, align: "center" };
  }
  const unread = items.findIndex((item) => item.kind === "unread");
  if (unread >= 0) return { index: Math.max(unread - 1, 0), align: "start" };
  return { index: items.length - 1, align: "end" };
}

/** The row with this number, or the next one after it. */
export function indexOfSeq(items: readonly Item[], seq: number): number {
  return items.findIndex((item) => item.kind === "row" && item.row.seq !== null && item.row.seq >= seq);
}

/** The newest number at or above `index`: up to where everything was seen. */
export function seenUpTo(items: readonly Item[], index: number): number | null {
  for (let at = Math.min(index, items.length - 1); at >= 0; at -= 1) {
    const item = items[at];
    if (item?.kind === "row" && item.row.seq !== null) return item.row.seq;
  }
  return null;
}

/** Whether what is unread begins above the window, so that the window has to move there first. */
export function beginsAbove(rows: readonly Row[], unreadFrom: number | null, hasOlder: boolean): boolean {
  const first = rows.find((row) => row.seq !== null)?.seq;
  return hasOlder && unreadFrom !== null && first !== undefined && first !== null && first > unreadFrom;
}

/** The messages of others at the end of `rows` that were not there before. */
export function arrived(before: readonly Row[], rows: readonly Row[]): readonly Message[] {
  const last = before.at(-1)?.key;
  if (last === undefined) return [];
  const at = rows.findLastIndex((row) => row.key === last);
  if (at < 0) return [];
  return rows.slice(at + 1).filter((row): row is Message => row.kind === "message" && !row.mine);
}
