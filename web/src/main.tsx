/** Puts the device and the screens together. */

import { createMessenger } from "./device/create";
import { mount } from "./ui/mount";

const root = document.getElementById("app");
if (root !== null) await mount(await createMessenger(), root);
