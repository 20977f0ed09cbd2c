/** When to try again: full jitter, so that clients that failed together do not come back together. Times in ms. */

export const FIRST_MS = 500;
export const MOST_MS = 30_000;
export const STABLE_MS = 30_000;

/** How often it has failed in a row. Each failure doubles the ceiling, from 0.5 s to 30 s. */
export class Backoff {
  constructor(readonly failures = 0) {}

  /** The longest wait at this point. */
  get ceiling(): number {
    // The exponent is bounded: a tab that was offline for a month must not compute 2 ** 100000.
    return Math.min(MOST_MS, FIRST_MS * 2 ** Math.min(this.failures, 10));
  }

  failed(): Backoff {
    return new Backoff(this.failures + 1);
  }

  /**
   * How long to wait, from a random `chance` in [0, 1); never less than the server asked for (`retryAfter`, seconds).
   * The jitter is added to that, because the server may have told everybody the same.
   */
  delay(chance: number, retryAfter?: number): number {
    return retryAfter ? retryAfter * 1000 + chance * FIRST_MS : chance * this.ceiling;
  }

  /** The failures are forgotten once a connection has held for 30 s. */
  after(lastedMs: number): Backoff {
    return lastedMs >= STABLE_MS ? new Backoff() : this;
  }
}
