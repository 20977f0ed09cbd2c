/**
 * This device's own keys, at rest in its store: for signing, for boxes, and all versions of its user's encryption key. All are
 * CryptoKeys that cannot be exported: whoever has the profile can use them there, and not take them away.
 */

import { generate, type HeldKey } from "../../crypto/keys";
import type { DeviceKey } from "../../crypto/userkeys";
import { Refusal } from "../../messenger";
import type { DeviceId } from "../../protocol/ids";
import type { Db } from "../../store/db";
import * as store from "../../store/keys";

export type { DeviceKeys, Pending } from "../../store/keys";

export class Keyring {
  /** Awaited before encryption keys go that the vault has no more. */
  beforeLeaving: () => Promise<void> = async () => {};
  private device: Promise<store.DeviceKeys | undefined> | null = null;
  private readonly held = new Map<number, HeldKey>();

  constructor(private readonly db: Db) {}

  /** Another tab may have changed them. */
  forget(): void {
    this.device = null;
    this.held.clear();
  }

  // This device.

  /** The keys of this device; undefined: it has none yet. */
  find(): Promise<store.DeviceKeys | undefined> {
    if (this.device !== null) return this.device;
    const device = store.deviceKeys(this.db);
    this.device = device;
    device.catch(() => {
      if (this.device === device) this.device = null;
    });
    return device;
  }

  /** Rejected with `keys_missing` before `begin`. */
  async own(): Promise<store.DeviceKeys> {
    const found = await this.find();
    if (found === undefined) throw new Refusal("keys_missing");
    return found;
  }

  /** This device as its user's document lists it. */
  async listing(since: number): Promise<DeviceKey> {
    const { device, signing, box } = await this.own();
    return { id: device, key: signing.public, since, until: null, box: box.public };
  }

  /** Keys for this device, unless it has them. */
  async begin(device: DeviceId): Promise<void> {
    if ((await this.find())?.device === device) return;
    const [signing, box] = await Promise.all([generate("Ed25519"), generate("X25519")]);
    await store.beginDevice(this.db, { device, signing, box });
    this.forget();
  }

  // The user's encryption keys.

  async key(version: number): Promise<HeldKey | null> {
    const found = this.held.get(version) ?? (await store.encryptionKey(this.db, version));
    if (found !== undefined) this.held.set(version, found);
    return found ?? null;
  }

  async hasSome(): Promise<boolean> {
    return this.held.size > 0 || (await store.versions(this.db)).length > 0;
  }

  /** Whether one of the versions 1 to `newest` is not here. */
  async lacks(newest: number): Promise<boolean> {
    const here = new Set(await store.versions(this.db));
    return Array.from({ length: newest }, (_, at) => at + 1).some((version) => !here.has(version));
  }

  /** Keep these too. False when all of them were here. */
  async add(...keys: HeldKey[]): Promise<boolean> {
    return store.addKeys(this.db, keys);
  }

  /** Keep these and no others: so the vault has them. */
  async only(keys: readonly HeldKey[]): Promise<void> {
    await store.onlyKeys(this.db, keys);
    this.held.clear();
  }

  // What is under way.

  pending(): Promise<store.Pending | null> {
    return store.pending(this.db);
  }

  /** Note the request that is sent next; null: it came to nothing. */
  waitFor(pending: store.Pending | null): Promise<void> {
    return store.waitFor(this.db, pending);
  }

  /** It has been taken: what it brings is this device's from now on. */
  async settle(pending: store.Pending): Promise<void> {
    if (pending.isReset) await this.beforeLeaving();
    await store.settle(this.db, pending);
    this.held.clear();
  }
}
