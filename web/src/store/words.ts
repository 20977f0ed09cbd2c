/** Words of a text, as the search keeps and looks for them: folded, so that case, accents and width do not matter. */

/** More of one message are not kept, nor more of one word. */
const MOST_WORDS = 400;
const LONGEST = 60;

const WORD = /[\p{L}\p{N}][\p{L}\p{N}\p{M}'’_]*/gu;
// Scripts that are written without spaces between words. Hangul has spaces; and decomposed below, every beginning of a syllable is
// found while it is typed.
const UNSPACED =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}]/u;
// Accents of Latin, Greek and Cyrillic; points of Hebrew and Arabic. Not the marks of other scripts, which tell letters apart.
const ACCENTS = /[\u0300-\u036f\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0640\u064b-\u065f\u0670'’]/g;

let segmenter: Intl.Segmenter | null | undefined;

/** The words of a text, each once, in order. */
export function wordsOf(text: string): string[] {
  const words = new Set<string>();
  for (const [run] of text.normalize("NFKC").matchAll(WORD)) {
    for (const word of UNSPACED.test(run) ? segments(run) : [run]) {
      const folded = fold(word);
      if (folded !== "") words.add(folded);
      if (words.size === MOST_WORDS) return [...words];
    }
  }
  return [...words];
}

/** One spelling for what people take for the same word. */
export function fold(word: string): string {
  // Upper case first: it has "SS" for "ß". Decomposed, an accent is a character of its own, and a syllable of Hangul its letters.
  return word.toUpperCase().toLowerCase().normalize("NFKD").replace(ACCENTS, "").slice(0, LONGEST);
}

function segments(run: string): string[] {
  if (segmenter === undefined) {
    segmenter = typeof Intl.Segmenter === "function" ? new Intl.Segmenter(undefined, { granularity: "word" }) : null;
  }
  // Without one, every character is a word: then a query finds what has all of its characters.
  if (segmenter === null) return [...run];
  return Array.from(segmenter.segment(run), (found) => found.segment);
}
