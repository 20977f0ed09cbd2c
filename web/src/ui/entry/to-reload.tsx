import { words } from "../../i18n/words";
import { Button } from "../parts/button";
import { Frame } from "./frame";

/** Something is over that only loading the page anew can begin again. */
export function ToReload({ title, text }: { title: string; text: string }) {
  return (
    <Frame title={title}>
      <p>{text}</p>
      <div class="entry-submit">
        <Button kind="primary" onClick={() => location.reload()}>
          {words.value.stopped.reload}
        </Button>
      </div>
    </Frame>
  );
}
