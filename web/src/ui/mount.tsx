/** Puts the screens on the page. The styles come with it; nothing else of `ui/` is for others to import. */

import "./styles/index.css";

import { render } from "preact";

import type { Messenger } from "../messenger";
import { Unopened } from "./entry/unopened";
import { readPreferences } from "./prefs";
import { readAddress } from "./route";
import { App } from "./shell/app";

export async function mount(messenger: Messenger, root: HTMLElement): Promise<void> {
  await readPreferences();
  readAddress();
  render(<App messenger={messenger} />, root);
}

/** There is no messenger, because the browser's storage cannot be opened: the page says so. */
export async function mountUnopened(root: HTMLElement): Promise<void> {
  await readPreferences().catch(() => undefined); // in English, then
  render(<Unopened />, root);
}
