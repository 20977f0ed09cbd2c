/**
 * A new encryption key for a user's other devices, so that they need not ask for the password.
 *
 * Each device that has a box key (X25519, in its user's document) gets the private half HPKE-sealed to it: 80 bytes.
 */

import type { DeviceId, UserId } from "../protocol/ids";
import * as aead from "./aead";
import { type Bytes, Secret } from "./bytes";
import { b64, ctx } from "./encoding";
import { CryptoError, isRefused } from "./errors";
import { EncryptionKey, isSameKey, type Pair, type PublicEncryptionKey, recipient } from "./keys";
import type { Content } from "./userkeys";

/** A box for each other live device of the document that has a box key; who lists a bad one gets none. */
export async function sealBoxes(
  key: EncryptionKey,
  content: Content,
  exceptFor: DeviceId,
): Promise<Record<DeviceId, string>> {
  const made: Record<DeviceId, string> = {};
  for (const device of content.live) {
    if (device.box === null || device.id === exceptFor) continue;
    try {
      made[device.id] = b64(await sealBox(key, content.user, device.id, device.box));
    } catch (error) {
      // A device that would stop every rotation of its user by a bad key is asked for the password instead.
      if (!isRefused(error, "bad_key")) throw error;
    }
  }
  return made;
}

/** 80 bytes for one device; `box`: its box key. Throws `bad_key`. */
export async function sealBox(key: EncryptionKey, user: UserId, device: DeviceId, box: Bytes): Promise<Bytes> {
  return aead.wrap(key.secret.reveal(), await recipient(box), ctx("uek", user, key.version, device));
}

/** The key that the user's document announces. Throws `bad_seal`, also for a key that is not the announced one. */
export async function openBox(
  box: Bytes,
  user: UserId,
  device: DeviceId,
  announced: PublicEncryptionKey,
  own: Pair,
): Promise<EncryptionKey> {
  const opened = await aead.unwrap(box, own, ctx("uek", user, announced.version, device));
  const key = await EncryptionKey.of(announced.version, new Secret(opened));
  // Anybody can seal to a box: only the signed document says which key is the user's.
  if (!isSameKey(key.announced, announced))
    throw new CryptoError("bad_seal", "not the key that the document announces");
  return key;
}
