/** What goes on by itself while the device is online: the device's own state, and keys that are given and looked for. */

import { Refusal } from "../../messenger";
import { Backoff } from "../../protocol/backoff";
import type { Clock } from "../keys/parts";
import { isForNow, isSignedOut } from "../keys/refusing";
import type { Watch } from "../keys/watching";
import type { Looks, Shares } from "./sharing";

export class Upkeep {
  private running = false;
  private closed = false;
  private again = false;
  private pause: AbortController | null = null;
  /** After what was refused for now: only a new connection ends it. */
  private rest: AbortController | null = null;
  private backoff = new Backoff();

  constructor(
    private readonly clock: Clock,
    private readonly watch: Watch,
    private readonly shares: Shares,
    private readonly looks: Looks,
  ) {}

  /** The device is online: resolved when its own state is known. What is due later goes on by itself, until the network goes. */
  async begin(): Promise<void> {
    this.looks.again();
    try {
      await this.watch.look();
    } finally {
      this.backoff = new Backoff();
      this.wake();
      this.rest?.abort();
      void this.run();
    }
  }

  /** There is something new to give, or to look for; does nothing while the device is offline. */
  wake(): void {
    this.again = true;
    this.pause?.abort();
  }

  close(): void {
    this.closed = true;
    this.pause?.abort();
    this.rest?.abort();
  }

  private async run(): Promise<void> {
    if (this.running) return;
    this.running = true;
    try {
      while (!this.closed) {
        this.again = false;
        const next = await this.step();
        if (next === null || this.again || this.closed) continue;
        this.pause = new AbortController();
        await this.clock.wait(next, this.pause.signal).catch(() => undefined);
        this.pause = null;
      }
    } catch (error) {
      // Signed out: the next connection begins again.
      if (!this.closed && !isSignedOut(error)) console.warn("keys are not looked after", error);
    } finally {
      this.running = false;
    }
  }

  /** Do what is due; in how many ms there is more. Null when it could not be done for now, after a while. */
  private async step(): Promise<number | null> {
    try {
      const next = Math.min(await this.shares.step(), await this.looks.step());
      this.backoff = new Backoff();
      return next;
    } catch (error) {
      if (this.closed || !isForNow(error)) throw error;
      const after = error instanceof Refusal ? error.problem?.retry_after : undefined;
      const delay = this.backoff.delay(this.clock.chance(), after);
      this.backoff = this.backoff.failed();
      this.rest = new AbortController();
      await this.clock.wait(delay, this.rest.signal).catch(() => undefined);
      this.rest = null;
      return null;
    }
  }
}
