/** Changes of connections (docs/protocol.md §5.1, §5.3): what the user pressed, what the server may ask back, who may not be written to. */

import type { DeviceId, UserId } from "./ids";
import { type Problem, problem } from "./problems";
import { decodeRelation, type Relation } from "./relations";
import { fields, id, idOrNull, list, text, whole, wholeOrNull } from "./shape";

export type Action = "add" | "accept" | "decline" | "remove" | "block" | "unblock" | "note";

/** A button that the user pressed. `baseVersion`: what this device had stored then, or what the user has confirmed since. */
export interface Change {
  readonly order: number;
  readonly action: Action;
  readonly user: UserId | null;
  readonly username: string | null;
  readonly baseVersion: number;
  readonly note: string | null;
}

/** The connection has changed since the user pressed the button: `connection` is how it is now, `changedBy` who did it. */
export interface Conflict {
  readonly connection: Relation;
  readonly version: number;
  readonly changedBy: DeviceId | null;
  readonly changedAt: number | null;
}

/** A device of the user that has not stored the block yet which is to be lifted. */
export interface LaggingDevice {
  readonly id: DeviceId;
  readonly name: string;
  readonly lastSeenAt: number | null;
}

/** Whether this is the one whom the change is about. */
export function isAbout(change: Change, who: { user: UserId; username: string }): boolean {
  return change.user !== null ? change.user === who.user : change.username === who.username;
}

/** Whom it is about, as far as it is known: changes about the same one go one behind the other. */
export function targetOf(change: Change): string {
  return change.user ?? change.username ?? "";
}

/** A change as `POST /connections` takes it. */
export function changeFields(change: Change): Record<string, unknown> {
  const who = change.user !== null ? { user: change.user } : { username: change.username };
  const note = change.action === "note" ? { note: change.note ?? "" } : {};
  return { action: change.action, ...who, base_version: change.baseVersion, ...note };
}

/** The answer to a change: the connection afterwards, and the version of all. */
export function decodeChanged(value: unknown): { relation: Relation; version: number } {
  const given = fields(value, "an answer to a change");
  return { relation: decodeRelation(given.connection), version: whole(given, "version") };
}

/** What the server says with `connection_changed`. */
export function conflictOf(refusal: Problem): Conflict {
  return {
    connection: decodeRelation(refusal.connection),
    version: whole(refusal, "version"),
    changedBy: idOrNull(refusal, "changed_by"),
    changedAt: wholeOrNull(refusal, "changed_at"),
  };
}

/** What the server says with `devices_lag`. */
export function laggingOf(refusal: Problem): LaggingDevice[] {
  return list(refusal, "devices", (value) => {
    const given = fields(value, "a device");
    return { id: id(given, "id"), name: text(given, "name"), lastSeenAt: wholeOrNull(given, "last_seen_at") };
  });
}

/**
 * The version of a later change, after an earlier one of this device about the same user was made.
 *
 * Its user knew of the earlier one, so that alone must not make it outdated. But where another device's change lay between (the
 * user confirmed the earlier one on a newer version, or found it made by another device), the later one keeps its version,
 * and the server asks again.
 */
export function rebased(change: Change, made: Change, relation: Relation, me: DeviceId): number {
  const follows = change.order > made.order && isAbout(change, relation) && relation.changed_by === me;
  const between = made.baseVersion <= change.baseVersion && change.baseVersion < relation.version;
  return follows && between ? relation.version : change.baseVersion;
}

/**
 * Who keeps the user from writing to another: oneself, the other, or nobody.
 * A block counts from the press of the button, lifting it only from the server's answer.
 */
export function whoBlocks(
  relation: { blocked: boolean; blockedBy: boolean } | undefined,
  pressed: readonly { action: Action }[],
): "you" | "peer" | null {
  const last = pressed.findLast((change) => change.action === "block" || change.action === "unblock");
  if (last?.action === "block" || relation?.blocked) return "you";
  return relation?.blockedBy ? "peer" : null;
}

/** The refusal of docs/protocol.md §2, as the server would word it. */
export function blockedProblem(by: "you" | "peer"): Problem {
  return problem("blocked", 403, by === "you" ? "you block this user" : "this user blocks you", { by });
}
