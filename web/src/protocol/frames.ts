/** Every frame of the socket (docs/protocol.md §4), spelled here and nowhere else in this client. */

import { type Accepted, decodeAccepted } from "./answers";
import { decodeEntry, type Entry } from "./entries";
import type { DeviceId, MessageId, RoomId, UserId } from "./ids";
import { decodeProblem, type Problem } from "./problems";
import { fields, flag, id, list, Malformed, maybeId, parsed, text, whole } from "./shape";

export const FRAME_BYTES = 65_536;
export const FRAME_MESSAGES = 100;
// The refs of `reject` and `read` name what they are about, because the answer to one that is refused carries nothing else.
export const REJECT_REF = "reject:";
export const READ_REF = "read:";

/** A message as it stands in a `send` frame (§3.1). */
export interface WireMessage {
  readonly id: MessageId;
  readonly room: RoomId;
  readonly sender: UserId;
  readonly recipient?: UserId;
  readonly sent_at: number;
  readonly alg: string;
  readonly epoch: number;
  readonly ciphertext: string;
  readonly delivered: false;
  readonly read: false;
}

/** What the client sends (§4.1). */
export type ClientFrame =
  | {
      readonly type: "hello";
      readonly token: string;
      readonly client: { readonly name: string; readonly version: string };
    }
  | { readonly type: "send"; readonly ref: string; readonly messages: readonly WireMessage[] }
  | { readonly type: "ack"; readonly seq: number }
  | { readonly type: "read"; readonly ref: string; readonly room: RoomId; readonly seq: number }
  | { readonly type: "reject"; readonly ref: string; readonly message: MessageId; readonly later: MessageId }
  | { readonly type: "typing"; readonly room: RoomId }
  | { readonly type: "ping" };

/** Of what `device` sent in `room`, `user` has (`delivered`), or has read, everything up to the named message. */
export interface Receipt {
  readonly room: RoomId;
  readonly user: UserId;
  readonly device: DeviceId;
  readonly delivered: MessageId | null;
  readonly read: MessageId | null;
}

export interface Welcome {
  readonly type: "welcome";
  readonly user: UserId;
  readonly device: DeviceId;
  readonly host: string;
  readonly acknowledged: number;
  readonly last_seq: number;
  readonly window: number;
}

/** What the server sends (§4.2). `other` is a type that this version does not know: it is passed over, so that a newer server can add some. */
export type ServerFrame =
  | Welcome
  | { readonly type: "entries"; readonly entries: readonly Entry[] }
  | { readonly type: "drained"; readonly seq: number }
  | { readonly type: "accepted"; readonly messages: readonly Accepted[] }
  | { readonly type: "error"; readonly ref: string | null; readonly problem: Problem }
  | { readonly type: "receipts"; readonly receipts: readonly Receipt[] }
  | { readonly type: "read"; readonly room: RoomId; readonly seq: number }
  | { readonly type: "typing"; readonly room: RoomId; readonly user: UserId }
  | { readonly type: "rejected"; readonly message: MessageId; readonly reason: string }
  | { readonly type: "reconnect"; readonly url: string | null; readonly afterMs: number }
  | { readonly type: "muted"; readonly room: RoomId; readonly muted: boolean }
  | { readonly type: "pong" }
  | { readonly type: "other"; readonly name: string };

export function encode(frame: ClientFrame): string {
  return JSON.stringify(frame);
}

export function readFrame(room: RoomId, seq: number): ClientFrame {
  return { type: "read", ref: READ_REF + room, room, seq };
}

export function rejectFrame(message: MessageId, later: MessageId): ClientFrame {
  return { type: "reject", ref: REJECT_REF + message, message, later };
}

/** Read a frame. An unknown type becomes `other`; a known one of the wrong shape is refused (`Malformed`). */
export function decode(json: unknown): ServerFrame {
  if (typeof json !== "string") throw new Malformed("a frame is text");
  const given = fields(parsed(json), "a frame");
  const type = text(given, "type");
  switch (type) {
    case "entries":
      return { type, entries: list(given, "entries", decodeEntry) };
    case "accepted":
      return { type, messages: list(given, "messages", decodeAccepted) };
    case "receipts":
      return { type, receipts: list(given, "receipts", decodeReceipt) };
    case "error": {
      const problem = decodeProblem(fields(given.problem, "a problem"));
      return { type, ref: typeof given.ref === "string" ? given.ref : null, problem };
    }
    case "welcome":
      return {
        type,
        user: id(given, "user"),
        device: id(given, "device"),
        host: text(given, "host"),
        acknowledged: whole(given, "acknowledged"),
        last_seq: whole(given, "last_seq"),
        window: whole(given, "window"),
      };
    case "drained":
      return { type, seq: whole(given, "seq") };
    case "read":
      return { type, room: id(given, "room"), seq: whole(given, "seq") };
    case "typing":
      return { type, room: id(given, "room"), user: id(given, "user") };
    case "rejected":
      return { type, message: id(given, "message"), reason: text(given, "reason") };
    case "reconnect":
      return { type, url: given.url === null ? null : text(given, "url"), afterMs: whole(given, "after_ms") };
    case "muted":
      return { type, room: id(given, "room"), muted: flag(given, "muted") };
    case "pong":
      return { type };
    default:
      return { type: "other", name: type };
  }
}

/** A receipt with its two optional marks, on the socket and in `GET /rooms/{id}/receipts`. */
export function decodeReceipt(value: unknown): Receipt {
  const given = fields(value, "a receipt");
  return {
    room: id(given, "room"),
    user: id(given, "user"),
    device: id(given, "device"),
    delivered: maybeId(given, "delivered"),
    read: maybeId(given, "read"),
  };
}
