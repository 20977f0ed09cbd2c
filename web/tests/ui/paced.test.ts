// @vitest-environment happy-dom
/** What changes often is drawn a few times a second, and nothing is left to run once nobody looks. */

import { signal } from "@preact/signals-core";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

let follow: typeof import("../../src/ui/paced").follow;

beforeEach(async () => {
  vi.useFakeTimers();
  vi.resetModules(); // the module remembers when it drew last, by a clock that begins anew
  ({ follow } = await import("../../src/ui/paced"));
});

afterEach(() => {
  vi.useRealTimers();
});

describe("pacing", () => {
  it("draws the first change in the next frame, and what follows once", () => {
    const count = signal(0);
    const drawn: number[] = [];
    const stop = follow(count, (value) => drawn.push(value));
    expect(drawn).toEqual([0]);
    count.value = 1;
    vi.advanceTimersToNextFrame();
    expect(drawn).toEqual([0, 1]);
    for (let value = 2; value <= 50; value += 1) count.value = value;
    vi.advanceTimersByTime(50);
    expect(drawn).toEqual([0, 1]);
    vi.advanceTimersByTime(100);
    expect(drawn).toEqual([0, 1, 50]);
    stop();
  });

  it("leaves nothing to run behind when the last one stops", () => {
    const count = signal(0);
    const drawn: number[] = [];
    const stop = follow(count, (value) => drawn.push(value));
    const stopOther = follow(count, () => {});
    count.value = 1;
    vi.advanceTimersToNextFrame();
    count.value = 2;
    stop();
    expect(vi.getTimerCount()).toBe(1); // for the other
    stopOther();
    expect(vi.getTimerCount()).toBe(0);
    vi.advanceTimersByTime(200);
    expect(drawn).toEqual([0, 1]);
  });

  it("goes on after everybody had stopped", () => {
    const count = signal(0);
    follow(count, () => {})();
    const drawn: number[] = [];
    const stop = follow(count, (value) => drawn.push(value));
    count.value = 1;
    vi.advanceTimersByTime(200);
    expect(drawn).toEqual([0, 1]);
    stop();
  });
});
