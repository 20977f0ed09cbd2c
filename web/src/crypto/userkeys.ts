/**
 * A user's keys as one document, signed by the identity key and chained by hashes (docs/protocol.md §6.6).
 *
 *     keys = await first(user, secrets.identity.public, secrets.newest.announced, device).sign(secrets.identity)
 *     keys = await keys.next().withDevice(other).sign(identity)
 *     keys = await keys.next().withRevoked(device, nowS).withEncryptionKey(newer.announced).sign(identity)
 *     keys = await read(envelope, user)                                          // somebody else's
 *
 * `next()` leaves revoked devices out, and says so in `pruned`, only when the list is full.
 */

import type { DeviceId, UserId } from "../protocol/ids";
import { type Bytes, same } from "./bytes";
import { b64, PROTOCOL, parse, Signed, sign, unb64 } from "./encoding";
import { CryptoError } from "./errors";
import { digestOrNone, fields, identifier, integer, listing, MAX_TIME, time, version1 } from "./forms";
import type { Fields } from "./json";
import { checkSealingKey, checkSigningKey, type Pair, type PublicEncryptionKey, verifier, X25519 } from "./keys";

export const KIND = `${PROTOCOL}.userkeys`;
const KEYID = "uik";
export const MAX_LIVE = 50;
export const MAX_DEVICES = 100;

/** A device's signing key (32 bytes), and its box key (X25519, 32 bytes) if it has one. Times in seconds since 1970. */
export interface DeviceKey {
  readonly id: DeviceId;
  readonly key: Bytes;
  readonly since: number;
  readonly until: number | null;
  readonly box: Bytes | null;
}

/** Not revoked, or not yet revoked when the server took something (ms). */
export function isLive(device: DeviceKey, atMs?: number): boolean {
  return device.until === null || (atMs !== undefined && atMs < device.until * 1000);
}

/** Where the devices are listed that were left out: the document with this number and hash (32 bytes). */
export interface Pruned {
  readonly seq: number;
  readonly digest: Bytes;
}

/** What a document says. */
export interface Said {
  readonly user: UserId;
  readonly seq: number;
  /** SHA-256 of the last one's payload, empty for the first. */
  readonly prev: Bytes;
  readonly identity: Bytes;
  readonly encryption: PublicEncryptionKey;
  readonly devices: readonly DeviceKey[];
  readonly pruned: Pruned | null;
}

/** A document that is not signed yet, or was. */
export class Content implements Said {
  readonly user: UserId;
  readonly seq: number;
  readonly prev: Bytes;
  readonly identity: Bytes;
  readonly encryption: PublicEncryptionKey;
  readonly devices: readonly DeviceKey[];
  readonly pruned: Pruned | null;
  readonly #byId: ReadonlyMap<DeviceId, DeviceKey>;

  constructor(said: Said) {
    this.user = said.user;
    this.seq = said.seq;
    this.prev = said.prev;
    this.identity = said.identity;
    this.encryption = said.encryption;
    this.devices = said.devices;
    this.pruned = said.pruned;
    this.#byId = new Map(said.devices.map((device) => [device.id, device]));
  }

  /** The devices that may send. */
  get live(): readonly DeviceKey[] {
    return this.devices.filter((device) => isLive(device));
  }

  /** The device as it is listed here; one that was left out is found by way of `pruned`. */
  device(id: DeviceId): DeviceKey | null {
    return this.#byId.get(id) ?? null;
  }

  /** With one device more. Throws `bad_change` when it is listed, or 50 live ones are. */
  withDevice(device: DeviceKey): Content {
    if (this.#byId.has(device.id)) throw new CryptoError("bad_change", "the device is listed already");
    if (this.live.length >= MAX_LIVE) throw new CryptoError("bad_change", `${MAX_LIVE} devices are signed in`);
    return new Content({ ...this.#said, devices: [...this.devices, device] });
  }

  /** With this device revoked from `until` (seconds). Throws `bad_change` when it is not listed, or is revoked. */
  withRevoked(id: DeviceId, until: number): Content {
    const device = this.device(id);
    if (device === null || device.until !== null)
      throw new CryptoError("bad_change", "no live device of this id is listed");
    // The clock of another device may have run ahead.
    const ended = { ...device, until: Math.max(until, device.since) };
    return new Content({ ...this.#said, devices: this.devices.map((one) => (one.id === id ? ended : one)) });
  }

  /** With the next encryption key. Throws `bad_change` for another version than the next. */
  withEncryptionKey(key: PublicEncryptionKey): Content {
    if (key.version !== this.encryption.version + 1)
      throw new CryptoError("bad_change", "versions of encryption keys have no gaps");
    return new Content({ ...this.#said, encryption: key });
  }

  /** Written and signed. Throws `bad_encoding` where `read` would, `bad_signature` for another's key. */
  async sign(identity: Pair): Promise<UserKeys> {
    return read((await sign(KIND, written(this), identity.privateKey)).envelope(KEYID), this.user);
  }

  get #said(): Said {
    const { user, seq, prev, identity, encryption, devices, pruned } = this;
    return { user, seq, prev, identity, encryption, devices, pruned };
  }
}

/** A document that its own identity key signed. Whether that is the user's key, the pin says (pins.ts). */
export class UserKeys extends Content {
  constructor(
    said: Said,
    readonly signed: Signed,
  ) {
    super(said);
  }

  /** SHA-256 of the payload, 32 bytes. */
  get digest(): Bytes {
    return this.signed.digest;
  }

  /** The next device needs the revoked ones' places. */
  get isFull(): boolean {
    return this.devices.length >= MAX_DEVICES;
  }

  /** The DSSE envelope. */
  get envelope(): Fields {
    return this.signed.envelope(KEYID);
  }

  /** What the next document begins with. `prune`: leave revoked devices out; by itself only if the list is full. */
  next(prune = this.isFull): Content {
    const { user, identity, encryption, live } = this;
    const leaves = prune && live.length < this.devices.length;
    return new Content({
      user,
      seq: this.seq + 1,
      prev: this.digest,
      identity,
      encryption,
      devices: leaves ? live : this.devices,
      pruned: leaves ? { seq: this.seq, digest: this.digest } : this.pruned,
    });
  }
}

/** The first document of an identity, at sign-up or after a reset. `identity`: 32 bytes. */
export function first(user: UserId, identity: Bytes, encryption: PublicEncryptionKey, device: DeviceKey): Content {
  return new Content({ user, seq: 1, prev: new Uint8Array(0), identity, encryption, devices: [device], pruned: null });
}

/**
 * A document of this user, signed by the identity key that it names. Throws `bad_encoding`, `bad_signature`, `bad_key`,
 * `wrong_user`.
 */
export async function read(envelope: unknown, user: UserId): Promise<UserKeys> {
  const signed = await Signed.read(envelope, KIND);
  // Nothing but the key is taken from what is not verified yet.
  const identity = checkSigningKey(unb64(parse(signed.payload).uik, 32));
  const names = ["v", "user", "seq", "prev", "uik", "uek", "devices"];
  const document = fields(await signed.verify(await verifier(identity)), names, ["pruned"]);
  version1(document);
  if (identifier(document.user) !== user) throw new CryptoError("wrong_user", "a document about another user");
  const seq = integer(document.seq, 1);
  const prev = digestOrNone(document.prev);
  if ((seq === 1) !== (prev.length === 0))
    throw new CryptoError("bad_encoding", "the first document, and no other, follows none");
  const said = {
    user,
    seq,
    prev,
    identity,
    encryption: readEncryption(document.uek),
    devices: readDevices(document.devices),
    pruned: "pruned" in document ? readPruned(document.pruned, seq) : null,
  };
  return new UserKeys(said, signed);
}

/** The older document that `keys.pruned` names, where left-out devices are listed. Throws `bad_change`, and what `read` does. */
export async function followBack(keys: UserKeys, envelope: unknown): Promise<UserKeys> {
  if (keys.pruned === null) throw new CryptoError("bad_change", "nothing was left out");
  const older = await read(envelope, keys.user);
  const isNamed =
    older.seq === keys.pruned.seq && same(older.digest, keys.pruned.digest) && same(older.identity, keys.identity);
  if (!isNamed) throw new CryptoError("bad_change", "not the document that was named");
  return older;
}

function written(content: Said): Fields {
  const { encryption: key, pruned } = content;
  return {
    v: 1,
    user: content.user,
    seq: content.seq,
    prev: b64(content.prev),
    uik: b64(content.identity),
    uek: { ver: key.version, suite: key.suite, pk: b64(key.public) },
    devices: content.devices.map(writtenDevice),
    ...(pruned === null ? {} : { pruned: { seq: pruned.seq, hash: b64(pruned.digest) } }),
  };
}

function writtenDevice(device: DeviceKey): Fields {
  const box = device.box === null ? {} : { box: b64(device.box) };
  return { id: device.id, key: b64(device.key), since: device.since, until: device.until, ...box };
}

function readEncryption(value: unknown): PublicEncryptionKey {
  const key = fields(value, ["ver", "suite", "pk"]);
  if (key.suite !== X25519) throw new CryptoError("bad_encoding", "an encryption key of an unknown suite");
  return { version: integer(key.ver, 1), suite: X25519, public: checkSealingKey(unb64(key.pk, 32)) };
}

function readDevices(value: unknown): readonly DeviceKey[] {
  const devices = listing(value, MAX_DEVICES).map(readDevice);
  if (devices.length === 0) throw new CryptoError("bad_encoding", "no device is listed");
  if (new Set(devices.map((device) => device.id)).size !== devices.length)
    throw new CryptoError("bad_encoding", "a device is listed twice");
  if (devices.filter((device) => isLive(device)).length > MAX_LIVE)
    throw new CryptoError("bad_encoding", `more than ${MAX_LIVE} live devices`);
  return devices;
}

function readDevice(value: unknown): DeviceKey {
  const device = fields(value, ["id", "key", "since", "until"], ["box"]);
  const since = time(device.since);
  return {
    id: identifier<DeviceId>(device.id),
    key: checkSigningKey(unb64(device.key, 32)),
    since,
    until: device.until === null ? null : integer(device.until, since, MAX_TIME),
    // Sealed to by the user's own devices only, and then it shows (boxes.ts): contacts need not look.
    box: "box" in device ? unb64(device.box, 32) : null,
  };
}

function readPruned(value: unknown, seq: number): Pruned {
  const pruned = fields(value, ["seq", "hash"]);
  return { seq: integer(pruned.seq, 1, seq - 1), digest: unb64(pruned.hash, 32) };
}
