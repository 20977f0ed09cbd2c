/** What is chosen for this browser and means nothing to anybody else: theme and language. */

import { signal } from "@preact/signals";

import { LANGUAGES, type Language } from "../i18n/catalog";
import { preferredLanguage, speak } from "../i18n/words";

export const THEMES = ["system", "light", "dark"] as const;
export type Theme = (typeof THEMES)[number];

const THEME = "letterlock.theme";
const LANGUAGE = "letterlock.language";

export const theme = signal<Theme>("system");

/** Storage may be forbidden; then a choice lasts as long as the page. */
function stored(key: string): string | null {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

function store(key: string, value: string): void {
  try {
    localStorage.setItem(key, value);
  } catch {
    // As above.
  }
}

export function chooseTheme(wanted: Theme): void {
  theme.value = wanted;
  if (wanted === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = wanted;
  store(THEME, wanted);
}

export async function chooseLanguage(wanted: Language): Promise<void> {
  await speak(wanted);
  store(LANGUAGE, wanted);
}

/** Before the first paint. */
export async function readPreferences(): Promise<void> {
  chooseTheme(THEMES.find((known) => known === stored(THEME)) ?? "system");
  const chosen = LANGUAGES.find((known) => known === stored(LANGUAGE));
  await speak(chosen ?? preferredLanguage(navigator.languages));
}
