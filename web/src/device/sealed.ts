/** The keys and the sealing of a device, put together. */

import { STANDARD, type Stretch } from "../crypto/kdf";
import type { Strength } from "../crypto/stretch";
import argon2Url from "../worker/argon2?worker&url";
import { workerUrl } from "../worker/trusted";
import { SealedEpochs } from "./epochs";
import { Keys } from "./keys";
import type { Parts } from "./keys/parts";
import { inWorker } from "./keys/stretching";

const STRETCH = inWorker(() => new Worker(workerUrl(argon2Url), { type: "module" }));

/** `stretch` and `strength`: another way to run Argon2id, and other parameters where this device chooses them. */
export function makeSealed(
  given: Omit<Parts, "stretch" | "strength"> & { readonly stretch?: Stretch; readonly strength?: Strength },
): { readonly keys: Keys; readonly sealing: SealedEpochs } {
  const parts: Parts = { stretch: STRETCH, strength: STANDARD, ...given };
  const keys = new Keys(parts);
  return { keys, sealing: new SealedEpochs(parts, keys) };
}
