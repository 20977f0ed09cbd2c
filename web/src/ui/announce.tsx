/** What is said aloud: a polite live region for what arrives, and short notes that everybody sees for a moment. */

import { signal } from "@preact/signals";

const THROTTLE = 1_500;
const NOTE = 4_000;

const spoken = signal("");
const note = signal<{ readonly text: string } | null>(null);

let last = 0;
let pending: (() => string) | null = null;
let timer: ReturnType<typeof setTimeout> | undefined;

/** At most one sentence in a while; `sentence` is asked when it is said, so that it can sum up what has come meanwhile. */
export function announce(sentence: () => string): void {
  pending = sentence;
  if (timer !== undefined) return;
  timer = setTimeout(
    () => {
      timer = undefined;
      last = Date.now();
      spoken.value = pending?.() ?? "";
      pending = null;
    },
    Math.max(last + THROTTLE - Date.now(), 0),
  );
}

let noteTimer: ReturnType<typeof setTimeout> | undefined;

/** A short note for everybody's eyes: “Copied.” */
export function toast(text: string): void {
  note.value = { text };
  clearTimeout(noteTimer);
  noteTimer = setTimeout(() => {
    note.value = null;
  }, NOTE);
}

export function Announcer() {
  return (
    <div class="visually-hidden" role="log" aria-live="polite" aria-atomic="true">
      {spoken.value}
    </div>
  );
}

export function Toasts() {
  return (
    <div class="toasts" role="status">
      {note.value !== null && <div class="toast">{note.value.text}</div>}
    </div>
  );
}
