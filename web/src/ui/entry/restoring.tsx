import { words } from "../../i18n/words";
import type { Restoring as Progress } from "../../messenger";
import { Button } from "../parts/button";
import { Icon } from "../parts/icon";
import { Problem } from "../parts/problem";
import { Frame } from "./frame";

const STEPS = ["keys", "epochs", "messages"] as const;

/** How far everything has come, 0 to 1: most of the way is messages. */
export function shareOf({ step, done, of }: Progress): number {
  const within = of === 0 ? 0 : Math.min(done / of, 1);
  switch (step) {
    case "keys":
      return 0.05 * within;
    case "epochs":
      return 0.05 + 0.15 * within;
    case "messages":
      return 0.2 + 0.8 * within;
  }
}

interface Given {
  readonly progress: Progress;
  /** There is no space left for more of it. */
  readonly isFull: boolean;
  readonly onGoOn: () => void;
}

export function Restoring({ progress, isFull, onGoOn }: Given) {
  const w = words.value.restoring;
  const at = STEPS.indexOf(progress.step);
  return (
    <Frame title={w.title}>
      <progress class="progress" max={1} value={shareOf(progress)} aria-label={w.title} />
      <ol class="steps">
        {STEPS.map((step, index) => (
          <li
            key={step}
            class={index < at ? "step-done" : index === at ? "step-now" : ""}
            aria-current={index === at ? "step" : undefined}
          >
            <span class="step-name">
              {index < at ? <Icon name="check" class="icon-small" /> : <i class="step-dot" />}
              {w[step]}
            </span>
            {index === at && progress.of > 0 && <span class="step-count">{w.count(progress.done, progress.of)}</span>}
          </li>
        ))}
      </ol>
      <p class="hint">{w.hint}</p>
      <Problem text={isFull ? words.value.connection.full : null} />
      <div class="entry-submit">
        <Button onClick={onGoOn}>{w.goOn}</Button>
      </div>
    </Frame>
  );
}
