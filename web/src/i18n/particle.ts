/** Korean particles that go by the sound that a name ends with. */

const FIRST = 0xac00;
const LAST = 0xd7a3;
const FINALS = 28;

/** Letters and digits whose Korean reading ends with a consonant: l, m, n, r; 0, 1, 3, 6, 7, 8. */
const CLOSED = /[lmnr013678]$/i;

/** “가영” → “가영이”, “민수” → “민수가”: `name 님` would do without, but not in every sentence. */
export function particle(name: string, afterConsonant: string, afterVowel: string): string {
  const code = name.codePointAt(name.length - 1) ?? 0;
  const closed = code >= FIRST && code <= LAST ? (code - FIRST) % FINALS !== 0 : CLOSED.test(name);
  return name + (closed ? afterConsonant : afterVowel);
}
