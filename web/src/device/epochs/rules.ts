/** What is decided about epochs, without I/O: whether one may be sealed under, and what a roster changes (docs/protocol.md §6.5). */

import { type Bytes, same } from "../../crypto/bytes";
import type { RosterLine } from "../../crypto/epochs";
import type { UserId } from "../../protocol/ids";
import type { Problem } from "../../protocol/problems";
import type { ReadersChange } from "../ports";

export const OLDEST_S = 30 * 86_400; // an epoch that is older is followed by a new one
export const MOST_MESSAGES = 10_000; // and so is one with more messages

/** Whether an epoch has lasted long enough. `madeAt`: its record's `ts`. */
export function isDue(madeAt: number, nowS: number, messages: number, most = MOST_MESSAGES): boolean {
  // A creator whose clock was a year ahead must not keep the room under one key for a year.
  return Math.abs(nowS - madeAt) > OLDEST_S || messages >= most;
}

/**
 * Whether a refused send (`epoch_stale`) speaks of the newest epoch that is known here. It may have crossed the entry that told
 * of that one, which is as good as it was, then.
 */
export function outdates(newest: number, sealedUnder: number, refusal: Problem): boolean {
  const named = typeof refusal.epoch === "number" ? refusal.epoch : 0;
  return newest <= sealedUnder || newest < named || (newest === named && refusal.stale === true);
}

/** What a roster changes, against the one before it; if that is not known, against who is said to be in the room. */
export function changeOf(
  before: readonly RosterLine[] | null,
  members: readonly UserId[] | null,
  after: readonly RosterLine[],
): ReadersChange {
  const now = new Map(after.map((line) => [line.user, line]));
  const old = new Map((before ?? []).map((line) => [line.user, line]));
  const known = before === null ? (members ?? [...now.keys()]) : [...old.keys()];
  const there = new Set(known);
  return {
    added: [...now.keys()].filter((user) => !there.has(user)).sort(),
    removed: before === null ? [] : [...old.keys()].filter((user) => !now.has(user)).sort(),
    rekeyed: [...now.values()]
      .filter((line) => isOther(old.get(line.user), line))
      .map(({ user }) => user)
      .sort(),
  };
}

function isOther(old: RosterLine | undefined, now: RosterLine): boolean {
  return old !== undefined && (old.version !== now.version || !same(old.identity, now.identity));
}

/** What there is to judge an epoch by. */
export interface Circumstances {
  readonly me: UserId;
  readonly creator: UserId;
  /** The other one of a direct room. */
  readonly peer: UserId | null;
  /** Of the members' documents, as far as known. */
  readonly known: ReadonlyMap<UserId, { readonly identity: Bytes; readonly version: number }>;
}

/** Why nothing is sealed under an epoch with this roster; null: it may be. */
export function whyNot(roster: readonly RosterLine[], { me, creator, peer, known }: Circumstances): string | null {
  const users = new Set(roster.map((line) => line.user));
  if (!users.has(me)) return "this user is not among its readers";
  if (!users.has(creator)) return "its maker hides";
  if (peer !== null && (users.size !== 2 || !users.has(peer))) return "a direct room has two readers";
  for (const line of roster) {
    const keys = known.get(line.user);
    if (keys === undefined) continue;
    if (!same(keys.identity, line.identity)) return "a reader has another identity key";
    if (keys.version > line.version) return "a reader has a newer encryption key";
  }
  return null;
}
