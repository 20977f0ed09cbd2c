/**
 * The device's IndexedDB, `letterlock`: everything that it knows. One account per browser profile; signing out deletes it.
 *
 * Texts rest here opened, so that they can be searched and read offline; private keys as CryptoKeys that cannot be exported.
 * `epochs`, `keys`, `documents` and `wanted` belong to `store/keys.ts` and `store/epochs.ts`; the other modules stay out of them.
 */

import type { DBSchema } from "idb";

import type { DeviceId, MessageId, RoomId, UserId } from "../protocol/ids";
import type { Mark } from "../protocol/late";
import type { Problem } from "../protocol/problems";

export const NAME = "letterlock";
export const VERSION = 1;

/** An entry of the mailbox, as it came, and what was made of it. */
export interface EntryRecord {
  readonly seq: number;
  readonly kind: "message" | "rejection" | "room" | "epoch" | "connection" | "keys" | "hidden";
  /** Null for what belongs to no room. */
  readonly room: RoomId | null;
  /** The entry's members of docs/protocol.md §3.2, without `seq` and `kind`; a message's `ciphertext` only while it is closed. */
  readonly data: Readonly<Record<string, unknown>>;
  /** A message's id; missing for other kinds. */
  readonly message?: MessageId;
  /** What was opened; null with `problem`. */
  readonly text?: string | null;
  readonly problem?: "locked" | "no_key" | "not_verified" | null;
  readonly refused?: "late" | "blocked" | null;
  /** It was refused, and the user has sent it again on this device. */
  readonly resent?: true;
  /** Another one's message that was not refused: it counts as unread where it is beyond the room's `readSeq`. */
  readonly unread?: 1;
  /** Of a rejection: the message that was refused. */
  readonly refuses?: MessageId;
  /** For the search: its words, folded. */
  readonly words?: readonly string[];
}

export interface OutboxRecord {
  /** Orders by time of writing within a room; the id is part of it. */
  readonly order: string;
  readonly id: MessageId;
  readonly room: RoomId;
  readonly sentAt: number;
  readonly text: string;
  /** It has not been on its way under this id, so no server can have it. */
  readonly fresh?: true;
  /** Null while it waits. */
  readonly failed: Problem | null;
  /** The server has it; it is here until its entry is. */
  readonly accepted?: true;
}

export interface RoomRecord {
  readonly id: RoomId;
  readonly kind: "direct" | "group";
  /** As it was first told: a direct room stays one, with the same peer. */
  readonly peer: UserId | null;
  readonly membersVersion: number;
  readonly epoch: number;
  readonly history: "joined" | "all";
  readonly createdAt: number;
  readonly members: readonly { user: UserId; username: string; role: "owner" | "admin" | "member"; joinedAt: number }[];
  /** The user's own read position, in own numbers. */
  readonly readSeq: number;
  /** Up to where the server knows it: from another device, or told by this one. */
  readonly readTold: number;
  readonly unread: number;
  readonly lastSeq: number;
  readonly lastAt: number;
  readonly muted: boolean;
  readonly draft: string;
  /** The members must be asked for before they are shown as present. */
  readonly outdated: boolean;
  /** Its newest message, for the list of rooms. */
  readonly preview: PreviewRecord | null;
}

export interface PreviewRecord {
  readonly seq: number;
  readonly sender: UserId;
  readonly device: DeviceId;
  /** The beginning of its text; null: could not be opened, or was refused. */
  readonly text: string | null;
  /** Of an own one, as the history told: every other recipient has it, has read it. */
  readonly delivered: boolean;
  readonly read: boolean;
}

export interface RelationRecord {
  readonly user: UserId;
  readonly username: string;
  readonly state: "none" | "requested" | "incoming" | "contact";
  readonly blocked: boolean;
  readonly blockedBy: boolean;
  readonly note: string;
  readonly version: number;
  readonly changedBy: DeviceId | null;
  readonly changedAt: number | null;
}

export interface PersonRecord {
  readonly user: UserId;
  /** As it was first told. */
  readonly username: string;
  /** The server has told another one since. */
  readonly disputed?: true;
}

/** A change that was pressed and has no answer yet. */
export interface ChangeRecord {
  readonly order?: number; // given by the store
  readonly action: "add" | "accept" | "decline" | "remove" | "block" | "unblock" | "note";
  readonly user: UserId | null;
  readonly username: string | null;
  readonly baseVersion: number;
  readonly note: string | null;
  /** What the server asked back; it waits for the user's answer. */
  readonly question?: QuestionRecord | null;
  /** Lifting a block: the user said to wait for these devices. */
  readonly waitsFor?: readonly DeviceId[];
}

export type QuestionRecord =
  | {
      readonly kind: "conflict";
      readonly now: RelationRecord;
      readonly version: number;
      /** The name of the user's device that changed it. */
      readonly changedByDevice: string | null;
      readonly changedAt: number | null;
    }
  | {
      readonly kind: "lag";
      readonly devices: readonly { id: DeviceId; name: string; lastSeenAt: number | null }[];
      /** The version to try again on, where this very device did not know of the block. */
      readonly version: number | null;
    };

/** The newest key document that was taken of a user, and those before it by which old messages are verified. */
export interface DocumentRecord {
  readonly user: UserId;
  readonly seq: number;
  /** SHA-256 of its payload, in base64url: whoever takes a newer one has looked at this one. */
  readonly digest: string;
  readonly envelope: unknown;
  /** `ended`: when its identity was given up (seconds), if it was. */
  readonly older: readonly { readonly seq: number; readonly envelope: unknown; readonly ended: number | null }[];
}

/** An epoch as it came, byte for byte; verified when it is used. */
export interface EpochRecord {
  readonly room: RoomId;
  readonly epoch: number;
  readonly creator: UserId;
  readonly device: DeviceId;
  readonly payload: Uint8Array<ArrayBuffer>;
  readonly signature: Uint8Array<ArrayBuffer>;
  /** Null: none was made for this user. */
  readonly wrap: { readonly version: number; readonly ct: Uint8Array<ArrayBuffer> } | null;
  /** For HKDF, not extractable; null before the wrap was opened. */
  readonly key: CryptoKey | null;
  /** Nothing is sealed under it any more. */
  readonly outdated: boolean;
  /** The number of the entry that told of it; null: it came otherwise. */
  readonly seq: number | null;
  /** What it changed about who can read; null: not known. */
  readonly change: {
    readonly added: readonly UserId[];
    readonly removed: readonly UserId[];
    readonly rekeyed: readonly UserId[];
  } | null;
}

export interface RosterRecord {
  readonly room: RoomId;
  readonly epoch: number;
  /** User, identity key in base64url, version of the encryption key. */
  readonly lines: readonly (readonly [UserId, string, number])[];
}

/** What a room is, as this device was told first. */
export interface PlaceRecord {
  readonly room: RoomId;
  readonly kind: "direct" | "group";
  readonly peer: UserId | null;
  readonly history: "joined" | "all";
}

export interface Schema extends DBSchema {
  /** Single values, by the names of store/values.ts. */
  values: { key: string; value: unknown };
  entries: {
    key: number;
    value: EntryRecord;
    indexes: {
      room: [RoomId, number];
      message: MessageId;
      words: string;
      unread: [RoomId, number, number];
      problem: [string, number];
      refuses: MessageId;
    };
  };
  /** What the late rule has to remember (protocol/late.ts). */
  marks: { key: [RoomId, DeviceId]; value: Mark };
  /** Refusals of late messages that the server has not confirmed: the late one, and the later one that proves it. */
  refusals: { key: MessageId; value: { message: MessageId; later: MessageId } };
  rooms: { key: RoomId; value: RoomRecord };
  outbox: { key: string; value: OutboxRecord; indexes: { room: [RoomId, string]; id: MessageId } };
  /** How far others are: the newest of the user's own messages covered, per sending device. */
  receipts: {
    key: [RoomId, UserId, DeviceId];
    value: { room: RoomId; user: UserId; device: DeviceId; delivered: MessageId | null; read: MessageId | null };
    indexes: { room: RoomId };
  };
  relations: { key: UserId; value: RelationRecord; indexes: { username: string } };
  changes: { key: number; value: ChangeRecord };
  /** Names of users that outlive memberships and connections. */
  people: { key: UserId; value: PersonRecord };

  /** This device's own keys, by name: `device`, `uek:3`, …, the recovery key until it is written down, who was compared. */
  keys: { key: string; value: unknown };
  /** Key documents, pinned. */
  documents: { key: UserId; value: DocumentRecord };
  epochs: { key: [RoomId, number]; value: EpochRecord };
  /** The signed list of each room's newest epoch: who can read. */
  rosters: { key: RoomId; value: RosterRecord };
  /** Whether a room is a direct one, with whom, and for whom its history is, as this device was told first. */
  places: { key: RoomId; value: PlaceRecord };
  /** Requests about keys that were begun and have no answer, and what else is to be asked for. */
  wanted: { key: string; value: unknown };
}
