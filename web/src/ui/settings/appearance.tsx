import { LANGUAGES } from "../../i18n/catalog";
import { language, words } from "../../i18n/words";
import { Section } from "../parts/page";
import { Choice } from "../parts/switch";
import { chooseLanguage, chooseTheme, THEMES, theme } from "../prefs";

export function Appearance() {
  const w = words.value.settings;
  return (
    <Section>
      <Choice
        label={w.theme}
        options={THEMES.map((one) => [one, w.themes[one]] as const)}
        value={theme.value}
        onChange={chooseTheme}
      />
      <Choice
        label={w.language}
        options={LANGUAGES.map((one) => [one, w.languages[one]] as const)}
        value={language.value}
        onChange={(one) => void chooseLanguage(one)}
      />
    </Section>
  );
}
