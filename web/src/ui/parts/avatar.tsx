import { Icon } from "./icon";

const HUES = 8;

/** The same hue for the same name on every device. */
export function hueOf(name: string): number {
  let hash = 0;
  for (const letter of name) hash = (hash * 31 + (letter.codePointAt(0) ?? 0)) | 0;
  return Math.abs(hash) % HUES;
}

/** The first letter as people see it: one emoji or one syllable is one letter. */
export function initialOf(name: string): string {
  const first = new Intl.Segmenter().segment(name.trim())[Symbol.iterator]().next();
  return first.done ? "?" : first.value.segment.toLocaleUpperCase();
}

export function Avatar({ name, group = false, large = false }: { name: string; group?: boolean; large?: boolean }) {
  return (
    <span class={`avatar avatar-hue-${hueOf(name)} ${large ? "avatar-large" : ""}`} aria-hidden="true">
      {group ? <Icon name="group" /> : initialOf(name)}
    </span>
  );
}
