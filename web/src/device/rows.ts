/** What a conversation shows of what is stored: pure, so that the same entry is always the same row. */

import type { Row } from "../messenger";
import type { EpochEntry, KeysEntry, MessageEntry, RoomEntry } from "../protocol/entries";
import type { UserId } from "../protocol/ids";
import type { Problem } from "../protocol/problems";
import type { EntryRecord, OutboxRecord } from "../store/schema";
import type { ReadersChange } from "./ports";
import { type Reach, type RoomReach, ticksOf } from "./reach";

export interface Context {
  readonly me: UserId;
  readonly username: string;
  readonly isGroup: boolean;
  readonly isClosed: boolean;
  readonly reach: RoomReach;
  name(user: UserId): string;
  readers(record: EntryRecord): ReadersChange | null;
}

type MessageRow = Extract<Row, { kind: "message" }>;
type SystemRow = Extract<Row, { kind: "system" }>;

/** A stored entry as a row; null for what is not shown. */
export function rowOf(record: EntryRecord, context: Context): Row | null {
  switch (record.kind) {
    case "message":
      return messageRow(record, context);
    case "room":
      return changeRow(record, context);
    case "epoch":
      return readersRow(record, context);
    case "keys": {
      const { user } = record.data as unknown as KeysEntry;
      return systemRow(record, null, { what: "identity", user, username: context.name(user) });
    }
    case "rejection":
    case "connection":
    case "hidden":
      return null;
    default:
      return record.kind satisfies never;
  }
}

function messageRow(record: EntryRecord, context: Context): MessageRow {
  const entry = record.data as unknown as Omit<MessageEntry, "seq" | "kind" | "ciphertext">;
  const mine = entry.sender === context.me;
  const { id, device, accepted_at: acceptedAt, delivered, read } = entry;
  const reach: Reach | null = mine ? context.reach.of({ seq: record.seq, device, acceptedAt, delivered, read }) : null;
  return {
    kind: "message",
    key: id,
    id,
    seq: record.seq,
    sender: entry.sender,
    by: context.name(entry.sender),
    mine,
    at: acceptedAt,
    text: record.text ?? null,
    problem: record.problem ?? null,
    ticks: reach === null ? null : ticksOf(reach),
    reached: context.isGroup ? reach : null,
    refused: refusedOf(record, mine, context),
  };
}

function refusedOf(record: EntryRecord, mine: boolean, context: Context): MessageRow["refused"] {
  if (!record.refused) return null;
  // What was refused as late may come again under a new id; what a block stopped, once nobody blocks.
  const canSendAgain = mine && record.text != null && !record.resent && !context.isClosed;
  return { reason: record.refused, code: null, canSendAgain };
}

function changeRow(record: EntryRecord, context: Context): SystemRow | null {
  const { change, by, users, role } = record.data as unknown as RoomEntry;
  const names = users.map((user) => context.name(user));
  const who = by === null ? null : context.name(by);
  switch (change) {
    case "created":
    case "added":
    case "removed":
    case "left":
    case "owner":
      return systemRow(record, null, { what: change, by: who, users: names });
    case "role":
      if (role !== "owner" && role !== "admin" && role !== "member") return null;
      return systemRow(record, null, { what: change, by: who, users: names, role });
    default:
      return null; // of a newer server
  }
}

function readersRow(record: EntryRecord, context: Context): SystemRow | null {
  const change = context.readers(record);
  if (change === null || change.added.length + change.removed.length + change.rekeyed.length === 0) return null;
  const { creator } = record.data as unknown as EpochEntry;
  const names = (users: readonly UserId[]): string[] => users.map((user) => context.name(user));
  const { added, removed, rekeyed } = change;
  return systemRow(record, null, {
    what: "readers",
    by: context.name(creator),
    added: names(added),
    removed: names(removed),
    rekeyed: names(rekeyed),
  });
}

function systemRow(record: EntryRecord, at: number | null, change: SystemRow["change"]): SystemRow {
  return { kind: "system", key: `entry-${record.seq}`, seq: record.seq, at, change };
}

/** What waits to be sent, or could not be. */
export function unsentRow(record: OutboxRecord, context: Context): MessageRow {
  const { id, failed } = record;
  const canSendAgain = !context.isClosed && failed?.code !== "too_large";
  return {
    kind: "message",
    key: id,
    id,
    seq: null,
    sender: context.me,
    by: context.username,
    mine: true,
    at: record.sentAt,
    text: record.text,
    problem: null,
    ticks: failed !== null ? "failed" : record.accepted ? "sent" : "waiting",
    reached: null,
    refused: failed === null ? null : { ...reasonOf(failed), canSendAgain },
  };
}

function reasonOf({ code }: Problem): { reason: "signed_out" | "blocked" | "failed"; code: string | null } {
  // No answer of a server's: which of it was sent is not known.
  if (code === "signed_out") return { reason: "signed_out", code: null };
  return { reason: code === "blocked" ? "blocked" : "failed", code };
}

/** The users whose names a row shows. */
export function usersOf(record: EntryRecord, readers: ReadersChange | null): UserId[] {
  const { sender, by, users, user, creator } = record.data as Record<string, unknown>;
  const named = [sender, by, user, creator].filter((id) => typeof id === "string") as UserId[];
  const listed = Array.isArray(users) ? (users as UserId[]) : [];
  return [...named, ...listed, ...(readers?.added ?? []), ...(readers?.removed ?? []), ...(readers?.rekeyed ?? [])];
}
