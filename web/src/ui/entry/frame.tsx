import type { ComponentChildren } from "preact";

import { LANGUAGES } from "../../i18n/catalog";
import { language, words } from "../../i18n/words";
import { Icon, Mark } from "../parts/icon";
import { chooseLanguage } from "../prefs";

/** What stands around the pages before one is in: the mark, one card, and the language. */
export function Frame({
  title,
  children,
  wide = false,
}: {
  title: string;
  children: ComponentChildren;
  wide?: boolean;
}) {
  const w = words.value;
  return (
    <main class="entry">
      <div class={`entry-card ${wide ? "entry-card-wide" : ""}`}>
        <div class="entry-brand">
          <Mark />
          <span>{w.app.name}</span>
        </div>
        <h1>{title}</h1>
        {children}
      </div>
      <fieldset class="entry-languages">
        <legend class="visually-hidden">{w.settings.language}</legend>
        <Icon name="globe" />
        {LANGUAGES.map((tag) => (
          <button
            key={tag}
            type="button"
            lang={tag}
            aria-pressed={language.value === tag}
            onClick={() => void chooseLanguage(tag)}
          >
            {w.settings.languages[tag]}
          </button>
        ))}
      </fieldset>
    </main>
  );
}
