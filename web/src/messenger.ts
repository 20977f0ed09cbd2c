/**
 * What the pages ask of the device, and nothing else: `ui/` imports this file and the types of `protocol/`, never the store, the
 * cryptography or the network. `device/` implements it.
 *
 * Values that change are signals (@preact/signals-core): reading one in a component shows it anew when it changes. A promise is
 * rejected with a `Refusal` and nothing else that a page has to know.
 */

import type { ReadonlySignal } from "@preact/signals-core";

import type { DeviceId, MessageId, RoomId, UserId } from "./protocol/ids";
import type { Problem } from "./protocol/problems";

/** Why something that was asked for is not done; `code` is one of docs/protocol.md §2 or of `ClientCode`. */
export class Refusal extends Error {
  constructor(
    readonly code: string,
    readonly problem: Problem | null = null,
  ) {
    super(code);
  }
}

/** Refusals that the server knows nothing of. */
export type ClientCode =
  | "offline" // it needs the server, which is not reachable
  | "weak_password" // zxcvbn below 3
  | "bad_recovery_key" // not a recovery key: a typing mistake
  | "wrong_secret" // password or recovery key do not open the vault
  | "signed_out"
  | "identity_changed" // the user has other keys than those that were compared
  | "not_verified" // what the server told is not what was signed: nothing was done
  | "not_a_code" // not the text of a safety code
  | "other_code" // the safety code of somebody else, or of other keys
  | "storage_full"
  | "empty";

// --- the account -----------------------------------------------------------------------------------------------------------

export interface Account {
  readonly user: UserId;
  readonly username: string;
  readonly device: DeviceId;
  readonly deviceName: string;
  readonly readReceipts: boolean;
}

export type Connection =
  /** No socket; the next attempt, ms since 1970. `storage_full`: what comes cannot be stored, so it is not taken. */
  | { readonly state: "offline"; readonly retryAt: number | null; readonly reason?: "storage_full" }
  | { readonly state: "connecting" }
  | { readonly state: "catching-up"; readonly done: number; readonly of: number } // entries
  | { readonly state: "live" }
  | { readonly state: "stopped"; readonly reason: "signed_out" | "suspended" | "fault" };

/** How far the history of a new device has come; `step` goes through these in order. */
export interface Restoring {
  readonly step: "keys" | "epochs" | "messages";
  readonly done: number;
  readonly of: number;
}

export interface DeviceLine {
  readonly id: DeviceId;
  readonly name: string;
  readonly client: string;
  readonly createdAt: number;
  readonly lastSeenAt: number | null;
  readonly isThis: boolean;
}

/** Something that the user should know of, until it is put away. */
export type Notice =
  | {
      readonly kind: "identity";
      readonly id: string;
      readonly user: UserId;
      readonly username: string;
      readonly wasVerified: boolean;
    }
  /** The server tells another name of this user than before, though nobody is ever renamed. */
  | { readonly kind: "name"; readonly id: string; readonly user: UserId; readonly username: string }
  | {
      readonly kind: "vault-opened";
      readonly id: string;
      readonly device: DeviceId | null;
      readonly deviceName: string | null;
    }
  | { readonly kind: "keys-locked"; readonly id: string } // `unlock` brings what this device lacks
  | { readonly kind: "recovery-unconfirmed"; readonly id: string }
  | {
      readonly kind: "change-failed";
      readonly id: string;
      readonly username: string;
      readonly action: ConnectionAction;
      readonly problem: Problem;
    };

// --- rooms ------------------------------------------------------------------------------------------------------------------

export type Role = "owner" | "admin" | "member";

export interface Member {
  readonly user: UserId;
  readonly username: string;
  /** Null: no member by what the server tells, and yet among those who can read (put out just now, or added for the keys alone). */
  readonly role: Role | null;
  /** Whether the signed list of the newest epoch has the user: who can read what is sent now. */
  readonly reads: boolean;
  readonly verified: boolean;
  /** Was verified, and has another identity now: nothing can be written here until it is compared. */
  readonly held: boolean;
}

/** A line of the list of rooms; sorted by `at`, newest first. */
export interface RoomLine {
  readonly id: RoomId;
  readonly kind: "direct" | "group";
  /** A direct room's peer; null in groups. */
  readonly peer: UserId | null;
  /** The names of the others, by name. The page makes a title of them. */
  readonly others: readonly string[];
  readonly unread: number;
  readonly muted: boolean;
  readonly preview: Preview | null;
  /** When its newest message was accepted (or written here, while it waits), ms. */
  readonly at: number;
  /** Who is writing now. */
  readonly typing: readonly string[];
  /** Why nothing can be written there, or null. */
  readonly closed: "blocked-by-you" | "blocked-by-peer" | "left" | "unverified" | null;
}

export interface Preview {
  readonly mine: boolean;
  readonly by: string;
  readonly text: string | null; // null: could not be opened, or refused
  readonly ticks: Ticks | null;
}

export interface RoomDetail extends RoomLine {
  readonly members: readonly Member[];
  readonly myRole: Role | null; // null: not a member any more
  readonly history: "joined" | "all";
  readonly createdAt: number;
}

/** How far an own message has come; in a group all others count. `late`, `blocked`, `failed` have a reason beside them. */
export type Ticks = "waiting" | "sent" | "delivered" | "read" | "failed";

/** What a conversation shows, in the order of `seq`; what waits to be sent comes last, in the order of writing. */
export type Row =
  | {
      readonly kind: "message";
      readonly key: string; // stable over sending and sending again
      readonly id: MessageId;
      readonly seq: number | null; // null while it waits or when it failed
      readonly sender: UserId;
      readonly by: string;
      readonly mine: boolean;
      readonly at: number;
      /** The text; null when `problem` says why there is none. */
      readonly text: string | null;
      readonly problem: "locked" | "no_key" | "not_verified" | null;
      readonly ticks: Ticks | null;
      /** In groups: how many of the others have it and have read it. */
      readonly reached: { readonly delivered: number; readonly read: number; readonly of: number } | null;
      /**
       * Why it was refused: here because it came late; there because late or blocked; or by the server (then `code`). Or the device
       * was signed out before it was known to be sent.
       */
      readonly refused: {
        readonly reason: "late" | "blocked" | "failed" | "signed_out";
        readonly code: string | null;
        readonly canSendAgain: boolean;
      } | null;
    }
  | {
      readonly kind: "system";
      readonly key: string;
      readonly seq: number;
      readonly at: number | null;
      readonly change:
        | {
            readonly what: "created" | "added" | "removed" | "left" | "owner";
            readonly by: string | null;
            readonly users: readonly string[];
          }
        | { readonly what: "role"; readonly by: string | null; readonly users: readonly string[]; readonly role: Role }
        // By the signed lists of two epochs: who can read from now on, who no longer can, whose keys are others.
        | {
            readonly what: "readers";
            readonly by: string;
            readonly added: readonly string[];
            readonly removed: readonly string[];
            readonly rekeyed: readonly string[];
          }
        | { readonly what: "identity"; readonly user: UserId; readonly username: string };
    };

/** A window on a conversation. It begins at the newest rows (or around a place) and grows; close it when the page leaves. */
export interface Timeline {
  readonly rows: ReadonlySignal<readonly Row[]>;
  /** Whether older rows can be had: from this device's store, and behind that from the server. */
  readonly hasOlder: ReadonlySignal<boolean>;
  /** Whether the window ends before the newest row (after `around`). */
  readonly hasNewer: ReadonlySignal<boolean>;
  /** The first unread row when the window was opened: where the marker stands. Null: nothing was unread. */
  readonly unreadFrom: number | null;
  older(): Promise<void>;
  newer(): Promise<void>;
  around(seq: number): Promise<void>;
  newest(): Promise<void>;
  close(): void;
}

export interface Hit {
  readonly room: RoomId;
  readonly seq: number;
  readonly by: string;
  readonly at: number;
  readonly text: string;
}

// --- connections -------------------------------------------------------------------------------------------------------------

export type ConnectionAction = "add" | "accept" | "decline" | "remove" | "block" | "unblock";

export interface Relation {
  readonly user: UserId;
  readonly username: string;
  readonly state: "none" | "requested" | "incoming" | "contact";
  readonly blocked: boolean;
  readonly blockedBy: boolean;
  readonly verified: boolean;
  /** A change of this device's that the server has not answered yet. */
  readonly waiting: ConnectionAction | null;
}

export interface ConnectionSettings {
  readonly whoMayOpen: "anyone" | "contacts";
  readonly whoMayAdd: "anyone" | "contacts";
  readonly strangers: "mailbox" | "requests";
}

/** What the connection service asks back (docs/protocol.md §5.3). */
export type Question =
  | {
      readonly kind: "conflict";
      readonly id: string;
      readonly action: ConnectionAction;
      readonly username: string;
      readonly now: Relation;
      readonly changedByDevice: string | null;
      readonly changedAt: number | null;
    }
  | {
      readonly kind: "lag";
      readonly id: string;
      readonly username: string;
      readonly devices: readonly { readonly name: string; readonly lastSeenAt: number | null }[];
    };

// --- the whole ---------------------------------------------------------------------------------------------------------------

export interface Safety {
  /** 60 digits. */
  readonly number: string;
  /** What a code says that the other one scans. */
  readonly qr: string;
  readonly verified: boolean;
}

export interface Messenger {
  /** Null: nobody is signed in in this browser. Undefined: not known yet. */
  readonly account: ReadonlySignal<Account | null | undefined>;
  readonly connection: ReadonlySignal<Connection>;
  readonly restoring: ReadonlySignal<Restoring | null>;
  readonly notices: ReadonlySignal<readonly Notice[]>;
  putAway(notice: string): Promise<void>;

  /** 0 to 4, zxcvbn's; loads its dictionary on first use. */
  strength(password: string, username: string): Promise<number>;
  signUp(username: string, password: string, deviceName: string): Promise<void>;
  /** The recovery key's text from signing up (or renewing it) until it is confirmed, also over a reload. */
  readonly recoveryKey: ReadonlySignal<string | null>;
  confirmRecoveryKey(): Promise<void>;
  signIn(username: string, secret: { password: string } | { recoveryKey: string }, deviceName: string): Promise<void>;
  /** Revokes this device and forgets everything that is stored in this browser. */
  signOut(): Promise<void>;
  changePassword(old: { password: string } | { recoveryKey: string }, password: string): Promise<void>;
  newRecoveryKey(password: string): Promise<void>;
  unlock(password: string): Promise<void>;
  /** Begin again with a new identity: old history stays unreadable on other devices. */
  reset(password: string): Promise<void>;
  setReadReceipts(on: boolean): Promise<void>;

  devices(): Promise<readonly DeviceLine[]>;
  renameDevice(id: DeviceId, name: string): Promise<void>;
  revokeDevice(id: DeviceId, password: string): Promise<void>;

  readonly rooms: ReadonlySignal<readonly RoomLine[]>;
  room(id: RoomId): ReadonlySignal<RoomDetail | null>;
  /** By exact user name; null when there is none. */
  findUser(username: string): Promise<{ user: UserId; username: string } | null>;
  openDirect(user: UserId): Promise<RoomId>;
  createGroup(members: readonly UserId[], history: "joined" | "all"): Promise<RoomId>;
  addMembers(room: RoomId, users: readonly UserId[]): Promise<void>;
  removeMember(room: RoomId, user: UserId): Promise<void>;
  setRole(room: RoomId, user: UserId, role: "admin" | "member"): Promise<void>;
  handOver(room: RoomId, user: UserId): Promise<void>;
  leave(room: RoomId): Promise<void>;
  mute(room: RoomId, on: boolean): Promise<void>;

  timeline(room: RoomId): Promise<Timeline>;
  /** Put into the outbox at once, offline too. Rejected with `blocked` without asking the server where the device knows of a block. */
  send(room: RoomId, text: string): Promise<MessageId>;
  /** A refused or failed message once more, under a new id. */
  sendAgain(message: MessageId): Promise<MessageId>;
  /** Give up what waits or has failed; what the mailbox has stays. */
  discard(message: MessageId): Promise<void>;
  markRead(room: RoomId, seq: number): void;
  typing(room: RoomId): void;
  draft(room: RoomId): Promise<string>;
  /** With every letter: it is stored when nothing more comes, now and then meanwhile, and at once when the page is hidden. */
  keepDraft(room: RoomId, text: string): void;
  /** Full words and prefixes, in all rooms, newest first; every word of the query must occur. */
  search(query: string, limit: number): Promise<readonly Hit[]>;

  readonly relations: ReadonlySignal<readonly Relation[]>; // by name
  readonly settings: ReadonlySignal<ConnectionSettings | null>;
  changeSettings(settings: Partial<ConnectionSettings>): Promise<void>;
  /** Queued in the store at once, offline too; resolved when it is stored, not when it is answered. */
  press(action: ConnectionAction, who: { user: UserId } | { username: string }): Promise<void>;
  readonly canUnblock: ReadonlySignal<boolean>;
  readonly questions: ReadonlySignal<readonly Question[]>;
  answer(question: string, what: "confirm" | "drop" | "wait"): void;

  safety(user: UserId): Promise<Safety>;
  verify(user: UserId, on: boolean): Promise<void>;
  /** The code that this user showed. Rejected with `not_a_code` and `other_code`; then nobody is verified. */
  scanned(text: string, user: UserId): Promise<void>;

  /** Web Push on this device. */
  readonly push: ReadonlySignal<"unsupported" | "off" | "on" | "denied">;
  enablePush(): Promise<void>;
  disablePush(): Promise<void>;

  /** Whether there is another build of the client than this tab's. */
  readonly newBuild: ReadonlySignal<boolean>;
  /** Load it: what was typed is kept. */
  loadNewBuild(): Promise<void>;

  /** The user asks to connect now, instead of waiting for the next attempt. */
  hurry(): void;
}
