/** What English sentences need. */

import { andList, plural } from "../plural";

export const one = (count: number, singular: string, other: string): string =>
  plural("en", count, { one: singular, other });
export const list = (names: readonly string[]): string => andList("en", names);
export const be = (names: readonly string[]): string => (names.length === 1 ? "is" : "are");
