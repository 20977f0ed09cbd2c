import { words } from "../../i18n/words";
import { Button } from "../parts/button";
import { Frame } from "./frame";

/** The browser's storage cannot be opened, and without it there is nothing else to show. */
export function Unopened() {
  const w = words.value.stopped;
  return (
    <Frame title={w.unopenedTitle}>
      <p>{w.unopened}</p>
      <div class="entry-submit">
        <Button kind="primary" onClick={() => location.reload()}>
          {w.reload}
        </Button>
      </div>
    </Frame>
  );
}
