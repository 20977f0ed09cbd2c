/** The scripted messenger's windows on its rooms. */

import { batch, type Signal, signal } from "@preact/signals-core";

import type { Row, Timeline } from "../../src/messenger";

/** A window on a fake room's rows that begins at their end and grows by pages, as a device's does. */
export class FakeTimeline implements Timeline {
  readonly rows: Signal<readonly Row[]>;
  readonly hasOlder = signal(false);
  readonly hasNewer = signal(false);
  private from: number;
  private to: number | null = null; // null: up to the newest
  private readonly stop: () => void;

  constructor(
    private readonly all: Signal<readonly Row[]>,
    readonly unreadFrom: number | null,
    private readonly page: number,
  ) {
    this.from = Math.max(all.peek().length - this.page, 0);
    this.rows = signal<readonly Row[]>([]);
    this.stop = all.subscribe(() => this.show());
  }

  private show(): void {
    const all = this.all.peek();
    batch(() => {
      this.rows.value = all.slice(this.from, this.to ?? undefined);
      this.hasOlder.value = this.from > 0;
      this.hasNewer.value = this.to !== null && this.to < all.length;
    });
  }

  async older(): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, 30));
    this.from = Math.max(this.from - this.page, 0);
    this.show();
  }

  async newer(): Promise<void> {
    const to = (this.to ?? this.all.peek().length) + this.page;
    this.to = to >= this.all.peek().length ? null : to;
    this.show();
  }

  async around(seq: number): Promise<void> {
    const all = this.all.peek();
    const at = all.findIndex((row) => row.seq !== null && row.seq >= seq);
    this.from = Math.max(at - this.page / 2, 0);
    const to = at + this.page / 2;
    this.to = to >= all.length ? null : to;
    this.show();
  }

  async newest(): Promise<void> {
    this.from = Math.max(this.all.peek().length - this.page, 0);
    this.to = null;
    this.show();
  }

  close(): void {
    this.stop();
  }
}
