import { type Signal, useSignal } from "@preact/signals";
import { useMemo, useRef } from "preact/hooks";

import type { Timeline } from "../../messenger";

export interface Load {
  (direction: "older" | "newer"): void;
  readonly isLoading: Signal<boolean>;
  /** Counted up by each page that has come: there may be nothing in it that is shown, and then the next one is wanted. */
  readonly pages: Signal<number>;
}

/** Loads one page at a time in each direction. One that failed is tried again with the next scroll, not before. */
export function useLoading(timeline: Timeline): Load {
  const isLoading = useSignal(false);
  const pages = useSignal(0);
  const running = useRef({ older: false, newer: false });
  return useMemo(() => {
    const load = async (direction: "older" | "newer"): Promise<void> => {
      const has = direction === "older" ? timeline.hasOlder : timeline.hasNewer;
      if (running.current[direction] || !has.peek()) return;
      running.current[direction] = true;
      isLoading.value = running.current.older;
      try {
        await timeline[direction]();
        pages.value += 1;
      } catch {
        // The connection's state is shown elsewhere.
      } finally {
        running.current[direction] = false;
        isLoading.value = running.current.older;
      }
    };
    return Object.assign((direction: "older" | "newer") => void load(direction), { isLoading, pages });
  }, [timeline]);
}
