/** Puts the device and the screens together. */

import { createMessenger } from "./device/create";
import { mount, mountUnopened } from "./ui/mount";

const root = document.getElementById("app");
if (root !== null) {
  const messenger = await createMessenger().catch((error: unknown) => {
    console.error("what is stored here cannot be opened", error);
    return null;
  });
  await (messenger === null ? mountUnopened(root) : mount(messenger, root));
}
