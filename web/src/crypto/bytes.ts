/** Bytes: those that may be shown, and those that may not. */

export type Bytes = Uint8Array<ArrayBuffer>;

const WRITE = new TextEncoder();

export function utf8(text: string): Bytes {
  return WRITE.encode(text) as Bytes;
}

export function concat(...parts: readonly Uint8Array[]): Bytes {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** Of public bytes: it takes as long as they are alike. */
export function same(one: Uint8Array, other: Uint8Array): boolean {
  return one.length === other.length && one.every((byte, at) => byte === other[at]);
}

export function random(length: number): Bytes {
  return crypto.getRandomValues(new Uint8Array(length));
}

/**
 * Bytes that nobody is to see: no log, no JSON, no message to another tab shows them, and no store takes them by accident,
 * since a structured clone leaves the private member behind.
 */
export class Secret {
  readonly #bytes: Bytes;

  constructor(bytes: Bytes) {
    this.#bytes = bytes;
  }

  static fresh(length = 32): Secret {
    return new Secret(random(length));
  }

  /** To be used at once, and not to be kept. */
  reveal(): Bytes {
    return this.#bytes;
  }

  get length(): number {
    return this.#bytes.length;
  }
}
