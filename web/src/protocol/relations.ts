/** What a user has with others (docs/protocol.md §5), as the server says it. The protocol's *connection* is a `Relation` here. */

import type { DeviceId, UserId } from "./ids";
import { among, flag, id, idOrNull, listOf, object, text, whole, wholeOrNull } from "./shape";

const STATES = ["none", "requested", "incoming", "contact"] as const;
const WHO = ["anyone", "contacts"] as const;

/** What the user has with another one, as of `version`. `changed_by`: the user's device that did it; null: the other one. */
export interface Relation {
  readonly user: UserId;
  readonly username: string;
  readonly state: (typeof STATES)[number];
  readonly blocked: boolean;
  readonly blocked_by: boolean;
  readonly note: string;
  readonly version: number;
  readonly changed_by: DeviceId | null;
  readonly changed_at: number | null;
}

/** Who may reach the user; and where strangers' first messages go. */
export interface Settings {
  readonly who_may_open: (typeof WHO)[number];
  readonly who_may_add: (typeof WHO)[number];
  readonly strangers: "mailbox" | "requests";
}

/** A page of what changed after a version. `next`: the `since` of the page behind it, null at the end. */
export interface RelationsPage {
  readonly connections: readonly Relation[];
  readonly settings: Settings;
  readonly version: number;
  readonly consistency: string;
  readonly next: number | null;
}

export const decodeRelation = object<Relation>("a connection", {
  user: id,
  username: text,
  state: among(STATES),
  blocked: flag,
  blocked_by: flag,
  note: text,
  version: whole,
  changed_by: idOrNull,
  changed_at: wholeOrNull,
});

export const decodeSettings = object<Settings>("settings", {
  who_may_open: among(WHO),
  who_may_add: among(WHO),
  strangers: among(["mailbox", "requests"]),
});

export const decodeRelationsPage = object<RelationsPage>("a page of connections", {
  connections: listOf(decodeRelation),
  settings: (from, name) => decodeSettings(from[name]),
  version: whole,
  consistency: text,
  next: wholeOrNull,
});
