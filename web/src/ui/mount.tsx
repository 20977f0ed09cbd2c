/** Puts the screens on the page. The styles come with it; nothing else of `ui/` is for others to import. */

import "./styles/index.css";

import { render } from "preact";

import type { Messenger } from "../messenger";
import { readPreferences } from "./prefs";
import { readAddress } from "./route";
import { App } from "./shell/app";

export async function mount(messenger: Messenger, root: HTMLElement): Promise<void> {
  await readPreferences();
  readAddress();
  render(<App messenger={messenger} />, root);
}
