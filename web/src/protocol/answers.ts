/** What REST answers (docs/protocol.md §3), as values. */

import { decodeEntry, type Entry } from "./entries";
import { decodeReceipt, type Receipt } from "./frames";
import type { DeviceId, MessageId, RoomId, UserId } from "./ids";
import {
  among,
  fields,
  flag,
  flagOrNull,
  id,
  idOrNull,
  list,
  listOf,
  Malformed,
  maybeWhole,
  object,
  text,
  whole,
  wholeOrNull,
} from "./shape";

/** An access token and the refresh token that replaces it; ms since 1970. */
export interface Tokens {
  readonly access: string;
  readonly accessExpiresAt: number;
  readonly refresh: string;
  readonly refreshExpiresAt: number;
}

/** *session*: who this device is, and its tokens. */
export interface SignedIn {
  readonly user: UserId;
  readonly username: string;
  readonly device: DeviceId;
  readonly deviceName: string;
  readonly tokens: Tokens;
}

const ROLES = ["owner", "admin", "member"] as const;

export interface RoomMember {
  readonly user: UserId;
  readonly username: string;
  readonly role: (typeof ROLES)[number];
  readonly joinedAt: number;
}

/** *room* as it was at `membersVersion`. `muted` is null where the server does not say. */
export interface Room {
  readonly id: RoomId;
  readonly kind: "direct" | "group";
  readonly membersVersion: number;
  readonly epoch: number;
  readonly history: "joined" | "all";
  readonly createdAt: number;
  readonly members: readonly RoomMember[];
  readonly muted: boolean | null;
}

export interface RoomsPage {
  readonly rooms: readonly Room[];
  readonly next: string | null;
}

export interface Device {
  readonly id: DeviceId;
  readonly name: string;
  readonly client: string;
  readonly createdAt: number;
  readonly lastSeenAt: number | null;
  readonly isThis: boolean;
}

/** The server has committed this message; whatever happens now, it reaches every recipient. */
export interface Accepted {
  readonly id: MessageId;
  readonly room: RoomId;
  readonly sender: UserId;
  readonly recipient: UserId | null;
  readonly accepted_at: number;
}

/** A page of a mailbox. `next` is what to pass as `after` (or `before`), null at the end. A room's history has no `lastSeq`. */
export interface Page {
  readonly entries: readonly Entry[];
  readonly lastSeq: number;
  readonly next: number | null;
}

export const decodeTokens = object<Tokens>("tokens", {
  access: text,
  accessExpiresAt: whole,
  refresh: text,
  refreshExpiresAt: whole,
});

export function decodeSignedIn(value: unknown): SignedIn {
  const given = fields(value, "a session");
  const user = fields(given.user, "a user");
  const device = fields(given.device, "a device");
  return {
    user: id(user, "id"),
    username: text(user, "username"),
    device: id(device, "id"),
    deviceName: text(device, "name"),
    tokens: decodeTokens(given),
  };
}

export const decodeUser = object<{ user: UserId; username: string }>("a user", {
  user: (from) => id(from, "id"),
  username: text,
});

const decodeMember = object<RoomMember>("a member", { user: id, username: text, role: among(ROLES), joinedAt: whole });

export const decodeRoom = object<Room>("a room", {
  id,
  kind: among(["direct", "group"]),
  membersVersion: whole,
  epoch: (from, name) => wholeOrNull(from, name) ?? 0,
  history: (from, name) => (from[name] === "all" ? "all" : "joined"),
  createdAt: whole,
  members: listOf(decodeMember),
  muted: flagOrNull,
});

/** The other one in a direct room; null in a group. */
export function peerOf(room: Room, me: UserId): UserId | null {
  const others = room.members.filter((member) => member.user !== me);
  return room.kind === "direct" && others.length === 1 ? others[0]!.user : null;
}

export function decodeRooms(value: unknown): RoomsPage {
  const given = fields(value, "a page of rooms");
  return { rooms: list(given, "rooms", decodeRoom), next: given.next == null ? null : text(given, "next") };
}

export const decodeDevice = object<Device>("a device", {
  id,
  name: text,
  client: (from, name) => (typeof from[name] === "string" ? from[name] : ""),
  createdAt: whole,
  lastSeenAt: wholeOrNull,
  isThis: (from) => flag(from, "this_device"),
});

export function decodeDevices(value: unknown): Device[] {
  return list(fields(value, "devices"), "devices", decodeDevice);
}

export const decodeAccepted = object<Accepted>("an answer to a send", {
  id,
  room: id,
  sender: id,
  recipient: idOrNull,
  accepted_at: whole,
});

export const decodePage = object<Page>("a page", {
  entries: listOf(decodeEntry),
  lastSeq: (from, name) => maybeWhole(from, name) ?? 0,
  next: maybeWhole,
});

/** A page that goes forward from behind `after`, without a gap (mailboxes have none) and with nothing from before. */
export function decodeForward(value: unknown, after: number): Page {
  const page = decodePage(value);
  page.entries.forEach((entry, index) => {
    if (entry.seq !== after + 1 + index) throw new Malformed(`${after + 1 + index} is missing`);
  });
  if (page.next !== null && page.next <= after) throw new Malformed("the pages of the mailbox do not go on");
  return page;
}

/** A page that goes back from below `before`. It may have gaps. */
export function decodeBackward(value: unknown, before: number): Page {
  const page = decodePage(value);
  if (page.next !== null && page.next >= before) throw new Malformed("the pages of the room do not go on");
  return page;
}

/** The answer of `GET /rooms/{id}/receipts`. */
export function decodeReceipts(value: unknown, room: RoomId): Receipt[] {
  return list(fields(value, "receipts"), "receipts", (item) => decodeReceipt({ ...fields(item, "a receipt"), room }));
}

/** What the client uses of `GET /limits`. */
export function decodeDiscloses(value: unknown): boolean | null {
  const given = fields(value, "limits");
  return flagOrNull(given, "disclose_blocks");
}

/** The answer of `GET /hosts/assignment`: where this device's socket is to be. */
export function decodeAssignment(value: unknown): string {
  const url = text(fields(value, "an assignment"), "url");
  if (!/^https?:\/\/[^/]/.test(url)) throw new Malformed("no URL of a host");
  return url.replace(/\/+$/, "");
}
