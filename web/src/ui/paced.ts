/**
 * What changes a hundred times a second is drawn a few times a second, all of it in one frame: what arrives must not hold up what
 * is typed. The first change after a pause is drawn in the next frame. A page that is not seen has no frames; it catches up when
 * it is.
 */

import type { ReadonlySignal } from "@preact/signals";
import { effect } from "@preact/signals";
import { useEffect, useState } from "preact/hooks";

/** Between two drawings while things keep changing. */
const GAP = 100;

const waiting = new Set<() => void>();
/** Takes back what will draw; null while nothing is waited for. */
let cancel: (() => void) | null = null;
let drawnAt = Number.NEGATIVE_INFINITY;

function draw(at: number): void {
  cancel = null;
  drawnAt = at;
  const ready = [...waiting];
  waiting.clear();
  for (const callback of ready) callback();
}

function nextFrame(): void {
  const frame = requestAnimationFrame(draw);
  cancel = () => cancelAnimationFrame(frame);
}

function schedule(): void {
  if (cancel !== null) return;
  const rest = drawnAt + GAP - performance.now();
  if (rest <= 0) {
    nextFrame();
  } else {
    const timer = setTimeout(nextFrame, rest);
    cancel = () => clearTimeout(timer);
  }
}

/** Where nobody waits any longer, nothing is left to run: a page may be gone by then. */
function forget(callback: () => void): void {
  if (!waiting.delete(callback) || waiting.size > 0) return;
  cancel?.();
  cancel = null;
}

/** Calls back with what a signal is: now, and paced whenever it changes; until the answer is called. */
export function follow<Value>(source: ReadonlySignal<Value>, callback: (value: Value) => void): () => void {
  const changed = (): void => callback(source.peek());
  changed();
  let first = true;
  const stop = effect(() => {
    source.value;
    if (first) {
      first = false;
      return;
    }
    waiting.add(changed);
    schedule();
  });
  return () => {
    stop();
    forget(changed);
  };
}

/** A signal's value, paced. */
export function usePaced<Value>(source: ReadonlySignal<Value>): Value {
  const [value, setValue] = useState(() => ({ source, is: source.peek() }));
  useEffect(() => follow(source, (is) => setValue((before) => (before.is === is ? before : { source, is }))), [source]);
  // Another source is not paced: its first value is shown at once.
  return value.source === source ? value.is : source.peek();
}
