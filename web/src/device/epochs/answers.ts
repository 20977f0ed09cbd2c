/** What the server answers about epochs (docs/protocol.md §6.4), as values. Nothing in a record is verified here. */

import { WRAP } from "../../crypto/aead";
import { Signed, unb64 } from "../../crypto/encoding";
import { KIND } from "../../crypto/epochs";
import { CryptoError } from "../../crypto/errors";
import { integer } from "../../crypto/forms";
import type { UserId } from "../../protocol/ids";
import { asId, fields, flag, id, list, Malformed, text, whole, wholeOrNull } from "../../protocol/shape";
import type { EpochRecord } from "../../store/schema";

/** How the server says that a room stands. `epoch`: 0 for none yet. */
export interface RoomState {
  readonly epoch: number;
  readonly stale: boolean;
  readonly membersVersion: number;
  readonly history: string;
  readonly wanting: readonly UserId[];
}

/** `GET /rooms/{id}/e2ee`. */
export function decodeState(value: unknown): RoomState {
  const given = fields(value, "a room's state");
  return {
    epoch: wholeOrNull(given, "epoch") ?? 0,
    stale: flag(given, "stale"),
    membersVersion: whole(given, "members_version"),
    history: text(given, "history"),
    wanting: list(given, "wanting", asId<UserId>),
  };
}

/**
 * `GET /rooms/{id}/epochs` and `GET /e2ee/epoch-keys`. What cannot be read is left out: others are not kept from view. `next`:
 * where the next page begins; null at the end.
 */
export async function decodeEpochs(value: unknown): Promise<{ rows: readonly EpochRecord[]; next: unknown }> {
  const given = fields(value, "a page of epochs");
  const rows = await Promise.all(list(given, "epochs", (epoch) => epoch).map(decodeEpoch));
  return { rows: rows.filter((row) => row !== null), next: given.next ?? null };
}

async function decodeEpoch(value: unknown): Promise<EpochRecord | null> {
  try {
    const given = fields(value, "an epoch");
    const signed = await Signed.read(given.record, KIND);
    return {
      room: id(given, "room"),
      epoch: integer(given.epoch, 1),
      creator: id(given, "creator"),
      device: id(given, "device"),
      payload: signed.payload,
      signature: signed.signature,
      wrap: given.wrap == null ? null : decodeWrap(given.wrap),
      key: null,
      outdated: false,
      seq: null,
      change: null,
    };
  } catch (error) {
    if (error instanceof CryptoError || error instanceof Malformed) return null;
    throw error;
  }
}

function decodeWrap(value: unknown) {
  const given = fields(value, "a wrap");
  return { version: integer(given.ver, 1), ct: unb64(given.ct, WRAP) };
}
