/** Doing together what many ask for in a short time: at most once a frame, never twice at once, and not all the time. */

/** After something that took long, for so many times as long there is time for other things; at most so many ms. */
const REST = 4;
const REST_MOST_MS = 100;

export class Soon {
  private isDue = false;
  private isRunning = false;
  private notBefore = 0;

  constructor(private readonly task: () => Promise<void> | void) {}

  /** It has to be done (again). */
  mark(): void {
    if (this.isDue) return;
    this.isDue = true;
    if (!this.isRunning) this.plan();
  }

  private plan(): void {
    const wait = this.notBefore - performance.now();
    if (wait > 0 && isSeen()) setTimeout(() => next(() => this.run()), wait);
    else next(() => this.run());
  }

  private async run(): Promise<void> {
    const began = performance.now();
    this.isRunning = true;
    this.isDue = false;
    try {
      await this.task();
    } catch (error) {
      // The store is closed: the tab goes, or a newer version of the client has it.
      if ((error as Error | null)?.name !== "InvalidStateError")
        console.error("what is shown is not up to date", error);
    } finally {
      const now = performance.now();
      this.notBefore = now + Math.min(REST_MOST_MS, REST * (now - began));
      this.isRunning = false;
      if (this.isDue) this.plan();
    }
  }
}

/** Whether the page is seen: one that is not has no frames, and its timers may come a minute late. */
export function isSeen(): boolean {
  return typeof document === "undefined" || document.visibilityState === "visible";
}

function next(task: () => void): void {
  if (typeof document === "undefined") setTimeout(task);
  else if (isSeen()) onFrame(task);
  else throughChannel(task);
}

/** With the next frame; or at once, if the page is hidden before there is one. */
function onFrame(task: () => void): void {
  let isDone = false;
  const once = (): void => {
    if (isDone) return;
    isDone = true;
    document.removeEventListener("visibilitychange", once);
    task();
  };
  document.addEventListener("visibilitychange", once);
  requestAnimationFrame(once);
}

const unseen: (() => void)[] = [];
let channel: MessageChannel | null = null;

/** What a channel carries is not held back: the title tells of messages in a tab that is not seen. */
function throughChannel(task: () => void): void {
  unseen.push(task);
  if (channel === null) {
    channel = new MessageChannel();
    channel.port1.onmessage = () => {
      for (const due of unseen.splice(0)) due();
    };
  }
  channel.port2.postMessage(null);
}
