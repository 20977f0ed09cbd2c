/**
 * A user's secrets, sealed under a vault key (VK) that the password and the recovery key each open (docs/protocol.md §6.6).
 *
 *     vault = await create(user, kdf, keys.wrap, recoveryKey)                 // upload await vault.sealed()
 *     vault = await openWithPassword(json, user, keys.wrap)
 *     vault = vault.next(vault.secrets.withKey(await EncryptionKey.fresh(2))) // after a revocation
 *     vault = await vault.next().withPassword(kdf, keys.wrap)                 // after a change of password
 *
 * The vault key stays the same for ever: changing it would need both the password and the recovery key at hand.
 */

import type { UserId } from "../protocol/ids";
import * as aead from "./aead";
import { MAX_KEYS, readKeys, writeKeys } from "./archives";
import { type Bytes, Secret, same } from "./bytes";
import { b64, ctx, dump, parse, unb64 } from "./encoding";
import { CryptoError, isRefused } from "./errors";
import { fields, integer, listing, version1 } from "./forms";
import { type Fields, isObject } from "./json";
import { type Kdf, readKdf, writeKdf } from "./kdf";
import { EncryptionKey, type Pair, pairOf } from "./keys";
import { wrapOf } from "./recovery";

const PASSWORD = "pw";
const RECOVERY = "rk";

/** What the vault holds: the identity key, the encryption keys (oldest first), and how many archive pages came before. */
export class Secrets {
  constructor(
    readonly identitySecret: Secret,
    readonly identity: Pair,
    readonly encryptionKeys: readonly EncryptionKey[],
    readonly archives = 0,
  ) {
    const first = encryptionKeys[0]?.version;
    if (first === undefined || encryptionKeys.some((key, at) => key.version !== first + at))
      throw new CryptoError("bad_encoding", "encryption keys have gaps, or there is none");
    if (archives < 0 || (archives === 0 && first !== 1))
      throw new CryptoError("bad_encoding", "encryption keys are missing");
  }

  /** The key that others wrap to now. */
  get newest(): EncryptionKey {
    return this.encryptionKeys.at(-1) as EncryptionKey;
  }

  /** With one key more; its version is the next one. */
  withKey(key: EncryptionKey): Secrets {
    return this.with([...this.encryptionKeys, key], this.archives);
  }

  with(encryptionKeys: readonly EncryptionKey[], archives: number): Secrets {
    return new Secrets(this.identitySecret, this.identity, encryptionKeys, archives);
  }
}

/** The vault key, sealed under one secret. `kdf` for the password's slot only. */
interface Slot {
  readonly type: string;
  readonly ct: Bytes;
  readonly kdf: Kdf | null;
}

/** A vault whose key is at hand. Keep it no longer than needed: it holds the identity key. */
export class OpenVault {
  constructor(
    readonly user: UserId,
    readonly version: number,
    readonly key: Secret,
    readonly secrets: Secrets,
    readonly slots: readonly Slot[],
  ) {}

  /** As it is uploaded; every call takes a new nonce. */
  async sealed(): Promise<Fields> {
    const payload = dump(writtenSecrets(this.secrets));
    const ct = await aead.seal(this.key.reveal(), payload, vaultCtx(this.user, this.version));
    return { v: 1, version: this.version, ct: b64(ct), slots: this.slots.map(writtenSlot) };
  }

  /** The next version, perhaps with other secrets. Every upload has a version of its own. */
  next(secrets: Secrets = this.secrets): OpenVault {
    return new OpenVault(this.user, this.version + 1, this.key, secrets, this.slots);
  }

  /** With these secrets in the same version. */
  holding(secrets: Secrets): OpenVault {
    return new OpenVault(this.user, this.version, this.key, secrets, this.slots);
  }

  /** With another password's slot; combine with `next()`. */
  async withPassword(kdf: Kdf, wrap: Secret): Promise<OpenVault> {
    return this.#withSlot(await slot(this.user, PASSWORD, wrap, this.key, kdf));
  }

  /** With another recovery key's slot; combine with `next()`. */
  async withRecoveryKey(recoveryKey: Secret): Promise<OpenVault> {
    return this.#withSlot(await slot(this.user, RECOVERY, await wrapOf(recoveryKey), this.key, null));
  }

  #withSlot(fresh: Slot): OpenVault {
    const others = this.slots.filter((other) => other.type !== fresh.type);
    const slots = [...others, fresh].sort((one, other) => (one.type < other.type ? -1 : 1));
    return new OpenVault(this.user, this.version, this.key, this.secrets, slots);
  }
}

/** A first vault with a new identity and a first encryption key. */
export async function create(user: UserId, kdf: Kdf, wrap: Secret, recoveryKey: Secret): Promise<OpenVault> {
  const identity = Secret.fresh();
  const secrets = new Secrets(identity, await pairOf("Ed25519", identity), [await EncryptionKey.fresh(1)]);
  const vault = new OpenVault(user, 1, Secret.fresh(), secrets, []);
  return (await vault.withPassword(kdf, wrap)).withRecoveryKey(recoveryKey);
}

/** Throws `wrong_secret` (also for another user's vault), `bad_seal` for a changed one, `bad_encoding`, `weak_kdf`. */
export function openWithPassword(vault: unknown, user: UserId, wrap: Secret): Promise<OpenVault> {
  return open(vault, user, PASSWORD, wrap);
}

/** The same with the recovery key's 32 bytes. */
export async function openWithRecoveryKey(vault: unknown, user: UserId, recoveryKey: Secret): Promise<OpenVault> {
  return open(vault, user, RECOVERY, await wrapOf(recoveryKey));
}

/** The recovery key's slot of a vault as it travels; null: there is none. Nothing is verified. */
export function recoverySlot(vault: unknown): unknown {
  const slots = isObject(vault) && Array.isArray(vault.slots) ? vault.slots : [];
  const found: unknown = slots.find((one: unknown) => isObject(one) && one.type === RECOVERY);
  return isObject(found) ? found.ct : null;
}

async function open(vault: unknown, user: UserId, type: string, secret: Secret): Promise<OpenVault> {
  const { version, ct, slots } = readVault(vault);
  const sealed = slots.find((one) => one.type === type)?.ct;
  if (sealed === undefined) throw new CryptoError("bad_encoding", "the vault has no such slot");
  let key: Bytes;
  try {
    key = await aead.open(secret.reveal(), sealed, ctx("slot", user, type));
  } catch (error) {
    if (!isRefused(error, "bad_seal")) throw error;
    throw new CryptoError("wrong_secret", "this does not open the vault");
  }
  const secrets = await readSecrets(parse(await aead.open(key, ct, vaultCtx(user, version))));
  return new OpenVault(user, version, new Secret(key), secrets, slots);
}

async function slot(user: UserId, type: string, secret: Secret, key: Secret, kdf: Kdf | null): Promise<Slot> {
  return { type, ct: await aead.seal(secret.reveal(), key.reveal(), ctx("slot", user, type)), kdf };
}

function vaultCtx(user: UserId, version: number): Bytes {
  return ctx("vault", user, version);
}

function readVault(vault: unknown): { version: number; ct: Bytes; slots: readonly Slot[] } {
  const read = fields(vault, ["v", "version", "ct", "slots"]);
  version1(read);
  const slots = listing(read.slots, 2).map(readSlot);
  if (new Set(slots.map((one) => one.type)).size !== slots.length)
    throw new CryptoError("bad_encoding", "two slots of one type");
  return { version: integer(read.version, 1), ct: unb64(read.ct), slots };
}

function readSlot(value: unknown): Slot {
  const type = isObject(value) ? value.type : null;
  if (type === PASSWORD) {
    const read = fields(value, ["type", "kdf", "ct"]);
    return { type, ct: slotCt(read), kdf: readKdf(read.kdf) };
  }
  if (type === RECOVERY) return { type, ct: slotCt(fields(value, ["type", "ct"])), kdf: null };
  throw new CryptoError("bad_encoding", "not a slot of a known type");
}

function slotCt(read: Fields): Bytes {
  return unb64(read.ct, aead.KEY + aead.OVERHEAD);
}

function writtenSlot({ type, kdf, ct }: Slot): Fields {
  return { type, ...(kdf === null ? {} : { kdf: writeKdf(kdf) }), ct: b64(ct) };
}

function writtenSecrets(secrets: Secrets): Fields {
  return {
    uik: b64(secrets.identitySecret.reveal()),
    uik_pub: b64(secrets.identity.public),
    ueks: writeKeys(secrets.encryptionKeys),
    ...(secrets.archives === 0 ? {} : { archives: secrets.archives }),
  };
}

async function readSecrets(document: Fields): Promise<Secrets> {
  const read = fields(document, ["uik", "uik_pub", "ueks"], ["archives"]);
  const secret = new Secret(unb64(read.uik, 32));
  const identity = await pairOf("Ed25519", secret);
  if (!same(identity.public, unb64(read.uik_pub, 32)))
    throw new CryptoError("bad_encoding", "two halves of different identity keys");
  const archives = "archives" in read ? integer(read.archives) : 0;
  return new Secrets(secret, identity, await readKeys(read.ueks, MAX_KEYS), archives);
}
