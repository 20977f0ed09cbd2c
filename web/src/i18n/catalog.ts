/** What every catalogue has: the shape of the English one. A string that is missing in another one fails the type check. */

import type { en } from "./en";

export type Shape<Entry> = Entry extends string
  ? string
  : Entry extends (...given: infer Given) => string
    ? (...given: Given) => string
    : Entry extends readonly string[]
      ? readonly string[]
      : { readonly [Key in keyof Entry]: Shape<Entry[Key]> };

export type Catalog = Shape<typeof en>;

export const LANGUAGES = ["en", "ko"] as const;
export type Language = (typeof LANGUAGES)[number];
