/** Refusals as sentences of the language that is chosen. */

import type { Catalog } from "../i18n/catalog";
import { words } from "../i18n/words";
import { Refusal } from "../messenger";
import type { Problem } from "../protocol/problems";

type Known = Exclude<keyof Catalog["refusals"], "unknown">;

export function codeInWords(code: string): string {
  const all = words.value.refusals;
  if (Object.hasOwn(all, code) && code !== "unknown") return all[code as Known];
  return all.unknown(code);
}

export function problemInWords(problem: Problem): string {
  return codeInWords(problem.code);
}

/** A mistake of ours is told as one, and stands in the console in full. */
export function inWords(error: unknown): string {
  if (error instanceof Refusal) return codeInWords(error.code);
  console.error(error);
  return words.value.stopped.faultTitle;
}
