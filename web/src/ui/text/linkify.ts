/** Finds web addresses in what people write. Only http and https become links, whatever else looks like one stays text. */

export type Token =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "link"; readonly text: string; readonly href: string };

/** Longer ones stay text: nobody reads them, and what is looked at letter by letter has a bound. */
const LONGEST = 2_048;

const ADDRESS = /https?:\/\/[^\s<>"]+/giu;
const TRAILING = /[.,;:!?'"…*_~\p{Cf}]+$/u;
/** Letters that are not seen, or turn around those that are. */
const HIDDEN = /[\p{Cf}\p{Cc}]/u;
const PAIRS: readonly (readonly [string, string])[] = [
  ["(", ")"],
  ["[", "]"],
  ["{", "}"],
  ["«", "»"],
  ["“", "”"],
  ["「", "」"],
];

function count(text: string, letter: string): number {
  return text.split(letter).length - 1;
}

/** Punctuation after an address belongs to the sentence, unless a bracket was opened within the address. */
function trimmed(address: string): string {
  let text = address;
  for (;;) {
    const shorter = text.replace(TRAILING, "");
    const last = shorter.at(-1) ?? "";
    const pair = PAIRS.find(([, closing]) => closing === last);
    if (pair !== undefined && count(shorter, pair[0]) < count(shorter, pair[1])) text = shorter.slice(0, -1);
    else if (shorter === text) return text;
    else text = shorter;
  }
}

/** The address as the browser will understand it; null for what is none, and for what hides where it leads (`https://bank@evil`). */
function hrefOf(text: string): string | null {
  if (HIDDEN.test(text)) return null;
  try {
    const url = new URL(text);
    if (url.protocol !== "http:" && url.protocol !== "https:") return null;
    if (url.username !== "" || url.password !== "" || url.hostname === "") return null;
    return url.href;
  } catch {
    return null;
  }
}

export function tokens(text: string): readonly Token[] {
  const found: Token[] = [];
  let from = 0;
  const plain = (until: number): void => {
    if (until > from) found.push({ kind: "text", text: text.slice(from, until) });
    from = until;
  };
  for (const match of text.matchAll(ADDRESS)) {
    if (match[0].length > LONGEST) continue;
    const address = trimmed(match[0]);
    const href = hrefOf(address);
    if (href === null) continue;
    plain(match.index);
    found.push({ kind: "link", text: address, href });
    from = match.index + address.length;
  }
  plain(text.length);
  return found;
}
