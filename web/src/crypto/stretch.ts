/** Argon2id (RFC 9106) without a pepper. It takes half a second: it runs in a worker (worker/argon2.ts), and nowhere else but in tests. */

import { argon2id } from "hash-wasm";

import type { Bytes } from "./bytes";

/** Memory in KiB, passes over it, lanes. */
export interface Strength {
  readonly memory: number;
  readonly passes: number;
  readonly lanes: number;
}

/** Rejected for want of memory, mostly. Without WebAssembly it takes five times as long. */
export async function stretch(secret: Bytes, salt: Bytes, strength: Strength, length = 32): Promise<Bytes> {
  try {
    return await quickly(secret, salt, strength, length);
  } catch {
    // There is none (iOS in lockdown mode), or a proxy has changed this worker's policy: nobody is locked out for that.
    return plainly(secret, salt, strength, length);
  }
}

async function quickly(password: Bytes, salt: Bytes, strength: Strength, hashLength: number): Promise<Bytes> {
  const { memory: memorySize, passes: iterations, lanes: parallelism } = strength;
  const asked = { password, salt, memorySize, iterations, parallelism, hashLength, outputType: "binary" } as const;
  return new Uint8Array(await argon2id(asked));
}

async function plainly(secret: Bytes, salt: Bytes, strength: Strength, dkLen: number): Promise<Bytes> {
  const { argon2id } = await import("@noble/hashes/argon2.js");
  const { memory: m, passes: t, lanes: p } = strength;
  // Its own bound on memory is 1 GiB, and counts a little more than `m`; ours is the ceiling in kdf.ts.
  return new Uint8Array(argon2id(secret, salt, { m, t, p, dkLen, maxmem: 2 ** 31 }));
}
