/** The parts of sentences that differ with numbers and lists; Intl knows the rules. */

type Forms = Partial<Record<Intl.LDMLPluralRule, string>> & { readonly other: string };

const rules = new Map<string, Intl.PluralRules>();

/** The form of a sentence for `count`. */
export function plural(locale: string, count: number, forms: Forms): string {
  let rule = rules.get(locale);
  if (rule === undefined) {
    rule = new Intl.PluralRules(locale);
    rules.set(locale, rule);
  }
  return forms[rule.select(count)] ?? forms.other;
}

const lists = new Map<string, Intl.ListFormat>();

/** Names in a row: “Ann, Bob and Cid”. */
export function andList(locale: string, names: readonly string[]): string {
  let format = lists.get(locale);
  if (format === undefined) {
    format = new Intl.ListFormat(locale === "en" ? "en-GB" : locale, { type: "conjunction" });
    lists.set(locale, format);
  }
  return format.format(names);
}
