/** Time, chance and waiting, in one place, so that tests can give other ones. */

export interface Clock {
  /** ms since 1970. */
  now(): number;
  /** ms that only go forward. */
  monotonic(): number;
  /** In [0, 1). */
  chance(): number;
  /** Resolved after so many ms; rejected with the reason of `signal`. */
  wait(ms: number, signal?: AbortSignal): Promise<void>;
}

/** What setTimeout takes: a longer one would be over at once. */
const LONGEST_MS = 2 ** 31 - 1;

export const clock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  chance: () => Math.random(),
  wait: (ms, signal) =>
    new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      const timer = setTimeout(done, Math.min(Math.max(0, ms), LONGEST_MS));
      function done(): void {
        signal?.removeEventListener("abort", aborted);
        resolve();
      }
      function aborted(): void {
        clearTimeout(timer);
        reject(signal?.reason);
      }
      signal?.addEventListener("abort", aborted, { once: true });
    }),
};

/** Something to wait for that is set again and again. */
export class Wake {
  private isSet = false;
  private readonly waking = new Set<() => void>();

  set(): void {
    this.isSet = true;
    for (const wake of this.waking) wake();
  }

  /** Resolved once it is set, or after so many ms (infinity: only then); it is not set any more afterwards. */
  async wait(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (!this.isSet) {
      const over = new AbortController();
      const wake = (): void => over.abort();
      this.waking.add(wake);
      // Set, out of time or not wanted any more: whichever is first ends the wait.
      await clock.wait(ms, AbortSignal.any([signal, over.signal])).catch(() => undefined);
      this.waking.delete(wake);
      signal.throwIfAborted();
    }
    this.isSet = false;
  }
}
