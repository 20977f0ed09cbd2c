/** An open tab and new builds of the client: when it looks for one, how it hears of one, and how it goes on to one. */

import { beforeEach, expect, test } from "vitest";

import { Builds, type Page } from "../../src/device/builds";
import type { Clock } from "../../src/device/clock";

const HOUR = 3_600_000;

class Worker_ extends EventTarget {
  state = "installing";
  readonly told: unknown[] = [];

  postMessage(what: unknown): void {
    this.told.push(what);
  }

  becomes(state: string): void {
    this.state = state;
    this.dispatchEvent(new Event("statechange"));
  }
}

class Registration extends EventTarget {
  installing: Worker_ | null = null;
  waiting: Worker_ | null = null;
  looks = 0;

  async update(): Promise<void> {
    this.looks += 1;
  }

  /** A new build is found, and all of it is there. */
  brings(): Worker_ {
    const worker = new Worker_();
    this.installing = worker;
    this.dispatchEvent(new Event("updatefound"));
    [this.installing, this.waiting] = [null, worker];
    worker.becomes("installed");
    return worker;
  }
}

class Workers extends EventTarget {
  controller: object | null = {};

  isTakenOver(): void {
    this.controller = {};
    this.dispatchEvent(new Event("controllerchange"));
  }
}

/** A tab and its clock, which a test sets forward. */
class Tab implements Page, Pick<Clock, "now" | "wait"> {
  hidden = false;
  reloads = 0;
  private at = 1_000_000;
  private waits: { until: number; end: () => void }[] = [];
  private readonly hearers: (() => void)[] = [];

  isHidden = () => this.hidden;
  onShown = (hear: () => void) => void this.hearers.push(hear);
  reload = () => void this.reloads++;
  now = () => this.at;
  wait = (ms: number) => new Promise<void>((end) => this.waits.push({ until: this.at + ms, end }));

  async after(ms: number): Promise<void> {
    const end = this.at + ms;
    for (;;) {
      const next = this.waits.filter(({ until }) => until <= end).sort((one, other) => one.until - other.until)[0];
      if (next === undefined) break;
      this.at = next.until;
      this.waits = this.waits.filter((wait) => wait !== next);
      next.end();
      await settled();
    }
    this.at = end;
  }

  show(): void {
    this.hidden = false;
    for (const hear of this.hearers) hear();
  }
}

/** Whatever was resolved by now has gone its way. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

let tab: Tab;
let workers: Workers;
let registration: Registration;
let builds: Builds;

beforeEach(() => {
  [tab, workers, registration] = [new Tab(), new Workers(), new Registration()];
  builds = new Builds(tab as unknown as Clock, tab);
});

const watch = (): void =>
  builds.watch(workers as unknown as ServiceWorkerContainer, registration as unknown as ServiceWorkerRegistration);

test("a tab that is looked at looks for a new build once an hour", async () => {
  watch();
  await tab.after(HOUR - 1);
  expect(registration.looks).toBe(0);
  await tab.after(1);
  expect(registration.looks).toBe(1);
  await tab.after(3 * HOUR);
  expect(registration.looks).toBe(4);
});

test("a hidden one looks when it is shown, if an hour has passed, and not more often", async () => {
  watch();
  tab.hidden = true;
  await tab.after(HOUR / 2);
  tab.show();
  expect(registration.looks).toBe(0);
  tab.hidden = true;
  await tab.after(5.25 * HOUR);
  expect(registration.looks).toBe(0);
  tab.show();
  tab.show();
  expect(registration.looks).toBe(1);
  await tab.after(2 * HOUR);
  expect(registration.looks).toBeLessThanOrEqual(3);
});

test("a new build is told of once all of it is there, and nothing is loaded or looked for by itself", async () => {
  watch();
  const worker = new Worker_();
  registration.installing = worker;
  registration.dispatchEvent(new Event("updatefound"));
  expect(builds.isNew.value).toBe(false);
  worker.becomes("installed");
  expect(builds.isNew.value).toBe(true);
  await tab.after(5 * HOUR);
  expect([tab.reloads, worker.told.length, registration.looks]).toEqual([0, 0, 0]);
});

test("one that could not be fetched as a whole is not told of", () => {
  watch();
  const worker = new Worker_();
  registration.installing = worker;
  registration.dispatchEvent(new Event("updatefound"));
  worker.becomes("redundant");
  expect(builds.isNew.value).toBe(false);
});

test("the first build of all is not a new one", () => {
  workers.controller = null;
  watch();
  registration.brings().becomes("activated");
  workers.isTakenOver();
  expect(builds.isNew.value).toBe(false);
});

test("going on lets the new build take over, and loads when it has", () => {
  watch();
  const worker = registration.brings();
  builds.goOn();
  expect([worker.told, tab.reloads]).toEqual([["take-over"], 0]);
  workers.isTakenOver();
  expect(tab.reloads).toBe(1);
});

test("where another tab has gone on already, this one is told, and only loads", () => {
  watch();
  workers.isTakenOver();
  expect([builds.isNew.value, tab.reloads]).toEqual([true, 0]);
  builds.goOn();
  expect(tab.reloads).toBe(1);
});
