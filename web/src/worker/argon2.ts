/** Argon2id beside the page, which would stand still meanwhile. One derivation, then the page ends this worker. */

import type { Bytes } from "../crypto/bytes";
import { type Strength, stretch } from "../crypto/stretch";

/** What the page asks, and is answered: the bytes, or the text of what went wrong. */
export interface Asked {
  readonly secret: Bytes;
  readonly salt: Bytes;
  readonly strength: Strength;
}
export type Answered = { readonly derived: Bytes } | { readonly failed: string };

const scope = globalThis as unknown as DedicatedWorkerGlobalScope;

scope.onmessage = async ({ data: { secret, salt, strength } }: MessageEvent<Asked>) => {
  let answer: Answered;
  try {
    answer = { derived: await stretch(secret, salt, strength) };
  } catch (error) {
    answer = { failed: error instanceof Error ? error.message : "the derivation failed" };
  }
  scope.postMessage(answer, "derived" in answer ? [answer.derived.buffer] : []);
};
