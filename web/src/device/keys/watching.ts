/** Whether this device has all of its user's keys, and what other devices of the user do about them. */

import { openBox } from "../../crypto/boxes";
import { unb64 } from "../../crypto/encoding";
import { isRefused } from "../../crypto/errors";
import { isObject } from "../../crypto/json";
import { isLive, type UserKeys } from "../../crypto/userkeys";
import { newestAccepted } from "../../store/keys";
import { addNotice, removeNotice } from "../../store/notices";
import type { Directory } from "./directory";
import type { Keyring } from "./keyring";
import { ownDocument } from "./opening";
import { nowS, type Parts } from "./parts";
import type { Publisher } from "./publishing";
import { tolerantly } from "./refusing";

const LOCKED = "keys-locked";

export class Watch {
  private isInDoubt = false;

  constructor(
    private readonly parts: Parts,
    private readonly keyring: Keyring,
    private readonly directory: Directory,
    private readonly publisher: Publisher,
  ) {
    directory.onOwn = (document) => this.ownChanged(document);
  }

  now(): number {
    return nowS(this.parts.clock);
  }

  /**
   * From when on a device that is revoked now has signed nothing (seconds).
   *
   * What it sent before is verified by that against the server's clock, so no earlier than the next second, nor than what has
   * arrived here, if this device's clock is slow.
   */
  async until(): Promise<number> {
    const newest = Math.ceil((await newestAccepted(this.parts.db)) / 1000);
    return Math.max(this.now(), newest) + 1;
  }

  /** The user's own document, as this device knows it. */
  async document(): Promise<UserKeys | null> {
    return this.directory.known((await this.parts.session.identity()).user);
  }

  /** Whether this device lacks a key of its user, or its place on the list, and needs the vault. */
  async isLocked(): Promise<boolean> {
    const [me, document, own] = await Promise.all([
      this.parts.session.identity(),
      this.document(),
      this.keyring.find(),
    ]);
    if (document === null || own?.device !== me.device || this.isInDoubt) return true;
    const listed = document.device(me.device);
    return listed === null || !isLive(listed) || (await this.keyring.lacks(document.encryption.version));
  }

  /** The vault was opened, or a key has come: more can be opened. */
  async unlocked(): Promise<void> {
    const { db, bus } = this.parts;
    this.isInDoubt = false;
    this.keyring.forget();
    await removeNotice(db, LOCKED);
    bus.tell({ type: "notices" });
    bus.tell({ type: "unlocked" });
  }

  private async tellIfLocked(): Promise<void> {
    const { db, bus } = this.parts;
    if (!(await this.isLocked())) return;
    await addNotice(db, { kind: "keys-locked", id: LOCKED });
    bus.tell({ type: "notices" });
  }

  /** Finish what was under way, and see whether the user's keys are others by now. For when the device comes online. */
  async look(): Promise<void> {
    await this.publisher.alone(() => this.publisher.finish());
    if ((await this.keyring.find()) !== undefined) await this.lookAtOwn();
    await this.tellIfLocked();
  }

  private async lookAtOwn(): Promise<void> {
    const document = await tolerantly(ownDocument(this.parts.session));
    if (document === null) return;
    try {
      await this.directory.take(document);
    } catch (error) {
      if (isRefused(error, "identity_changed")) await this.ownChanged(null);
      else if (!isRefused(error)) throw error;
    }
  }

  /**
   * A newer document of the user's own: its encryption key may lie in this device's box.
   *
   * Null: one of another identity. The vault knows whether that is the user's own doing, and nobody else does.
   */
  async ownChanged(document: UserKeys | null): Promise<void> {
    if ((await this.keyring.find()) === undefined) return;
    if (document === null) this.isInDoubt = true;
    else if ((await this.keyring.key(document.encryption.version)) === null) await this.takeBox(document);
    await this.tellIfLocked();
  }

  private async takeBox(document: UserKeys): Promise<void> {
    const me = await this.parts.session.identity();
    const { box } = await this.keyring.own();
    const told = await tolerantly(this.parts.session.request("GET", "e2ee/box"));
    if (!isObject(told) || told.ver !== document.encryption.version) return;
    // Whoever sealed it may not have had the user's key: the vault has.
    const ct = await tolerantly((async () => unb64(told.ct, 80))());
    if (ct === null) return;
    const key = await tolerantly(openBox(ct, me.user, me.device, document.encryption, box));
    if (key === null) return;
    await this.keyring.add(key.held);
    await this.unlocked();
  }
}
