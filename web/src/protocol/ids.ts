/** Ids are lower-case UUIDs (docs/protocol.md §1); each kind has a type of its own, so that they are not mixed up. */

declare const kind: unique symbol;
type Id<Kind extends string> = string & { readonly [kind]: Kind };

export type UserId = Id<"user">;
export type DeviceId = Id<"device">;
export type RoomId = Id<"room">;
export type MessageId = Id<"message">;

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

export function isId(text: unknown): text is string {
  return typeof text === "string" && UUID.test(text);
}

/** A UUIDv7 (RFC 9562 §5.7): 48 bits of `ms`, then random bits of `random` (10 bytes). */
export function messageId(ms: number, random: Uint8Array): MessageId {
  const bytes = new Uint8Array(16);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(ms) << 16n);
  bytes.set(random.subarray(0, 10), 6);
  bytes[6] = (bytes[6]! & 0x0f) | 0x70;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}` as MessageId;
}
