/**
 * The recovery key: 32 random bytes that the user keeps on paper, as a second way into the account and its vault.
 *
 * Its text is Matrix's (base58 of 8B 01 | key | parity, in groups of four): the parity catches a mistyped character.
 * Source: Matrix specification, client-server API, "Recovery key representation".
 */

import { hkdf, KEY } from "./aead";
import { concat, Secret } from "./bytes";
import { b64, ctx } from "./encoding";
import { CryptoError } from "./errors";

const ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
const PREFIX = Uint8Array.of(0x8b, 0x01);
const LENGTH = 48; // characters: 35 bytes that begin with 8B have neither more nor fewer
const RAW = PREFIX.length + KEY + 1;

/** What the user writes down: 48 characters in groups of four. */
export function toText(key: Secret): string {
  if (key.length !== KEY) throw new CryptoError("bad_recovery_key", "a recovery key has 32 bytes");
  const body = concat(PREFIX, key.reveal());
  let number = concat(body, Uint8Array.of(parity(body))).reduce((value, byte) => (value << 8n) | BigInt(byte), 0n);
  let text = "";
  while (number > 0n) {
    text = ALPHABET.charAt(Number(number % 58n)) + text;
    number /= 58n;
  }
  return (text.match(/.{1,4}/g) ?? []).join(" ");
}

function parity(bytes: Uint8Array): number {
  return bytes.reduce((value, byte) => value ^ byte, 0);
}

/** The key again; spaces and line breaks do not matter. Throws `bad_recovery_key`. */
export function fromText(text: string): Secret {
  const characters = text.replace(/\s/gu, "");
  if (characters.length !== LENGTH)
    throw new CryptoError("bad_recovery_key", `a recovery key has ${LENGTH} characters`);
  let number = 0n;
  for (const character of characters) {
    const value = ALPHABET.indexOf(character);
    if (value < 0) throw new CryptoError("bad_recovery_key", "a character that recovery keys do not have");
    number = number * 58n + BigInt(value);
  }
  const raw = new Uint8Array(RAW);
  for (let at = RAW - 1; at >= 0; at -= 1, number >>= 8n) raw[at] = Number(number & 0xffn);
  const isOurs = number === 0n && raw[0] === PREFIX[0] && raw[1] === PREFIX[1] && parity(raw) === 0;
  if (!isOurs) throw new CryptoError("bad_recovery_key", "mistyped");
  return new Secret(raw.slice(PREFIX.length, -1));
}

/** What signs in instead of the password, 43 characters; the server stores a hash of it. */
export async function authOf(key: Secret): Promise<string> {
  return b64(await hkdf(key.reveal(), ctx("rk", "auth")));
}

/** What opens the vault's recovery slot. */
export async function wrapOf(key: Secret): Promise<Secret> {
  return new Secret(await hkdf(key.reveal(), ctx("rk", "wrap")));
}
