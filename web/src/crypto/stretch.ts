/** Argon2id (RFC 9106) without a pepper. It takes a second: it runs in a worker (worker/argon2.ts), and nowhere else but in tests. */

import { argon2id } from "@noble/hashes/argon2.js";

import type { Bytes } from "./bytes";

/** Memory in KiB, passes over it, lanes. */
export interface Strength {
  readonly memory: number;
  readonly passes: number;
  readonly lanes: number;
}

export function stretch(secret: Bytes, salt: Bytes, strength: Strength, length = 32): Bytes {
  const { memory: m, passes: t, lanes: p } = strength;
  // Its own bound on memory is 1 GiB, and counts a little more than `m`; ours is the ceiling in kdf.ts.
  return new Uint8Array(argon2id(secret, salt, { m, t, p, dkLen: length, maxmem: 2 ** 31 }));
}
