/** Builds of the client: an open tab looks now and then whether there is a new one, and goes on to it when the user says so. */

import { signal } from "@preact/signals-core";

import type { Clock } from "./clock";
import { log } from "./parts";

const LOOK_MS = 3_600_000;

/** The tab; tests give something else. */
export interface Page {
  isHidden(): boolean;
  /** `hear` is called whenever the tab is shown again. */
  onShown(hear: () => void): void;
  reload(): void;
}

export const pageOfBrowser: Page = {
  isHidden: () => document.hidden,
  onShown: (hear) =>
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) hear();
    }),
  reload: () => location.reload(),
};

export class Builds {
  /** Whether there is another build than the one of this tab. */
  readonly isNew = signal(false);
  private workers: ServiceWorkerContainer | null = null;
  private registration: ServiceWorkerRegistration | null = null;
  private lookedAt = 0;

  constructor(
    private readonly clock: Clock,
    private readonly page: Page,
  ) {}

  /** Tell of new builds from now on. The browser has just looked for one: that is what a load of the page does. */
  watch(workers: ServiceWorkerContainer, registration: ServiceWorkerRegistration): void {
    this.workers = workers;
    this.registration = registration;
    this.lookedAt = this.clock.now();
    let isControlled = workers.controller !== null;
    // Another tab has gone on to it. The first worker of all takes over without being a new build.
    workers.addEventListener("controllerchange", () => {
      if (isControlled) this.isNew.value = true;
      isControlled = true;
    });
    registration.addEventListener("updatefound", () => this.follow(registration.installing));
    this.follow(registration.installing);
    this.page.onShown(() => this.look());
    void this.lookNowAndThen();
  }

  /** Load the new build, in this tab alone. */
  goOn(): void {
    const waiting = this.registration?.waiting;
    if (!waiting || this.workers === null) {
      this.page.reload();
      return;
    }
    this.workers.addEventListener("controllerchange", () => this.page.reload(), { once: true });
    waiting.postMessage("take-over");
  }

  private follow(worker: ServiceWorker | null): void {
    worker?.addEventListener("statechange", () => {
      if (worker.state === "installed" && this.workers?.controller) this.isNew.value = true;
    });
  }

  private async lookNowAndThen(): Promise<void> {
    while (!this.isNew.value) {
      const rest = this.lookedAt + LOOK_MS - this.clock.now();
      await this.clock.wait(rest > 0 ? rest : LOOK_MS); // a hidden tab looks when it is shown
      this.look();
    }
  }

  private look(): void {
    const since = Math.abs(this.clock.now() - this.lookedAt);
    if (this.isNew.value || this.page.isHidden() || since < LOOK_MS) return;
    this.lookedAt = this.clock.now();
    this.registration?.update().catch((error) => log("whether there is a new build is not known", error));
  }
}
