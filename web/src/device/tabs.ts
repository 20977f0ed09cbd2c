/** What the tabs of one browser do together (docs/adr/0040): hints over a BroadcastChannel, and what only one of them may do under Web Locks. */

import type { Bus, News } from "./ports";

/** What must be done once, whichever tab does it. */
export type LockName =
  | "letterlock-socket"
  | "letterlock-tokens"
  | "letterlock-keys"
  | "letterlock-push"
  | "letterlock-reopening";

export interface Locks {
  /** Do it while this tab, and no other, has the lock; waits for it. */
  run<Result>(name: LockName, task: () => Promise<Result>, signal?: AbortSignal): Promise<Result>;
}

export const webLocks: Locks = {
  run: <Result>(name: LockName, task: () => Promise<Result>, signal?: AbortSignal) =>
    navigator.locks.request(name, signal === undefined ? {} : { signal }, task) as Promise<Result>,
};

/** The state of things rather than an event: a tab that opens later wants to hear the last one, too. */
const STATES: ReadonlySet<News["type"]> = new Set(["connection", "restoring"]);

/** A tab has opened, and knows nothing yet. */
const HELLO = { type: "hello" } as const;

/** The hints of this browser's tabs. */
export class TabsBus implements Bus {
  private readonly channel: BroadcastChannel;
  private readonly hearers = new Set<(news: News) => void>();
  private readonly states = new Map<News["type"], News>();
  private isClosed = false;

  constructor(name = "letterlock") {
    this.channel = new BroadcastChannel(name);
    this.channel.onmessage = (event: MessageEvent<News | typeof HELLO>) => {
      if (event.data.type !== "hello") this.hear(event.data);
      else for (const news of this.states.values()) this.channel.postMessage(news);
    };
    this.channel.postMessage(HELLO);
  }

  /** What is told after `close` is in the store all the same: whoever comes later finds it there. */
  tell(news: News): void {
    if (this.isClosed) return;
    if (STATES.has(news.type)) this.states.set(news.type, news);
    this.channel.postMessage(news);
    this.hear(news);
  }

  /** This tab does not know the states of things any more: another one tells them from now on. */
  forgetStates(): void {
    this.states.clear();
  }

  listen(hear: (news: News) => void): () => void {
    this.hearers.add(hear);
    return () => this.hearers.delete(hear);
  }

  private hear(news: News): void {
    for (const hear of this.hearers) hear(news);
  }

  close(): void {
    this.isClosed = true;
    this.hearers.clear();
    this.channel.close();
  }
}
