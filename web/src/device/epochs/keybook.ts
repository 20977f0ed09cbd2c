/**
 * The keys of epochs, out of the store: each is verified when it is first used, and never believed before (docs/protocol.md §6.5).
 *
 *     record: signed by the creator's device, for this room and number, behind the record that is known before it
 *     →  wrap: opens with the user's encryption key  →  key: the one that the record commits to  →  kept, not extractable
 */

import { type Secret, same } from "../../crypto/bytes";
import { digest, Signed } from "../../crypto/encoding";
import * as epochs from "../../crypto/epochs";
import { CryptoError, isRefused } from "../../crypto/errors";
import { type HeldKey, verifier } from "../../crypto/keys";
import { EpochKey } from "../../crypto/messages";
import { type DeviceKey, isLive } from "../../crypto/userkeys";
import type { DeviceId, RoomId, UserId } from "../../protocol/ids";
import type { Db } from "../../store/db";
import * as store from "../../store/epochs";
import type { EpochRecord } from "../../store/schema";
import type { Directory } from "../keys/directory";
import type { Keyring } from "../keys/keyring";
import type { Opened, Session } from "../ports";

const IN_MEMORY = 2_000; // keys

export type Problem = NonNullable<Opened["problem"]>;

/** What cannot be opened now, or never; the reason is for logs. */
export class CannotOpen extends Error {
  constructor(
    readonly problem: Problem,
    reason: string,
  ) {
    super(reason);
  }
}

const NO_RECORD = "there is no record of this epoch";

/** Opens from the store alone: what is not there, `Fetcher` gets before it is needed. */
export class KeyBook {
  private readonly keys = new Map<string, Promise<EpochKey>>();

  constructor(
    private readonly db: Db,
    private readonly session: Session,
    private readonly own: Keyring,
    private readonly others: Directory,
  ) {}

  /** Another account has begun. */
  forget(): void {
    this.keys.clear();
  }

  /** The device of a user, as the user has signed it. Rejected with `CannotOpen`. */
  async device(user: UserId, device: DeviceId): Promise<DeviceKey> {
    const found = await this.others.device(user, device);
    if (found === null) throw new CannotOpen("not_verified", "its device is not one that the user has signed");
    return found;
  }

  /** The record of an epoch. Rejected with `CannotOpen`. */
  async record(room: RoomId, epoch: number): Promise<epochs.EpochRecord> {
    const row = await store.findEpoch(this.db, room, epoch);
    if (row === undefined) throw new CannotOpen("no_key", NO_RECORD);
    return this.verified(row);
  }

  private async verified(row: EpochRecord): Promise<epochs.EpochRecord> {
    const creator = await this.device(row.creator, row.device);
    let record: epochs.EpochRecord;
    try {
      const signed = await Signed.of(epochs.KIND, row.payload, row.signature);
      record = await epochs.readSigned(signed, row, await verifier(creator.key));
    } catch (error) {
      if (!isRefused(error)) throw error;
      throw new CannotOpen("not_verified", error.message);
    }
    if (!isLive(creator, record.ts * 1000))
      throw new CannotOpen("not_verified", "the epoch was made by a device that was revoked before");
    const before = await store.findEpoch(this.db, row.room, row.epoch - 1);
    if (before !== undefined && !same(record.prev, await digest(before.payload)))
      throw new CannotOpen("not_verified", "the epoch follows another one than the one before it");
    return record;
  }

  /** The key of an epoch. Rejected with `CannotOpen`. */
  key(room: RoomId, epoch: number): Promise<EpochKey> {
    const name = `${room} ${epoch}`;
    let found = this.keys.get(name);
    if (found === undefined) {
      if (this.keys.size >= IN_MEMORY) this.keys.clear();
      found = this.stored(room, epoch);
      this.keys.set(name, found);
      found.catch(() => this.keys.delete(name));
    }
    return found;
  }

  private async stored(room: RoomId, epoch: number): Promise<EpochKey> {
    const row = await store.findEpoch(this.db, room, epoch);
    if (row === undefined) throw new CannotOpen("no_key", NO_RECORD);
    if (row.key !== null) return new EpochKey(room, epoch, row.key);
    const key = await this.opened(row, (record, wrap, user, held) => epochs.openWrap(record, wrap, user, held));
    await store.keepKey(this.db, room, epoch, key.base);
    return key;
  }

  /** The bytes of a key, to be wrapped for somebody else: unwrapped anew, since what rests here cannot be read. */
  async secret(row: EpochRecord): Promise<Secret> {
    return this.opened(row, (record, wrap, user, held) => epochs.secretOf(record, wrap, user, held));
  }

  private async opened<Key>(
    row: EpochRecord,
    open: (record: epochs.EpochRecord, wrap: Uint8Array<ArrayBuffer>, user: UserId, held: HeldKey) => Promise<Key>,
  ): Promise<Key> {
    if (row.wrap === null) throw new CannotOpen("no_key", "the epoch's key was not wrapped for this user");
    const record = await this.verified(row);
    const held = await this.own.key(row.wrap.version);
    if (held === null) throw new CannotOpen("locked", "this device lacks the encryption key");
    try {
      return await open(record, row.wrap.ct, (await this.session.identity()).user, held);
    } catch (error) {
      if (!(error instanceof CryptoError)) throw error;
      throw new CannotOpen("no_key", `what was wrapped for this user is no key: ${error.message}`);
    }
  }

  /** Open what was not needed yet, because the encryption keys that can are about to go: 0.5 ms each. */
  async openAll(): Promise<void> {
    for (const [room, epoch] of await store.closedEpochs(this.db)) {
      await this.key(room, epoch).catch((error: unknown) => {
        if (!(error instanceof CannotOpen)) throw error;
      });
    }
  }

  /** Keep an epoch that this device has made. */
  async made({ record, roster, wraps, key }: epochs.NewEpoch): Promise<void> {
    const { user } = await this.session.identity();
    const line = roster.find((one) => one.user === user);
    const ct = wraps.get(user);
    if (line === undefined || ct === undefined) throw new Error("an epoch is made for its maker, too");
    const { room, epoch, creator, device, signed } = record;
    await store.putEpochs(this.db, [
      {
        room,
        epoch,
        creator,
        device,
        payload: signed.payload,
        signature: signed.signature,
        wrap: { version: line.version, ct },
        key: key.base,
        outdated: false,
        seq: null,
        change: null,
      },
    ]);
  }
}
