/**
 * The password's two keys: one signs in, the other opens the vault and never leaves the device.
 *
 * The master key is Argon2id(NFKC(password)). The server stores a hash of `auth` and cannot get from it to `wrap`.
 * A server that names cheap parameters could then guess passwords cheaply, so there is a floor; the ceiling keeps it from
 * eating this device's memory.
 */

import { hkdf } from "./aead";
import { type Bytes, random, Secret, utf8 } from "./bytes";
import { b64, ctx, isText, unb64 } from "./encoding";
import { CryptoError } from "./errors";
import { fields, integer } from "./forms";
import type { Fields } from "./json";
import type { Strength } from "./stretch";

export const SALT = 16; // bytes
export const STANDARD: Strength = { memory: 65_536, passes: 3, lanes: 4 }; // RFC 9106 §4, the second recommended option
export const FLOOR: Strength = { memory: 19_456, passes: 2, lanes: 1 }; // OWASP's Password Storage Cheat Sheet
export const CEILING: Strength = { memory: 1_048_576, passes: 10, lanes: 16 };

/** Argon2id, wherever it runs. */
export type Stretch = (secret: Bytes, salt: Bytes, strength: Strength) => Promise<Bytes>;

/** Argon2id's parameters of one user. */
export interface Kdf {
  readonly strength: Strength;
  readonly salt: Bytes;
}

export function freshKdf(strength: Strength = STANDARD): Kdf {
  return { strength, salt: random(SALT) };
}

/** As the server or a vault says it. Throws `weak_kdf` and `bad_encoding`. */
export function readKdf(value: unknown): Kdf {
  const read = fields(value, ["alg", "m", "t", "p", "salt"]);
  if (read.alg !== "argon2id") throw new CryptoError("weak_kdf", "not argon2id");
  const strength = { memory: integer(read.m), passes: integer(read.t), lanes: integer(read.p) };
  checkStrength(strength);
  return { strength, salt: unb64(read.salt, SALT) };
}

function checkStrength(strength: Strength): void {
  const isWithin = (["memory", "passes", "lanes"] as const).every(
    (name) => FLOOR[name] <= strength[name] && strength[name] <= CEILING[name],
  );
  if (!isWithin) throw new CryptoError("weak_kdf", "outside of what this client computes");
}

/** As it travels. */
export function writeKdf({ strength, salt }: Kdf): Fields {
  return { alg: "argon2id", m: strength.memory, t: strength.passes, p: strength.lanes, salt: b64(salt) };
}

/** `auth` (43 characters) is what the server gets as the password; `wrap` (32 bytes) opens the vault. */
export interface PasswordKeys {
  readonly auth: Secret;
  readonly wrap: Secret;
}

/** Both keys; a second and 64 MiB with standard parameters. Throws `bad_encoding` for text that is not Unicode. */
export async function split(password: string, kdf: Kdf, stretch: Stretch): Promise<PasswordKeys> {
  checkStrength(kdf.strength);
  isText(password);
  const master = await stretch(utf8(password.normalize("NFKC")), kdf.salt, kdf.strength);
  const [auth, wrap] = await Promise.all([hkdf(master, ctx("pw", "auth")), hkdf(master, ctx("pw", "wrap"))]);
  return { auth: new Secret(auth), wrap: new Secret(wrap) };
}

/** The string that signs in. */
export function authOf(keys: PasswordKeys): string {
  return b64(keys.auth.reveal());
}
