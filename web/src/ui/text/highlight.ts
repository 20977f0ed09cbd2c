/** Where a query's words stand in a text: at the beginning of words, in any case, as the search finds them. */

export interface Piece {
  readonly text: string;
  readonly hit: boolean;
}

const AROUND = 40;

function escaped(word: string): string {
  return word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}

function pattern(query: string): RegExp | null {
  const words = query.normalize("NFC").match(/[\p{L}\p{N}]+/gu);
  if (words === null) return null;
  return new RegExp(`(?<![\\p{L}\\p{N}])(?:${words.map(escaped).join("|")})`, "giu");
}

export function pieces(text: string, query: string): readonly Piece[] {
  const found: Piece[] = [];
  const searched = pattern(query);
  let from = 0;
  if (searched !== null) {
    for (const match of text.matchAll(searched)) {
      if (match.index > from) found.push({ text: text.slice(from, match.index), hit: false });
      found.push({ text: match[0], hit: true });
      from = match.index + match[0].length;
    }
  }
  if (from < text.length) found.push({ text: text.slice(from), hit: false });
  return found;
}

/** One line around the first hit. */
export function excerpt(text: string, query: string): string {
  const line = text.normalize("NFC").replace(/\s+/gu, " ");
  const first = pattern(query)?.exec(line)?.index ?? 0;
  if (first <= AROUND) return line.slice(0, 200);
  const space = line.indexOf(" ", first - AROUND);
  return `…${line.slice(space >= 0 && space < first ? space + 1 : first, first + 160)}`;
}
