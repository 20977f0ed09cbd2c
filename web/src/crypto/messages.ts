/**
 * Sealing and opening one message (docs/protocol.md §6.6).
 *
 *     ciphertext = nonce (12) | AES-256-GCM(message key, signature (64) | payload | spaces, aad)
 *     aad        = ctx("msg", room, epoch, user, device)
 *     message key = HKDF(epoch key, aad)
 *
 * The key and the aad name the sender's device, so a message that is moved or attributed to another does not open. The
 * signature is inside: the server holds no proof of who wrote, and a member with the epoch's key cannot write as another.
 */

import type { DeviceId, MessageId, RoomId, UserId } from "../protocol/ids";
import { derivation, NONCE, OVERHEAD, openWith, sealWith } from "./aead";
import { type Bytes, concat, random, utf8 } from "./bytes";
import { ctx, dump, isText, PROTOCOL, pae, parse, signature, verify } from "./encoding";
import { CryptoError, isRefused } from "./errors";
import { identifier, time, version1 } from "./forms";

export const KIND = `${PROTOCOL}.msg`;
const SIGNATURE = 64;
const STEP = 64; // bytes; all that the server learns of a body's length is which step it is on
export const LONGEST = Math.floor((32 * 1024 - OVERHEAD) / STEP) * STEP + OVERHEAD; // bytes of ciphertext: 32 732
export const SHORTEST = 2 * STEP + OVERHEAD; // 156: a signature and a payload
export const MAX_PAYLOAD = LONGEST - OVERHEAD - SIGNATURE; // 32 640 bytes of JSON
const MAX_LANES = 10_000; // senders whose message keys are kept, per epoch
const SPACE = 0x20;

const TYPE = /^[a-z0-9_.-]{1,64}$/;

/** What a message says. `ts`: ms since 1970, the message's `sent_at`. */
export interface Payload {
  readonly id: MessageId;
  readonly type: string;
  readonly body: string;
  readonly ts: number;
}

/** What one device's messages of one epoch have in common. */
interface Lane {
  readonly aad: Bytes;
  readonly cipher: CryptoKey;
}

/** The key of one room's epoch, which no script can read. Keeps what it derived: per message there is no HKDF. */
export class EpochKey {
  readonly #lanes = new Map<string, Promise<Lane>>();

  constructor(
    readonly room: RoomId,
    readonly epoch: number,
    /** For HKDF; can rest in IndexedDB. */
    readonly base: CryptoKey,
  ) {}

  static async of(room: RoomId, epoch: number, secret: Bytes): Promise<EpochKey> {
    if (secret.length !== 32) throw new CryptoError("bad_encoding", "an epoch's key has 32 bytes");
    return new EpochKey(room, epoch, await crypto.subtle.importKey("raw", secret, "HKDF", false, ["deriveKey"]));
  }

  /** The message key and the context of one device. */
  lane(user: UserId, device: DeviceId): Promise<Lane> {
    const name = `${user} ${device}`;
    let lane = this.#lanes.get(name);
    if (lane === undefined) {
      if (this.#lanes.size >= MAX_LANES) this.#lanes.clear();
      lane = this.#derive(user, device);
      this.#lanes.set(name, lane);
    }
    return lane;
  }

  async #derive(user: UserId, device: DeviceId): Promise<Lane> {
    const aad = ctx("msg", this.room, this.epoch, user, device);
    const of = { name: "AES-GCM", length: 256 };
    return {
      aad,
      cipher: await crypto.subtle.deriveKey(derivation(aad), this.base, of, false, ["encrypt", "decrypt"]),
    };
  }
}

/** A ciphertext of 156 to 32 732 bytes, in steps of 64. Throws `too_long`, and `bad_encoding` for what is not Unicode. */
export async function seal(
  key: EpochKey,
  user: UserId,
  device: DeviceId,
  signer: CryptoKey,
  payload: Payload,
): Promise<Bytes> {
  const written = encode(payload);
  return sealLane(await key.lane(user, device), signer, written, random(NONCE));
}

/** The payload as it is signed. Throws `too_long` and `bad_encoding`: before queueing, this says whether it can be sent. */
export function encode(payload: Payload): Bytes {
  if (!TYPE.test(payload.type)) throw new CryptoError("bad_encoding", "a type has other characters than a-z 0-9 _ . -");
  const { type, body } = payload;
  const written = dump({ v: 1, id: identifier(payload.id), type, body, ts: time(payload.ts) });
  if (written.length > MAX_PAYLOAD)
    throw new CryptoError("too_long", `${written.length} bytes; ${MAX_PAYLOAD} are possible`);
  return written;
}

/** For `seal`, and for a test that knows the nonce. */
export async function sealLane(lane: Lane, signer: CryptoKey, payload: Bytes, nonce: Bytes): Promise<Bytes> {
  const signed = await signature(signer, toSign(lane.aad, payload));
  const length = SIGNATURE + payload.length;
  const padding = new Uint8Array((STEP - (length % STEP)) % STEP).fill(SPACE);
  return sealWith(lane.cipher, nonce, concat(signed, payload, padding), lane.aad);
}

/**
 * What this user's device said under this id at this time (ms). Throws `bad_message`, and tells no more to anybody.
 *
 * `verifier` is the signing key of the device, from its user's document. Fields that are not known are skipped: what a
 * newer client adds to a message must not make the message unreadable.
 */
export async function open(
  key: EpochKey,
  user: UserId,
  device: DeviceId,
  verifier: CryptoKey,
  ciphertext: Bytes,
  told: { id: MessageId; sentAt: number },
): Promise<Payload> {
  const { length } = ciphertext;
  if (length < SHORTEST || length > LONGEST || (length - OVERHEAD) % STEP !== 0)
    throw new CryptoError("bad_message", "no message has this length");
  const lane = await key.lane(user, device);
  let said: Payload;
  try {
    const opened = await openWith(lane.cipher, ciphertext, lane.aad);
    const payload = withoutSpaces(opened.subarray(SIGNATURE));
    await verify(verifier, opened.subarray(0, SIGNATURE), toSign(lane.aad, payload));
    said = read(payload);
  } catch (error) {
    if (!isRefused(error, "bad_seal", "bad_signature", "bad_encoding")) throw error;
    throw new CryptoError("bad_message", `could not be verified: ${error.message}`);
  }
  if (said.id !== told.id || said.ts !== told.sentAt)
    throw new CryptoError("bad_message", "signed under another id, or for another time");
  return said;
}

const BETWEEN = utf8("\n\n");

function toSign(aad: Bytes, payload: Bytes): Bytes {
  return pae(KIND, concat(aad, BETWEEN, payload));
}

function withoutSpaces(bytes: Bytes): Bytes {
  let end = bytes.length;
  while (end > 0 && bytes[end - 1] === SPACE) end -= 1;
  return bytes.subarray(0, end);
}

function read(payload: Bytes): Payload {
  const said = parse(payload);
  version1(said);
  const { type, body } = said;
  if (typeof type !== "string" || !TYPE.test(type) || typeof body !== "string")
    throw new CryptoError("bad_encoding", "not a message's payload");
  isText(body);
  return { id: identifier<MessageId>(said.id), type, body, ts: time(said.ts) };
}
