/** A disk that takes nothing more (transactions that the browser ends), or does not give what is asked for. Until `vi.restoreAllMocks`. */

import { IDBObjectStore } from "fake-indexeddb";
import { vi } from "vitest";

interface Ending {
  _abort(error: string): void;
}

/** Nothing more goes into this store. */
export function fills(store: string) {
  const put = IDBObjectStore.prototype.put;
  return vi.spyOn(IDBObjectStore.prototype, "put").mockImplementation(function (this: IDBObjectStore, ...given) {
    const request = put.apply(this, given);
    // The transaction ends, and what else was asked of it is only told that it did: its own error says why.
    const end = () => (this.transaction as unknown as Ending)._abort("QuotaExceededError");
    if (this.name === store) request.addEventListener("success", end);
    return request;
  });
}

/** How often that was tried. */
export function tried(spy: ReturnType<typeof fills>, store: string): number {
  return spy.mock.contexts.filter((context) => (context as IDBObjectStore).name === store).length;
}

/** The next time nothing comes from this store under this key. */
export function fails(store: string, key: string): void {
  const get = IDBObjectStore.prototype.get;
  let isDue = true;
  vi.spyOn(IDBObjectStore.prototype, "get").mockImplementation(function (this: IDBObjectStore, given) {
    if (isDue && this.name === store && given === key) {
      isDue = false;
      throw new DOMException("the disk did not give it", "UnknownError");
    }
    return get.call(this, given);
  });
}
