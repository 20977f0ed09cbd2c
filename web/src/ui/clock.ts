/** The time as far as pages show it: one signal that ticks slowly, so that “Today” becomes “Yesterday” by itself. */

import { signal } from "@preact/signals";

export const now = signal(Date.now());

const TICK = 30_000;

export function startClock(): () => void {
  const tick = (): void => {
    now.value = Date.now();
  };
  const timer = setInterval(tick, TICK);
  document.addEventListener("visibilitychange", tick);
  return () => {
    clearInterval(timer);
    document.removeEventListener("visibilitychange", tick);
  };
}
