/**
 * JSON of signed documents, read strictly (docs/protocol.md §6.6). `JSON.parse` takes the last of two members of one name, and
 * reads `1.0` as 1: another reader would see another document.
 */

import { CryptoError } from "./errors";

export type Fields = Readonly<Record<string, unknown>>;

export function isObject(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

const DEEPEST = 500; // nested values; ours have four
const MOST_DIGITS = 4_300; // of a whole number

const SPACE = /[ \t\n\r]*/y;
// biome-ignore lint/suspicious/noControlCharactersInRegex: strings of JSON have none of them (RFC 8259 §7)
const TEXT = /"[^"\\\u0000-\u001f]*(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\u0000-\u001f]*)*"/y;
const NUMBER = /-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?/y;
const WORD = /true|false|null/y;
const WORDS: Readonly<Record<string, unknown>> = { true: true, false: false, null: null };

/**
 * JSON in UTF-8. Numbers with a fraction or an exponent are read as NaN, for nothing here has any. Rejected with
 * `bad_encoding`, also for names that come twice.
 */
export function load(bytes: Uint8Array): unknown {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw broken();
  }
  const reader = new Reader(text);
  const value = reader.value(0);
  reader.end();
  return value;
}

function broken(): CryptoError {
  return new CryptoError("bad_encoding", "not JSON in UTF-8, or a name comes twice");
}

class Reader {
  #at = 0;

  constructor(private readonly text: string) {}

  value(depth: number): unknown {
    if (depth > DEEPEST) throw broken();
    this.#take(SPACE);
    const first = this.text[this.#at];
    let read: unknown;
    if (first === "{") read = this.#object(depth);
    else if (first === "[") read = this.#list(depth);
    else if (first === '"') read = this.#string();
    else if (first === "t" || first === "f" || first === "n") read = WORDS[this.#must(WORD)];
    else read = this.#number();
    this.#take(SPACE);
    return read;
  }

  end(): void {
    if (this.#at !== this.text.length) throw broken();
  }

  #object(depth: number): Record<string, unknown> {
    // Without a prototype: `__proto__` is a name like any other.
    const read: Record<string, unknown> = Object.create(null);
    this.#at += 1;
    this.#take(SPACE);
    if (this.#next("}")) return read;
    do {
      this.#take(SPACE);
      const name = this.#string();
      this.#take(SPACE);
      if (name in read || !this.#next(":")) throw broken();
      read[name] = this.value(depth + 1);
    } while (this.#next(","));
    if (!this.#next("}")) throw broken();
    return read;
  }

  #list(depth: number): unknown[] {
    const read: unknown[] = [];
    this.#at += 1;
    this.#take(SPACE);
    if (this.#next("]")) return read;
    do read.push(this.value(depth + 1));
    while (this.#next(","));
    if (!this.#next("]")) throw broken();
    return read;
  }

  #string(): string {
    const written = this.#must(TEXT);
    return written.includes("\\") ? (JSON.parse(written) as string) : written.slice(1, -1);
  }

  #number(): number {
    const written = this.#must(NUMBER);
    if (/[.eE]/.test(written)) return Number.NaN;
    if (written.length > MOST_DIGITS) throw broken();
    return Number(written) + 0; // -0 is 0
  }

  #next(character: string): boolean {
    const found = this.text[this.#at] === character;
    if (found) this.#at += 1;
    return found;
  }

  #must(pattern: RegExp): string {
    const found = this.#take(pattern);
    if (found === null) throw broken();
    return found;
  }

  #take(pattern: RegExp): string | null {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.text);
    if (found === null) return null;
    this.#at = pattern.lastIndex;
    return found[0];
  }
}
