/** Reading what a server said: whatever has not the shape that docs/protocol.md gives it is refused as a whole, never half taken. */

import { isId } from "./ids";

/** What the server said has not the shape of the protocol. */
export class Malformed extends Error {}

export type Fields = Readonly<Record<string, unknown>>;

export function fields(value: unknown, what: string): Fields {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new Malformed(`${what} is no object`);
  return value as Fields;
}

export function text(from: Fields, name: string): string {
  const value = from[name];
  if (typeof value !== "string") throw new Malformed(`${name} is no text`);
  return value;
}

export function id<Id extends string>(from: Fields, name: string): Id {
  const value = from[name];
  if (!isId(value)) throw new Malformed(`${name} is no id`);
  return value as Id;
}

export function idOrNull<Id extends string>(from: Fields, name: string): Id | null {
  return from[name] === null ? null : id<Id>(from, name);
}

/** The same, and it may be missing. */
export function maybeId<Id extends string>(from: Fields, name: string): Id | null {
  return from[name] === undefined ? null : idOrNull<Id>(from, name);
}

/** A whole number of 0 and more: every number of the protocol is one. */
export function whole(from: Fields, name: string): number {
  const value = from[name];
  if (!Number.isSafeInteger(value) || (value as number) < 0) throw new Malformed(`${name} is no whole number`);
  return value as number;
}

export function wholeOrNull(from: Fields, name: string): number | null {
  return from[name] === null ? null : whole(from, name);
}

/** The same, and it may be missing. */
export function maybeWhole(from: Fields, name: string): number | null {
  return from[name] === undefined ? null : wholeOrNull(from, name);
}

export function flag(from: Fields, name: string): boolean {
  const value = from[name];
  if (typeof value !== "boolean") throw new Malformed(`${name} is neither true nor false`);
  return value;
}

/** Null where the server does not say. */
export function flagOrNull(from: Fields, name: string): boolean | null {
  const value = from[name];
  return typeof value === "boolean" ? value : null;
}

export function oneOf<Word extends string>(from: Fields, name: string, words: readonly Word[]): Word {
  const value = words.find((word) => word === from[name]);
  if (value === undefined) throw new Malformed(`${name} is none of ${words.join(", ")}`);
  return value;
}

export function among<Word extends string>(words: readonly Word[]): Reader<Word> {
  return (from, name) => oneOf(from, name, words);
}

export function listOf<Item>(decode: (item: unknown) => Item): Reader<Item[]> {
  return (from, name) => list(from, name, decode);
}

export type Reader<Value> = (from: Fields, name: string) => Value;

/** Decodes an object by a reader for each of its fields; where we say `createdAt`, the protocol says `created_at`. */
export function object<Shape extends object>(
  what: string,
  readers: { readonly [Key in keyof Shape]: Reader<Shape[Key]> },
): (value: unknown) => Shape {
  const all = Object.entries<Reader<unknown>>(readers).map(
    ([key, read]) => [key, key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`), read] as const,
  );
  return (value) => {
    const given = fields(value, what);
    return Object.fromEntries(all.map(([key, name, read]) => [key, read(given, name)])) as Shape;
  };
}

export function list<Item>(from: Fields, name: string, decode: (item: unknown) => Item): Item[] {
  const value = from[name];
  if (!Array.isArray(value)) throw new Malformed(`${name} is no list`);
  return value.map(decode);
}

export function asId<Id extends string>(value: unknown): Id {
  if (!isId(value)) throw new Malformed("no id");
  return value as Id;
}

/** Parsed JSON, or undefined for what is none. */
export function parsed(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}
