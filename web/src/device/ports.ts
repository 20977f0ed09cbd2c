/**
 * What the parts of a device need of each other. `session`, `keys` and `sealing` are written against these, not against each
 * other's files; `device/device.ts` puts them together.
 */

import type { ReadonlySignal } from "@preact/signals-core";

import type { Messenger, Restoring } from "../messenger";
import type { DeviceId, MessageId, RoomId, UserId } from "../protocol/ids";
import type { Problem } from "../protocol/problems";

export interface Identity {
  readonly user: UserId;
  readonly username: string;
  readonly device: DeviceId;
  readonly deviceName: string;
}

/** Requests to the server as this device: tokens are added, refreshed once for all tabs, and repeats made where they do no harm. */
export interface Session {
  /** Rejected with `Refusal("signed_out")` where nobody is. */
  identity(): Promise<Identity>;
  /**
   * `accounts/register` or `accounts/sign-in` with this form: this browser is a (new) device from then on. What another
   * account left here is gone before; of the same one stays what is known of keys, and what the user wrote or pressed that no
   * server has. Not repeated without an answer: a registration that came through would then say `username_taken`.
   */
  enter(path: "accounts/register" | "accounts/sign-in", form: Readonly<Record<string, unknown>>): Promise<Identity>;
  /** Have this device revoked. It counts as signed out even if the server cannot be reached; everything stored here is deleted. */
  leave(): Promise<void>;
  /**
   * `path` is relative to `/api/v1/`. Answers the parsed body (null for 204). Rejected with a `Refusal` whose `code` is the
   * problem's, or `offline` once repeats have been given up. GET, PUT and DELETE, and what is answered alike when it comes twice
   * (`repeats`), are repeated with full-jitter back-off while the server is away or says `retry_after`.
   */
  request(
    method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE",
    path: string,
    options?: { body?: unknown; ifMatch?: number; repeats?: boolean; anonymous?: boolean; signal?: AbortSignal },
  ): Promise<unknown>;
}

/** A text to be sealed, as the outbox has it. */
export interface Draft {
  readonly id: MessageId;
  readonly room: RoomId;
  readonly sentAt: number;
  readonly text: string;
}

export interface Sealed {
  readonly alg: "chat.e2ee.v1";
  readonly epoch: number;
  readonly ciphertext: string; // base64url
}

/** A message entry as it came (docs/protocol.md §3.2). */
export interface SealedMessage extends Sealed {
  readonly seq: number;
  readonly id: MessageId;
  readonly room: RoomId;
  readonly sender: UserId;
  readonly device: DeviceId;
  readonly sentAt: number;
  readonly acceptedAt: number;
}

export type Opened =
  | { readonly type: string; readonly text: string; readonly problem: null }
  | { readonly text: null; readonly problem: "locked" | "no_key" | "not_verified" };

/** The only way in which bodies are sealed and opened. */
export interface Sealing {
  /**
   * Seal for the room's newest epoch, which is fetched, or made, if need be. Rejected with `Refusal`: `offline`, `blocked`,
   * `keys_missing`, `identity_changed` (somebody in the room was verified and has another identity now), `not_found`, ….
   */
  seal(drafts: readonly Draft[]): Promise<readonly Sealed[]>;
  /** The server refused what was sealed under this epoch, with `epoch_stale`: whatever is sealed next is sealed under a newer one. */
  stale(room: RoomId, epoch: number, problem: Problem): void;
  /**
   * Open a batch in order. Never rejected for what is in it: what fails says how. With `mayAsk` keys that are missing here are
   * asked for; without it (the server is away) they count as missing for now.
   */
  open(messages: readonly SealedMessage[], mayAsk: boolean): Promise<readonly Opened[]>;
  /** Entries of kind `epoch`, `keys` and `room`, before they are acknowledged: what they outdate, and what is to be asked for. */
  heard(entries: readonly KeyEntry[]): Promise<void>;
  /** Before the history of a new device is read: the keys of all its rooms. Does nothing where that was done. */
  restore(tell: (restoring: Restoring) => void): Promise<void>;
  /** After each connect: what was missed meanwhile, keys to share with joiners, the device's own state. */
  upkeep(): Promise<void>;
  /** Who can read what is sent now, by the signed list of the newest epoch; null: not known. */
  readers(room: RoomId): Promise<readonly UserId[] | null>;
  /** What an epoch changed about who can read, as far as this device knows; null: nothing is known. */
  change(room: RoomId, epoch: number): Promise<ReadersChange | null>;
  /** The tab goes: stop what goes on by itself. */
  close(): void;
}

export interface ReadersChange {
  readonly added: readonly UserId[];
  readonly removed: readonly UserId[];
  readonly rekeyed: readonly UserId[];
}

/** The keys' part of `Messenger`, which `device/device.ts` passes on as it is. */
export interface Keys
  extends Pick<
    Messenger,
    | "strength"
    | "signUp"
    | "recoveryKey"
    | "confirmRecoveryKey"
    | "signIn"
    | "changePassword"
    | "newRecoveryKey"
    | "unlock"
    | "reset"
    | "revokeDevice"
    | "safety"
    | "verify"
    | "scanned"
  > {
  /** Whose identity was compared, and still is the one that was. */
  readonly verified: ReadonlySignal<ReadonlySet<UserId>>;
  /** Who was verified and has another identity now: nothing is sealed for them. */
  readonly held: ReadonlySignal<ReadonlySet<UserId>>;
}

/** See docs/protocol.md §3.2; bodies as they came. */
export type KeyEntry = {
  readonly seq: number;
  readonly kind: "epoch" | "keys" | "room";
  readonly [field: string]: unknown;
};

/** What parts tell each other, in all tabs of this browser; all of it is a hint: the store has the truth. */
export type News =
  /** Of these rooms something is new; `rewritten`: rows that were there before are others now. */
  | {
      readonly type: "stored";
      readonly rooms: readonly RoomId[];
      readonly upTo: number;
      readonly rewritten?: boolean;
    }
  /** `settled`: the server has answered, so there is nothing to send. */
  | { readonly type: "outbox"; readonly room: RoomId; readonly settled?: boolean }
  | { readonly type: "rooms" }
  | { readonly type: "receipts"; readonly rooms: readonly RoomId[] }
  | { readonly type: "connections" }
  | { readonly type: "notices" }
  | { readonly type: "account" }
  | { readonly type: "connection"; readonly state: unknown }
  | { readonly type: "restoring"; readonly state: unknown }
  | { readonly type: "questions" }
  /** The key documents of these users are others by now: what is kept of them in memory is old. */
  | { readonly type: "documents"; readonly users: readonly UserId[] }
  /** Keys came for what could not be opened: try again. */
  | { readonly type: "unlocked" }
  | { readonly type: "typing"; readonly room: RoomId; readonly user: UserId }
  /** The user has read up to a seq, in some tab: to be told to the server. */
  | { readonly type: "read"; readonly room: RoomId }
  /** The user is writing, in some tab. */
  | { readonly type: "writing"; readonly room: RoomId }
  /** The user does not want to wait for the next attempt. */
  | { readonly type: "hurry" };

export interface Bus {
  tell(news: News): void;
  /** Also what this tab tells. Returns how to stop. */
  listen(hear: (news: News) => void): () => void;
}
