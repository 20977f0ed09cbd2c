/**
 * Keys as WebCrypto has them, a user's encryption key (UEK), and which public keys are refused.
 *
 * Versions of the encryption key count from 1; a new one is made when a device is revoked, and all of them are kept: old ones
 * read history.
 */

import { KEY } from "./aead";
import { type Bytes, concat, Secret, same } from "./bytes";
import { unb64 } from "./encoding";
import { CryptoError } from "./errors";

export const X25519 = "x25519"; // the suite's name in documents; the HPKE suite behind it is in aead.ts

type Curve = "Ed25519" | "X25519";

const USES: Readonly<Record<Curve, KeyUsage[]>> = { Ed25519: ["sign"], X25519: ["deriveBits"] };
// What stands before a private key's 32 bytes in PKCS #8 (RFC 8410 §7): WebCrypto takes no raw ones.
const PKCS8: Readonly<Record<Curve, Bytes>> = {
  Ed25519: hex("302e020100300506032b657004220420"),
  X25519: hex("302e020100300506032b656e04220420"),
};

const P = 2n ** 255n - 19n;
const MASK = 2n ** 255n - 1n; // both curves have a bit beside the number
// The y coordinates of Ed25519's points of order 1, 2, 4 and 8: under such a key some signatures fit every text.
const Y8 = 0x7a03ac9277fdc74ec6cc392cfa53202a0f67100d760b3cba4fd84d3d706a17c7n;
const LOW_SIGNING: ReadonlySet<bigint> = new Set([0n, 1n, P - 1n, Y8, P - Y8]);
// The u coordinates of Curve25519's points of order 1, 2, 4 and 8, and its twist's: times any scalar they give nothing.
const LOW_SEALING: ReadonlySet<bigint> = new Set([
  0n,
  1n,
  P - 1n,
  0x00b8495f16056286fdb1329ceb8d09da6ac49ff1fae35616aeb8413b7c7aebe0n,
  0x57119fd0dd4e22d8868e1c58c45c44045bef839c55b1d0b1248c50a3bc959c5fn,
]);

function hex(text: string): Bytes {
  return Uint8Array.from(text.match(/../g) ?? [], (byte) => Number.parseInt(byte, 16));
}

function number(littleEndian: Uint8Array): bigint {
  let text = "";
  for (const byte of littleEndian) text = byte.toString(16).padStart(2, "0") + text;
  return BigInt(`0x${text}`) & MASK;
}

/** An Ed25519 public key of 32 bytes as it is. Throws `bad_key`. */
export function checkSigningKey(raw: Bytes): Bytes {
  const y = raw.length === KEY ? number(raw) : P;
  if (y >= P || LOW_SIGNING.has(y)) throw new CryptoError("bad_key", "not a key that signs for one only");
  return raw;
}

/** An X25519 public key of 32 bytes as it is. Throws `bad_key`. */
export function checkSealingKey(raw: Bytes): Bytes {
  if (raw.length !== KEY || LOW_SEALING.has(number(raw) % P))
    throw new CryptoError("bad_key", "not a key that one only can open");
  return raw;
}

/** Public halves, imported once for as long as somebody holds the bytes. */
const VERIFIERS = new WeakMap<Bytes, Promise<CryptoKey>>();
const RECIPIENTS = new WeakMap<Bytes, Promise<CryptoKey>>();

/** The Ed25519 public key that has these bytes. Throws `bad_key` for bytes that are none. */
export function verifier(raw: Bytes): Promise<CryptoKey> {
  return once(VERIFIERS, raw, "Ed25519", ["verify"]);
}

/** The X25519 public key that has these bytes. Throws `bad_key` for bytes that are none. */
export function recipient(raw: Bytes): Promise<CryptoKey> {
  return once(RECIPIENTS, raw, "X25519", []);
}

function once(kept: WeakMap<Bytes, Promise<CryptoKey>>, raw: Bytes, curve: Curve, uses: KeyUsage[]) {
  let found = kept.get(raw);
  if (found === undefined) {
    found = crypto.subtle.importKey("raw", raw, curve, true, uses).catch(() => {
      throw new CryptoError("bad_key", "not a key of this curve");
    });
    kept.set(raw, found);
  }
  return found;
}

/** A key whose private half no script can read; both can rest in IndexedDB. */
export interface Pair {
  readonly privateKey: CryptoKey;
  readonly publicKey: CryptoKey;
  /** The public half, 32 bytes. */
  readonly public: Bytes;
}

/** A new pair: its private half was never anywhere else. */
export async function generate(curve: Curve): Promise<Pair> {
  const uses: KeyUsage[] = curve === "Ed25519" ? ["sign", "verify"] : ["deriveBits"];
  const { privateKey, publicKey } = (await crypto.subtle.generateKey(curve, false, uses)) as CryptoKeyPair;
  return { privateKey, publicKey, public: new Uint8Array(await crypto.subtle.exportKey("raw", publicKey)) };
}

/** The pair with this private half (32 bytes). */
export async function pairOf(curve: Curve, secret: Secret): Promise<Pair> {
  const written = concat(PKCS8[curve], secret.reveal());
  const load = (extractable: boolean) => crypto.subtle.importKey("pkcs8", written, curve, extractable, USES[curve]);
  // WebCrypto computes the public half only where it writes a key down.
  const { x } = await crypto.subtle.exportKey("jwk", await load(true));
  const raw = unb64(x, KEY);
  const publicKey = await (curve === "Ed25519" ? verifier(raw) : recipient(raw));
  return { privateKey: await load(false), publicKey, public: raw };
}

/** What others wrap to: version, suite (`x25519`), 32 bytes. */
export interface PublicEncryptionKey {
  readonly version: number;
  readonly suite: string;
  readonly public: Bytes;
}

export function isSameKey(one: PublicEncryptionKey, other: PublicEncryptionKey): boolean {
  return one.version === other.version && one.suite === other.suite && same(one.public, other.public);
}

/** An encryption key as it rests on a device: it opens wraps, and nothing shows it. */
export interface HeldKey extends Pair {
  readonly version: number;
}

/** An encryption key as the vault has it: with the bytes of its private half. Not to be kept. */
export class EncryptionKey {
  private constructor(
    readonly version: number,
    readonly secret: Secret,
    readonly pair: Pair,
  ) {}

  /** A new key with this version. */
  static fresh(version: number): Promise<EncryptionKey> {
    return EncryptionKey.of(version, Secret.fresh());
  }

  /** The key with this private half (32 bytes). */
  static async of(version: number, secret: Secret): Promise<EncryptionKey> {
    return new EncryptionKey(version, secret, await pairOf("X25519", secret));
  }

  get public(): Bytes {
    return this.pair.public;
  }

  /** What goes into the userkeys document. */
  get announced(): PublicEncryptionKey {
    return { version: this.version, suite: X25519, public: this.public };
  }

  /** What stays on this device. */
  get held(): HeldKey {
    return { version: this.version, ...this.pair };
  }
}
