/**
 * Bytes as text, bytes as context, and documents with a signature (docs/protocol.md §6.6).
 *
 * Base64 is base64url without padding, canonical only. Signed documents are DSSE v1 envelopes: the payload travels and is
 * stored byte for byte, so nobody ever has to write JSON canonically.
 */

import { fromText, toText } from "../protocol/base64url";
import { type Bytes, concat, utf8 } from "./bytes";
import { CryptoError } from "./errors";
import { type Fields, isObject, load } from "./json";

export const PROTOCOL = "chat.e2ee.v1";
export const MAX_PAYLOAD = 32 * 1024; // bytes; a userkeys document of 100 devices has some 19 KiB

const FIELD = /^[A-Za-z0-9_.:-]*$/;

/** Bytes as base64url without padding. */
export const b64 = toText;

/** The bytes again, of `length` bytes if one is given. Throws `bad_encoding` for anything but the canonical text. */
export function unb64(text: unknown, length?: number): Bytes {
  const raw = typeof text === "string" ? decoded(text) : null;
  if (raw === null) throw new CryptoError("bad_encoding", "not canonical base64url");
  if (length !== undefined && raw.length !== length)
    throw new CryptoError("bad_encoding", `${raw.length} bytes where ${length} belong`);
  return raw;
}

function decoded(text: string): Bytes | null {
  try {
    return fromText(text);
  } catch {
    return null;
  }
}

/** What a key, a seal or a wrap is for. Fields hold no line feed, so two lists of fields never give the same bytes. */
export function ctx(...fields: readonly (string | number)[]): Bytes {
  const texts = fields.map(String);
  if (!texts.every((text) => FIELD.test(text)))
    throw new CryptoError("bad_encoding", "a field of a context has other characters than A-Z a-z 0-9 _ . : -");
  return utf8([PROTOCOL, ...texts].join("\n"));
}

/** DSSE's pre-authentication encoding: what is signed. Lengths are in bytes. */
export function pae(kind: string, body: Uint8Array): Bytes {
  const name = utf8(kind);
  return concat(utf8(`DSSEv1 ${name.length} ${kind} ${body.length} `), body);
}

/** How one document names another: SHA-256, 32 bytes. */
export async function digest(payload: Bytes): Promise<Bytes> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", payload));
}

/** One JSON object. Throws `bad_encoding`. */
export function parse(payload: Uint8Array): Fields {
  const document = load(payload);
  if (!isObject(document)) throw new CryptoError("bad_encoding", "not a JSON object");
  return document;
}

/** A document as this client writes it: no spaces, UTF-8. Throws `bad_encoding` for text that is not Unicode. */
export function dump(document: unknown): Bytes {
  const text = JSON.stringify(document, (_, value) => {
    if (typeof value === "string") isText(value);
    return value;
  });
  return utf8(text);
}

/** Throws `bad_encoding` for halves of surrogate pairs, which JSON can spell and UTF-8 cannot. */
export function isText(text: string): void {
  if (/[\ud800-\udfff]/u.test(text)) throw new CryptoError("bad_encoding", "a half of a surrogate pair has no UTF-8");
}

/** A document as it travels: its bytes and 64 bytes of Ed25519. Nothing in it is to be believed before `verify`. */
export class Signed {
  private constructor(
    readonly kind: string,
    readonly payload: Bytes,
    readonly signature: Bytes,
    /** SHA-256 of the payload, 32 bytes. */
    readonly digest: Bytes,
  ) {}

  static async of(kind: string, payload: Bytes, signature: Bytes): Promise<Signed> {
    return new Signed(kind, payload, signature, await digest(payload));
  }

  /** A DSSE envelope of this kind with exactly one signature. Throws `bad_encoding`. */
  static async read(envelope: unknown, kind: string): Promise<Signed> {
    const { payloadType, payload, signatures } = isObject(envelope) ? envelope : {};
    const only: unknown = Array.isArray(signatures) && signatures.length === 1 ? signatures[0] : null;
    if (typeof payload !== "string" || !isObject(only) || typeof only.keyid !== "string")
      throw new CryptoError("bad_encoding", "not a DSSE envelope with one signature");
    if (payloadType !== kind) throw new CryptoError("bad_encoding", `not a ${kind}`);
    if (payload.length > (MAX_PAYLOAD * 4) / 3 + 4) throw new CryptoError("bad_encoding", "too long for a document");
    return Signed.of(kind, unb64(payload), unb64(only.sig, 64));
  }

  /** The DSSE envelope. `keyid` is a hint: `uik`, or the id of the device that signed. */
  envelope(keyid: string): Fields {
    return {
      payloadType: this.kind,
      payload: b64(this.payload),
      signatures: [{ keyid, sig: b64(this.signature) }],
    };
  }

  /** The document, if this key signed it. Verifies first, parses after. Throws `bad_signature`, `bad_encoding`. */
  async verify(key: CryptoKey): Promise<Fields> {
    await verify(key, this.signature, pae(this.kind, this.payload));
    return parse(this.payload);
  }
}

/** Write a document once and sign these bytes. */
export async function sign(kind: string, document: unknown, key: CryptoKey): Promise<Signed> {
  const payload = dump(document);
  return Signed.of(kind, payload, await signature(key, pae(kind, payload)));
}

export async function signature(key: CryptoKey, signed: Bytes): Promise<Bytes> {
  return new Uint8Array(await crypto.subtle.sign("Ed25519", key, signed));
}

/** Throws `bad_signature` unless this public key signed these bytes. */
export async function verify(key: CryptoKey, signature: Bytes, signed: Bytes): Promise<void> {
  if (!(await crypto.subtle.verify("Ed25519", key, signature, signed)))
    throw new CryptoError("bad_signature", "not signed by this key");
}
