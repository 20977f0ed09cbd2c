/**
 * The three primitives as this protocol uses them: AES-256-GCM with its nonce in front, HKDF-SHA256, HPKE in base mode.
 *
 * Nonces are 96 random bits: fine for 2³² values under one key (NIST SP 800-38D §8.3), and no key here seals that many.
 */

import { AEAD_AES_256_GCM, CipherSuite, KDF_HKDF_SHA256, KEM_DHKEM_X25519_HKDF_SHA256 } from "hpke";

import { type Bytes, concat, random } from "./bytes";
import { CryptoError } from "./errors";

export const KEY = 32; // bytes, of every key here
export const NONCE = 12;
export const OVERHEAD = NONCE + 16; // what a seal adds: nonce and tag
export const WRAP = 32 + KEY + 16; // an HPKE-sealed key: encapsulated key, ciphertext, tag

// RFC 9180: DHKEM(X25519, HKDF-SHA256) 0x0020, HKDF-SHA256 0x0001, AES-256-GCM 0x0002.
const SUITE = new CipherSuite(KEM_DHKEM_X25519_HKDF_SHA256, KDF_HKDF_SHA256, AEAD_AES_256_GCM);

/** An AES-256-GCM key out of 32 bytes. */
export function cipher(key: Bytes): Promise<CryptoKey> {
  return crypto.subtle.importKey("raw", key, "AES-GCM", false, ["encrypt", "decrypt"]);
}

/** A nonce (12 bytes) | ciphertext | tag (16 bytes). */
export async function seal(key: Bytes, plaintext: Bytes, aad: Bytes): Promise<Bytes> {
  return sealWith(await cipher(key), random(NONCE), plaintext, aad);
}

/** The same with a key at hand. A nonce must never come twice under one key. */
export async function sealWith(key: CryptoKey, nonce: Bytes, plaintext: Bytes, aad: Bytes): Promise<Bytes> {
  const sealed = await crypto.subtle.encrypt({ name: "AES-GCM", iv: nonce, additionalData: aad }, key, plaintext);
  return concat(nonce, new Uint8Array(sealed));
}

/** The plaintext. Throws `bad_seal`. */
export async function open(key: Bytes, sealed: Bytes, aad: Bytes): Promise<Bytes> {
  return openWith(await cipher(key), sealed, aad);
}

/** The same with a key at hand. */
export async function openWith(key: CryptoKey, sealed: Bytes, aad: Bytes): Promise<Bytes> {
  if (sealed.length < OVERHEAD) throw new CryptoError("bad_seal", "too short");
  const parameters = { name: "AES-GCM", iv: sealed.subarray(0, NONCE), additionalData: aad };
  try {
    return new Uint8Array(await crypto.subtle.decrypt(parameters, key, sealed.subarray(NONCE)));
  } catch {
    throw new CryptoError("bad_seal", "changed, or for another place, or under another key");
  }
}

/** 32 bytes of HKDF-SHA256 with an empty salt; `info` says what for. */
export async function hkdf(key: Bytes, info: Bytes): Promise<Bytes> {
  const base = await crypto.subtle.importKey("raw", key, "HKDF", false, ["deriveBits"]);
  return new Uint8Array(await crypto.subtle.deriveBits(derivation(info), base, KEY * 8));
}

export function derivation(info: Bytes): HkdfParams {
  return { name: "HKDF", hash: "SHA-256", salt: new Uint8Array(0), info };
}

/** HPKE-seal a key of 32 bytes: enc (32) | ciphertext (48). Throws `bad_key` for a point of low order. */
export async function wrap(secret: Bytes, recipient: CryptoKey, info: Bytes): Promise<Bytes> {
  try {
    const { encapsulatedSecret, ciphertext } = await SUITE.Seal(recipient, secret, { info });
    return concat(encapsulatedSecret, ciphertext);
  } catch {
    throw new CryptoError("bad_key", "nothing can be sealed to this key");
  }
}

/** The 32 bytes again; both halves, since the private one cannot be asked for the other. Throws `bad_seal`. */
export async function unwrap(sealed: Bytes, pair: CryptoKeyPair, info: Bytes): Promise<Bytes> {
  if (sealed.length !== WRAP) throw new CryptoError("bad_seal", "not as long as a wrap");
  try {
    return new Uint8Array(await SUITE.Open(pair, sealed.subarray(0, 32), sealed.subarray(32), { info }));
  } catch {
    // Also an encapsulated key of low order.
    throw new CryptoError("bad_seal", "changed, or for another place, or under another key");
  }
}
