/** Long texts are folded: a page shows their beginning until it is asked for the rest. */

const LETTERS = 1_400;
const LINES = 24;
const SHOWN_LETTERS = 900;
const SHOWN_LINES = 14;

/** The beginning of a long text; null if it is shown whole. Cuts at a space where one is near, and never within a letter. */
export function folded(text: string): string | null {
  const lines = text.split("\n", LINES + 1);
  if (text.length <= LETTERS && lines.length <= LINES) return null;
  const short = lines.slice(0, SHOWN_LINES).join("\n");
  if (short.length <= SHOWN_LETTERS) return short;
  const space = short.lastIndexOf(" ", SHOWN_LETTERS);
  let at = space > SHOWN_LETTERS - 60 ? space : SHOWN_LETTERS;
  // A surrogate pair and what combines with a letter stay together.
  while (at < short.length && /[\uDC00-\uDFFF]|\p{M}|\u200D|\uFE0F/u.test(short[at] ?? "")) at += 1;
  return short.slice(0, at);
}

const EMOJI = /^(?:\p{Extended_Pictographic}|\p{Regional_Indicator}{2})/u;

/** Up to three emoji and nothing else: shown large. */
export function isOnlyEmoji(text: string): boolean {
  if (text.length > 60 || !EMOJI.test(text.trimStart())) return false;
  const letters = [...new Intl.Segmenter().segment(text.replace(/\s/gu, ""))];
  return letters.length <= 3 && letters.every(({ segment }) => EMOJI.test(segment));
}
