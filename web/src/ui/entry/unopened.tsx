import { words } from "../../i18n/words";
import { ToReload } from "./to-reload";

/** The browser's storage cannot be opened, and without it there is nothing else to show. */
export function Unopened() {
  const w = words.value.stopped;
  return <ToReload title={w.unopenedTitle} text={w.unopened} />;
}
