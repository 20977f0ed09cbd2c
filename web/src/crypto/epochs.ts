/**
 * A room's epoch: the record that its creator signs, and the key wrapped for each member (docs/protocol.md §6.6).
 *
 *     made = await create({ room, epoch: 7, prev: previous.digest, creator, device, signer, members, nowS })
 *     record = await read(envelope, { room, epoch: 7, creator, device }, verifier)
 *     key = await openWrap(record, wrap, user, encryptionKey)                       // an EpochKey
 *
 * The record commits to the key: whoever gets another one than the others notices.
 */

import type { DeviceId, RoomId, UserId } from "../protocol/ids";
import * as aead from "./aead";
import { type Bytes, Secret, same, utf8 } from "./bytes";
import { b64, ctx, digest, PROTOCOL, Signed, sign, unb64 } from "./encoding";
import { CryptoError, isRefused } from "./errors";
import { digestOrNone, fields, identifier, integer, listing, time, version1 } from "./forms";
import type { Fields } from "./json";
import { type HeldKey, type PublicEncryptionKey, recipient } from "./keys";
import { EpochKey } from "./messages";
import type { UserKeys } from "./userkeys";

export const KIND = `${PROTOCOL}.epoch`;
export const MAX_MEMBERS = 1000;

/** Who can read an epoch: a user, by which identity key (32 bytes) and which version of the encryption key. */
export interface RosterLine {
  readonly user: UserId;
  readonly identity: Bytes;
  readonly version: number;
}

export function lineOf(keys: UserKeys): RosterLine {
  return { user: keys.user, identity: keys.identity, version: keys.encryption.version };
}

export type WrittenLine = readonly [UserId, string, number];

export function writeLine(line: RosterLine): WrittenLine {
  return [line.user, b64(line.identity), line.version];
}

/** A roster as the server tells it; compare its digest with the record's. Throws `bad_encoding`. */
export function readRoster(value: unknown): readonly RosterLine[] {
  const lines = listing(value, MAX_MEMBERS).map(readLine);
  if (new Set(lines.map((line) => line.user)).size !== lines.length)
    throw new CryptoError("bad_encoding", "a user twice");
  return lines;
}

function readLine(value: unknown): RosterLine {
  const line = listing(value, 3);
  if (line.length !== 3) throw new CryptoError("bad_encoding", "not a line of a roster");
  return { user: identifier<UserId>(line[0]), identity: unb64(line[1], 32), version: integer(line[2], 1) };
}

/** SHA-256 of the sorted lines `user:uik:version`, each with a line feed; 32 bytes. */
export function rosterDigest(roster: readonly RosterLine[]): Promise<Bytes> {
  const lines = roster.map((line) => `${line.user}:${b64(line.identity)}:${line.version}\n`);
  return digest(utf8(lines.sort().join("")));
}

/** What the creator's device signed. `prev`: SHA-256 of the last epoch's record, empty for the first; `ts` in seconds. */
export interface EpochRecord {
  readonly room: RoomId;
  readonly epoch: number;
  readonly prev: Bytes;
  readonly creator: UserId;
  readonly device: DeviceId;
  readonly rosterDigest: Bytes;
  readonly commitment: Bytes;
  readonly ts: number;
  readonly signed: Signed;
}

export type Place = Pick<EpochRecord, "room" | "epoch" | "creator" | "device">;

/** All that the creator uploads, and the key that it keeps. */
export interface NewEpoch {
  readonly record: EpochRecord;
  readonly roster: readonly RosterLine[];
  readonly wraps: ReadonlyMap<UserId, Bytes>;
  readonly key: EpochKey;
}

/** The body of `POST rooms/{id}/epochs`. */
export function upload(made: NewEpoch, membersVersion: number): Fields {
  const wraps: Record<UserId, Fields> = {};
  for (const line of made.roster) wraps[line.user] = writeWrap(line.version, made.wraps.get(line.user) as Bytes);
  return {
    members_version: membersVersion,
    record: made.record.signed.envelope(made.record.device),
    roster: made.roster.map(writeLine),
    wraps,
  };
}

/** One wrap as it travels. */
export function writeWrap(version: number, sealed: Bytes): { ver: number; ct: string } {
  return { ver: version, ct: b64(sealed) };
}

/**
 * A new key for these members, whose documents were checked against their pins; 0.3 ms for each.
 *
 * Throws `bad_epoch` for too many members, none, or one twice, and for a `prev` that does not go with the number.
 */
export async function create(what: {
  room: RoomId;
  epoch: number;
  prev: Bytes;
  creator: UserId;
  device: DeviceId;
  signer: CryptoKey;
  members: readonly UserKeys[];
  nowS: number;
  /** For a test that knows the key. */
  secret?: Secret;
}): Promise<NewEpoch> {
  const { room, epoch, prev, creator, device, members } = what;
  const users = new Set(members.map((keys) => keys.user));
  if (members.length < 1 || members.length > MAX_MEMBERS || users.size !== members.length)
    throw new CryptoError("bad_epoch", "an epoch has 1 to 1000 different members");
  if ((epoch === 1) !== (prev.length === 0))
    throw new CryptoError("bad_epoch", "the first epoch, and no other, follows none");
  const secret = (what.secret ?? Secret.fresh()).reveal();
  const roster = members.map(lineOf).sort((one, other) => (one.user < other.user ? -1 : 1));
  const document = {
    v: 1,
    room,
    epoch,
    prev: b64(prev),
    creator,
    device,
    roster: b64(await rosterDigest(roster)),
    commit: b64(await commitment(secret, room, epoch)),
    ts: what.nowS,
  };
  const record = recordOf(await sign(KIND, document, what.signer), document);
  const wraps = await Promise.all(members.map((keys) => wrap(secret, room, epoch, keys.user, keys.encryption)));
  return {
    record,
    roster,
    wraps: new Map(members.map((keys, at) => [keys.user, wraps[at] as Bytes])),
    key: await EpochKey.of(room, epoch, secret),
  };
}

/**
 * The record of this room's epoch, signed by this device. `verifier`: the device's key, from its user's document.
 *
 * Throws `bad_encoding`, `bad_signature`, `bad_epoch`.
 */
export async function read(envelope: unknown, place: Place, verifier: CryptoKey): Promise<EpochRecord> {
  return readSigned(await Signed.read(envelope, KIND), place, verifier);
}

/** The same of an envelope that was read. */
export async function readSigned(signed: Signed, place: Place, verifier: CryptoKey): Promise<EpochRecord> {
  const record = recordOf(signed, await signed.verify(verifier));
  const names = ["room", "epoch", "creator", "device"] as const;
  if (!names.every((name) => record[name] === place[name]))
    throw new CryptoError("bad_epoch", "a record for another room, epoch, creator or device");
  return record;
}

/** Whether the record is the next one of its room. Throws `bad_epoch`. */
export function checkFollows(record: EpochRecord, previous: EpochRecord): void {
  const isNext = record.room === previous.room && record.epoch === previous.epoch + 1;
  if (!isNext || !same(record.prev, previous.signed.digest))
    throw new CryptoError("bad_epoch", "not the successor of this record");
}

/** Whether the creator signed this roster. Throws `bad_epoch`. */
export async function checkRoster(record: EpochRecord, roster: readonly RosterLine[]): Promise<void> {
  if (!same(await rosterDigest(roster), record.rosterDigest))
    throw new CryptoError("bad_epoch", "not the roster that was signed");
}

/** The epoch's key, if it is the one that all members have. Throws `bad_wrap` and `bad_commit`. */
export async function openWrap(record: EpochRecord, sealed: Bytes, user: UserId, key: HeldKey): Promise<EpochKey> {
  return EpochKey.of(record.room, record.epoch, (await secretOf(record, sealed, user, key)).reveal());
}

/** The same key as bytes, to be wrapped for somebody else and not to be kept. */
export async function secretOf(record: EpochRecord, sealed: Bytes, user: UserId, key: HeldKey): Promise<Secret> {
  const secret = await unwrap(sealed, record.room, record.epoch, user, key);
  if (!same(await commitment(secret, record.room, record.epoch), record.commitment))
    throw new CryptoError("bad_commit", "not the key that the record commits to");
  return new Secret(secret);
}

/** HMAC-SHA256 under the epoch's key, 32 bytes. */
export async function commitment(secret: Bytes, room: RoomId, epoch: number): Promise<Bytes> {
  const key = await crypto.subtle.importKey("raw", secret, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  return new Uint8Array(await crypto.subtle.sign("HMAC", key, ctx("commit", room, epoch)));
}

/** The epoch's key (32 bytes) for one member: 80 bytes. Throws `bad_key`. */
export async function wrap(
  secret: Bytes,
  room: RoomId,
  epoch: number,
  user: UserId,
  key: PublicEncryptionKey,
): Promise<Bytes> {
  return aead.wrap(secret, await recipient(key.public), ctx("wrap", room, epoch, user, key.version));
}

/** The 32 bytes again; nothing says yet that others have the same: `openWrap` does. Throws `bad_wrap`. */
export async function unwrap(sealed: Bytes, room: RoomId, epoch: number, user: UserId, key: HeldKey): Promise<Bytes> {
  try {
    return await aead.unwrap(sealed, key, ctx("wrap", room, epoch, user, key.version));
  } catch (error) {
    if (!isRefused(error, "bad_seal")) throw error;
    throw new CryptoError("bad_wrap", "the wrap does not open with this key, for this user and epoch");
  }
}

function recordOf(signed: Signed, document: unknown): EpochRecord {
  const names = ["v", "room", "epoch", "prev", "creator", "device", "roster", "commit", "ts"];
  const read = fields(document, names);
  version1(read);
  const epoch = integer(read.epoch, 1);
  const prev = digestOrNone(read.prev);
  if ((epoch === 1) !== (prev.length === 0))
    throw new CryptoError("bad_encoding", "the first epoch, and no other, follows none");
  return {
    room: identifier<RoomId>(read.room),
    epoch,
    prev,
    creator: identifier<UserId>(read.creator),
    device: identifier<DeviceId>(read.device),
    rosterDigest: unb64(read.roster, 32),
    commitment: unb64(read.commit, 32),
    ts: time(read.ts),
    signed,
  };
}
