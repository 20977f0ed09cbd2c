/**
 * How two people find out that no server stands between them: compare 60 digits, or scan a code.
 *
 * The digits are Signal's numeric fingerprint, version 0 of its inner format, over identity keys (libsignal,
 * NumericFingerprintGenerator): 5 200 rounds of SHA-512 make looking for a key with alike digits dear.
 */

import type { UserId } from "../protocol/ids";
import { type Bytes, concat, utf8 } from "./bytes";
import { b64, unb64 } from "./encoding";
import { CryptoError } from "./errors";
import { identifier } from "./forms";

const ROUNDS = 5200;
const QR = /^chatverify:1:([^:]+):([^:]+)$/;

/** 60 digits, the same for both. Some 60 ms. */
export async function safetyNumber(
  a: { user: UserId; identity: Bytes },
  b: { user: UserId; identity: Bytes },
): Promise<string> {
  const halves = await Promise.all([a, b].map(({ user, identity }) => half(utf8(user), identity)));
  return halves.sort().join("");
}

/** 30 digits of one user: six times five of the hash's 40-bit pieces. */
export async function half(name: Bytes, identity: Bytes): Promise<string> {
  let state = concat(Uint8Array.of(0, 0), identity, name);
  for (let round = 0; round < ROUNDS; round += 1)
    state = new Uint8Array(await crypto.subtle.digest("SHA-512", concat(state, identity)));
  let digits = "";
  for (let at = 0; at < 30; at += 5) {
    const piece = state.subarray(at, at + 5).reduce((value, byte) => value * 256 + byte, 0);
    digits += String(piece % 100_000).padStart(5, "0");
  }
  return digits;
}

/** What a code shows: who, and with which identity key. */
export function qrText(user: UserId, identity: Bytes): string {
  return `chatverify:1:${user}:${b64(identity)}`;
}

/** User and identity key (32 bytes) of a scanned code. Throws `bad_encoding`. */
export function readQr(text: string): { user: UserId; identity: Bytes } {
  const found = QR.exec(text);
  if (found === null) throw new CryptoError("bad_encoding", "not a code of this messenger");
  return { user: identifier<UserId>(found[1]), identity: unb64(found[2], 32) };
}
