import { words } from "../../i18n/words";
import type { Ticks as State } from "../../messenger";

const SHAPES: Readonly<Record<State, string>> = {
  waiting: "M8 14.500a6 6 0 1 0 0-12 6 6 0 0 0 0 12ZM8 5v3.500l2.300 1.400",
  sent: "m3 8.800 3.200 3.200L13 5",
  delivered: "m1.500 8.800 3.200 3.200L11.500 5M10 12l.700.700L17.500 5",
  read: "m1.500 8.800 3.200 3.200L11.500 5M10 12l.700.700L17.500 5",
  failed: "M8 14.500a6 6 0 1 0 0-12 6 6 0 0 0 0 12ZM8 5.300v3.500m0 2.300v.1",
};

/** How far a message of one's own has come, in a picture, and in a word for those who listen. */
export function Ticks({ state }: { state: State }) {
  return (
    <svg
      class={`ticks ticks-${state}`}
      viewBox="0 0 19 16"
      role="img"
      aria-label={words.value.conversation.ticks[state]}
    >
      <path d={SHAPES[state]} />
    </svg>
  );
}
