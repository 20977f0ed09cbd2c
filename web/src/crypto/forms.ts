/**
 * What the fields of a parsed document must be. Each function returns the value or throws `bad_encoding`.
 *
 * Documents that say which keys to trust have exactly the fields that are known: a reader that skips what it does not know
 * could trust what a newer rule revokes. New fields come with a new `v`.
 */

import { isId } from "../protocol/ids";
import type { Bytes } from "./bytes";
import { unb64 } from "./encoding";
import { CryptoError } from "./errors";
import { type Fields, isObject } from "./json";

export const MAX_COUNT = 2 ** 31 - 1; // sequence numbers, versions, epochs: the server's columns
export const MAX_TIME = Number.MAX_SAFE_INTEGER;

/** An object with all `required` names, perhaps the `optional` ones, and no others. */
export function fields(value: unknown, required: readonly string[], optional: readonly string[] = []): Fields {
  const names = isObject(value) ? Object.keys(value) : [];
  const known = names.every((name) => required.includes(name) || optional.includes(name));
  if (!isObject(value) || !known || !required.every((name) => names.includes(name)))
    throw new CryptoError("bad_encoding", "an object with other fields than it should have");
  return value;
}

/** `v` is 1. */
export function version1(document: Fields): void {
  if (integer(document.v) !== 1) throw new CryptoError("bad_encoding", "of another version than 1");
}

export function integer(value: unknown, least = 0, most = MAX_COUNT): number {
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < least || value > most)
    throw new CryptoError("bad_encoding", "not a whole number within its bounds");
  return value;
}

/** Seconds or milliseconds since 1970. */
export function time(value: unknown): number {
  return integer(value, 0, MAX_TIME);
}

/** A lower-case UUID; the caller says of what. */
export function identifier<Id extends string>(value: unknown): Id {
  if (!isId(value)) throw new CryptoError("bad_encoding", "not a lower-case UUID");
  return value as Id;
}

export function listing(value: unknown, most: number): readonly unknown[] {
  if (!Array.isArray(value) || value.length > most)
    throw new CryptoError("bad_encoding", "not a list within its bound");
  return value;
}

/** A SHA-256, or the empty string where nothing came before. */
export function digestOrNone(value: unknown): Bytes {
  return value === "" ? new Uint8Array(0) : unb64(value, 32);
}
