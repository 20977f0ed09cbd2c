/** What is remembered of a user's document, and which documents are refused because of it. */

import { type Bytes, same } from "./bytes";
import { CryptoError } from "./errors";
import { isSameKey } from "./keys";
import type { DeviceKey, Said, UserKeys } from "./userkeys";
import type { Secrets } from "./vault";

/** The identity key, number and hash (32 bytes each) of the newest document that was taken. */
export interface Pin {
  readonly identity: Bytes;
  readonly seq: number;
  readonly digest: Bytes;
}

export function pinOf(keys: UserKeys): Pin {
  return { identity: keys.identity, seq: keys.seq, digest: keys.digest };
}

/**
 * The pin after a newer document. `known`: the pinned document, if it is kept; then the step is checked too.
 *
 * Throws `identity_changed`, `rolled_back`, `forked`, and `bad_change` for a step that the rules do not have.
 */
export function follow(pin: Pin, fresh: UserKeys, known: UserKeys | null = null): Pin {
  if (!same(fresh.identity, pin.identity))
    throw new CryptoError("identity_changed", "another identity key than before");
  if (fresh.seq < pin.seq) throw new CryptoError("rolled_back", "an older document than before");
  if (fresh.seq === pin.seq && !same(fresh.digest, pin.digest))
    throw new CryptoError("forked", "another document under the same number");
  if (fresh.seq === pin.seq + 1 && !same(fresh.prev, pin.digest))
    throw new CryptoError("forked", "the successor of another document");
  if (known !== null) {
    if (known.seq !== pin.seq || !same(known.digest, pin.digest) || !same(known.identity, pin.identity))
      throw new CryptoError("forked", "the kept document is not the pinned one");
    if (fresh.seq === known.seq + 1) checkChange(known, fresh);
    else checkLeap(known, fresh);
  }
  return pinOf(fresh);
}

/** One step of one user's chain. Throws `wrong_user`, `identity_changed`, `forked`, `bad_change`. */
export function checkChange(old: UserKeys, fresh: Said): void {
  if (fresh.user !== old.user) throw new CryptoError("wrong_user", "a document about another user");
  if (!same(fresh.identity, old.identity))
    throw new CryptoError("identity_changed", "another identity key than before");
  if (fresh.seq !== old.seq + 1 || !same(fresh.prev, old.digest))
    throw new CryptoError("forked", "not the successor of this document");
  const isNext =
    fresh.encryption.version === old.encryption.version + 1 && !same(fresh.encryption.public, old.encryption.public);
  if (!isSameKey(fresh.encryption, old.encryption) && !isNext)
    throw new CryptoError("bad_change", "another encryption key, and not the next one");
  const listed = new Map(fresh.devices.map((device) => [device.id, device]));
  const leftOut = old.devices.filter((device) => !listed.has(device.id));
  if (leftOut.some((device) => device.until === null))
    throw new CryptoError("bad_change", "a live device was left out");
  const pruned = leftOut.length > 0 ? { seq: old.seq, digest: old.digest } : old.pruned;
  const isNamed =
    pruned === null || fresh.pruned === null
      ? pruned === fresh.pruned
      : pruned.seq === fresh.pruned.seq && same(pruned.digest, fresh.pruned.digest);
  if (!isNamed) throw new CryptoError("bad_change", "what was left out is not named as it should be");
  for (const device of old.devices) checkDevice(device, listed.get(device.id) ?? null);
}

/** What holds over any number of steps. The steps themselves were not seen. */
function checkLeap(old: UserKeys, fresh: Said): void {
  if (fresh.encryption.version < old.encryption.version)
    throw new CryptoError("bad_change", "an older encryption key than before");
  if (fresh.encryption.version === old.encryption.version && !isSameKey(fresh.encryption, old.encryption))
    throw new CryptoError("bad_change", "another encryption key of the same version");
  const listed = new Map(fresh.devices.map((device) => [device.id, device]));
  for (const device of old.devices) checkDevice(device, listed.get(device.id) ?? null);
}

function checkDevice(old: DeviceKey, fresh: DeviceKey | null): void {
  if (fresh === null) return;
  const isSameBox = old.box === null || fresh.box === null ? old.box === fresh.box : same(old.box, fresh.box);
  if (!same(fresh.key, old.key) || fresh.since !== old.since || !isSameBox)
    throw new CryptoError("bad_change", "a listed device has other keys");
  if (old.until !== null && fresh.until !== old.until)
    throw new CryptoError("bad_change", "a revoked device came back, or left at another time");
}

/**
 * Whether the server's document about oneself agrees with one's vault, which the server cannot forge.
 *
 * Both change in one request, so their newest encryption keys are the same. Throws `identity_changed` for another
 * identity, `rolled_back` for an old vault or an old document, `forked` for another key under the same version.
 */
export function checkOwn(keys: UserKeys, secrets: Secrets): void {
  if (!same(keys.identity, secrets.identity.public))
    throw new CryptoError("identity_changed", "the server names another identity key than the vault has");
  const newest = secrets.newest.announced;
  if (newest.version !== keys.encryption.version)
    throw new CryptoError("rolled_back", "vault and document have different encryption keys: one of them is old");
  if (!isSameKey(newest, keys.encryption))
    throw new CryptoError("forked", "vault and document have different encryption keys of one version");
}
