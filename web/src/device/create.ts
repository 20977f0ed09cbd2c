/** The messenger of this browser. */

import type { Messenger } from "../messenger";
import { browser, Device } from "./device";
import { startServiceWorker } from "./offline";
import { Push, pushOfBrowser } from "./push";
import { makeSealed } from "./sealed";

/** Open what is stored here, and take part in having a connection. */
export async function createMessenger(): Promise<Messenger> {
  let push: Push | null = null;
  const surroundings = await browser();
  const device = new Device(surroundings, makeSealed, (parts) => {
    push = new Push(parts, pushOfBrowser());
    return push;
  });
  await device.begin();
  const refresh = (): void => void push?.refresh();
  void startServiceWorker({ push: () => device.hurry(), changed: refresh }, surroundings.builds);
  refresh();
  return device;
}
