/** The words and dates of the language that is chosen. Reading `words.value` in a component shows it anew when that changes. */

import { computed, signal } from "@preact/signals";

import type { Catalog, Language } from "./catalog";
import { dates } from "./dates";
import { en } from "./en";

const catalog = signal<Catalog>(en);

export const language = signal<Language>("en");
export const words = computed(() => catalog.value);
export const when = computed(() => dates(language.value, words.value));

/** Loads the catalogue first (English is always there), so that no page is ever half in one language. */
export async function speak(wanted: Language): Promise<void> {
  catalog.value = wanted === "ko" ? (await import("./ko")).ko : en;
  language.value = wanted;
  document.documentElement.lang = wanted;
}

/** The first of the browser's languages that there is a catalogue for. */
export function preferredLanguage(accepted: readonly string[]): Language {
  for (const tag of accepted) {
    if (tag.startsWith("ko")) return "ko";
    if (tag.startsWith("en")) return "en";
  }
  return "en";
}
