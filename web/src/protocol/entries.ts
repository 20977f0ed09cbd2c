/** Entries of a mailbox (docs/protocol.md §3.2), with the names that they have on the wire. */

import type { DeviceId, MessageId, RoomId, UserId } from "./ids";
import { decodeRelation, decodeSettings, type Relation, type Settings } from "./relations";
import { asId, type Fields, fields, flag, id, idOrNull, list, maybeId, text, whole } from "./shape";

/** A message, sent or received. Shown by `seq`, not by its times. */
export interface MessageEntry {
  readonly kind: "message";
  readonly seq: number;
  readonly id: MessageId;
  readonly room: RoomId;
  readonly sender: UserId;
  readonly device: DeviceId;
  readonly recipient: UserId | null;
  readonly sent_at: number;
  readonly accepted_at: number;
  readonly alg: string;
  readonly epoch: number;
  readonly ciphertext: string;
  readonly delivered: boolean;
  readonly read: boolean;
}

/** `message` of `sender` was refused to `by`: as `late`, then it may be sent again under a new id, or as `blocked`. */
export interface RejectionEntry {
  readonly kind: "rejection";
  readonly seq: number;
  readonly message: MessageId;
  readonly room: RoomId;
  readonly sender: UserId;
  readonly device: DeviceId;
  readonly by: UserId;
  readonly reason: string;
  readonly status: number;
}

/** The membership of a room changed; `change` is `created`, `added`, `removed`, `left`, `role`, `owner`, or one that is newer than this. */
export interface RoomEntry {
  readonly kind: "room";
  readonly seq: number;
  readonly room: RoomId;
  readonly change: string;
  readonly by: UserId | null;
  readonly users: readonly UserId[];
  readonly role: string | null;
  readonly members_version: number;
}

/** The user's connections changed: what the user has with another, or the settings. */
export interface ConnectionEntry {
  readonly kind: "connection";
  readonly seq: number;
  readonly version: number;
  readonly connection?: Relation;
  readonly settings?: Settings;
}

export interface EpochEntry {
  readonly kind: "epoch";
  readonly seq: number;
  readonly room: RoomId;
  readonly epoch: number;
  readonly creator: UserId;
  readonly device: DeviceId;
  readonly hash: string;
}

export interface KeysEntry {
  readonly kind: "keys";
  readonly seq: number;
  readonly user: UserId;
  readonly document: number;
  readonly change: string;
  readonly device: DeviceId | null;
}

/** The number is kept, the content is not this user's to see; or of a kind that this version does not know. */
export interface HiddenEntry {
  readonly kind: "hidden";
  readonly seq: number;
}

export type Entry = MessageEntry | RejectionEntry | RoomEntry | ConnectionEntry | EpochEntry | KeysEntry | HiddenEntry;

/** Read one entry; a known kind of the wrong shape is refused. */
export function decodeEntry(value: unknown): Entry {
  const given = fields(value, "an entry");
  const kind = text(given, "kind");
  const seq = whole(given, "seq");
  switch (kind) {
    case "message":
      return decodeMessage(given, seq);
    case "rejection":
      return {
        kind,
        seq,
        message: id(given, "message"),
        room: id(given, "room"),
        sender: id(given, "sender"),
        device: id(given, "device"),
        by: id(given, "by"),
        reason: text(given, "reason"),
        status: whole(given, "status"),
      };
    case "room":
      return {
        kind,
        seq,
        room: id(given, "room"),
        change: text(given, "change"),
        by: maybeId(given, "by"),
        users: given.users == null ? [] : list(given, "users", asId<UserId>),
        role: given.role == null ? null : text(given, "role"),
        members_version: whole(given, "members_version"),
      };
    case "connection":
      return decodeConnection(given, seq);
    case "epoch":
      return {
        kind,
        seq,
        room: id(given, "room"),
        epoch: whole(given, "epoch"),
        creator: id(given, "creator"),
        device: id(given, "device"),
        hash: text(given, "hash"),
      };
    case "keys":
      return {
        kind,
        seq,
        user: id(given, "user"),
        document: whole(given, "document"),
        change: text(given, "change"),
        device: idOrNull(given, "device"),
      };
    default:
      return { kind: "hidden", seq };
  }
}

function decodeMessage(given: Fields, seq: number): MessageEntry {
  return {
    kind: "message",
    seq,
    id: id(given, "id"),
    room: id(given, "room"),
    sender: id(given, "sender"),
    device: id(given, "device"),
    recipient: idOrNull(given, "recipient"),
    sent_at: whole(given, "sent_at"),
    accepted_at: whole(given, "accepted_at"),
    alg: text(given, "alg"),
    epoch: whole(given, "epoch"),
    ciphertext: text(given, "ciphertext"),
    delivered: flag(given, "delivered"),
    read: flag(given, "read"),
  };
}

function decodeConnection(given: Fields, seq: number): ConnectionEntry {
  const version = whole(given, "version");
  return given.connection === undefined
    ? { kind: "connection", seq, version, settings: decodeSettings(given.settings) }
    : { kind: "connection", seq, version, connection: decodeRelation(given.connection) };
}
