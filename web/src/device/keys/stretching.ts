/** Argon2id in a worker of its own, which is ended afterwards: with it go the memory and the password in it. */

import type { Bytes } from "../../crypto/bytes";
import type { Stretch } from "../../crypto/kdf";
import { Refusal } from "../../messenger";
import type { Answered, Asked } from "../../worker/argon2";

/** `start`: a new worker of worker/argon2.ts. Rejected with `overloaded` where it cannot run, for want of memory mostly. */
export function inWorker(start: () => Worker): Stretch {
  return (secret, salt, strength) => {
    const worker = start();
    const derived = new Promise<Bytes>((resolve, reject) => {
      worker.onmessage = ({ data }: MessageEvent<Answered>) => {
        if ("derived" in data) resolve(data.derived);
        else reject(new Refusal("overloaded"));
      };
      worker.onerror = () => reject(new Refusal("overloaded"));
    });
    worker.postMessage({ secret, salt, strength } satisfies Asked);
    return derived.finally(() => worker.terminate());
  };
}
