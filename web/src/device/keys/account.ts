/**
 * The account's keys, made at sign-up and brought to every device that signs in (docs/protocol.md §6.1 to §6.3).
 *
 *     sign up   secrets made and kept here  →  setup  →  the recovery key, until the user has it
 *     sign in   vault opened and checked  →  this device listed, what is due done  →  identity forgotten
 *
 * Whatever is cut off here is finished by doing it again: `register` with the same name and password, or, once the device
 * is signed in, `unlock`.
 */

import { CryptoError } from "../../crypto/errors";
import { authOf, freshKdf, readKdf, writeKdf } from "../../crypto/kdf";
import * as recovery from "../../crypto/recovery";
import { MAX_DEVICES, type UserKeys } from "../../crypto/userkeys";
import { Refusal } from "../../messenger";
import { decodeDevices } from "../../protocol/answers";
import type { DeviceId } from "../../protocol/ids";
import { keepRegistering, registering } from "../../store/keys";
import { type Changes, nextKey, type Step, TRIES } from "./changing";
import type { Keyring } from "./keyring";
import { type Knowledge, known, type Opened, passwordOf } from "./opening";
import type { Parts } from "./parts";
import type { Publisher } from "./publishing";
import { isOld } from "./rotation";
import type { Watch } from "./watching";

export class Account {
  constructor(
    private readonly parts: Parts,
    private readonly keyring: Keyring,
    private readonly publisher: Publisher,
    private readonly changes: Changes,
    private readonly watch: Watch,
  ) {}

  /** Make an account with this as its first device, and its keys. */
  async register(username: string, password: string, deviceName: string): Promise<void> {
    const before = await this.registeredBefore(username, password);
    const secret = before ?? (await known(password, freshKdf(this.parts.strength), this.parts.stretch));
    const kdf = writeKdf(secret.kdf);
    const form = { username, device_name: deviceName, password: authOf(secret.password) };
    await this.entering(async () => {
      if (before !== null && (await this.isEntered(form))) return this.join(secret);
      await keepRegistering(this.parts.db, { username, kdf });
      await this.parts.session.enter("accounts/register", { ...form, kdf });
      return this.join(secret, true);
    });
  }

  /** The secret of an account that this browser may have made without hearing of it; null when it did not. */
  private async registeredBefore(username: string, password: string) {
    const begun = await registering(this.parts.db);
    if (begun === null || begun.username !== username) return null;
    return known(password, readKdf(begun.kdf), this.parts.stretch);
  }

  private async isEntered(form: Readonly<Record<string, unknown>>): Promise<boolean> {
    try {
      await this.parts.session.enter("accounts/sign-in", form);
      return true;
    } catch (error) {
      if (error instanceof Refusal && error.code === "bad_credentials") return false;
      throw error;
    }
  }

  /** Make this a device of an account, which can read all that was ever sealed for its user. */
  async signIn(username: string, password: string, deviceName: string): Promise<void> {
    const { session, stretch } = this.parts;
    const secret = await passwordOf(session, stretch, username, password);
    const form = { username, device_name: deviceName, password: authOf(secret.password) };
    await this.entering(async () => {
      await session.enter("accounts/sign-in", form);
      await this.join(secret);
    });
  }

  /** The same with the recovery key. */
  async recover(username: string, text: string, deviceName: string): Promise<void> {
    const recoveryKey = recovery.fromText(text);
    const form = { username, device_name: deviceName, recovery: await recovery.authOf(recoveryKey) };
    await this.entering(async () => {
      await this.parts.session.enter("accounts/sign-in", form);
      await this.join({ recoveryKey });
    });
  }

  /** Get from the vault what this device lacks; what was signed out elsewhere is closed. */
  unlock(secret: Knowledge): Promise<void> {
    return this.entering(() => this.join(secret));
  }

  /** The keys' lock is held from before the account is there: whatever needs its keys waits for them (`SealedEpochs.restore`). */
  private async entering(work: () => Promise<void>): Promise<void> {
    await this.publisher.alone(work);
    await this.watch.unlocked();
  }

  /**
   * Have all the user's keys on this device, and the device on the list; with what is due while the vault is open.
   *
   * `isNew`: the account has just been made, and has no keys yet.
   */
  private async join(secret: Knowledge, isNew = false): Promise<void> {
    this.keyring.forget();
    for (let attempt = 1; ; attempt += 1) {
      try {
        const isThere =
          !(isNew && attempt === 1) && (await this.changes.publish(secret, (opened) => this.joined(opened)));
        if (!isThere) await this.setUp(secret);
        return;
      } catch (error) {
        // Two devices that found no keys have both made some.
        const isSetUp = error instanceof Refusal && error.code === "already_set_up";
        if (!isSetUp || attempt === TRIES) throw error;
      }
    }
  }

  /** List this device, close what was signed out elsewhere, and replace an old encryption key. */
  private async joined(opened: Opened): Promise<Step | null> {
    const { document } = opened;
    const me = await this.parts.session.identity();
    const now = this.watch.now();
    await this.keyring.begin(me.device);
    await this.keyring.only(opened.keys.map((key) => key.held));
    let content = document.next();
    const gone = await this.signedOut(document, me.device);
    for (const device of gone) content = content.withRevoked(device, await this.watch.until());
    const isListed = document.device(me.device) !== null;
    if (!isListed) {
      if (content.devices.length >= MAX_DEVICES) throw new Refusal("too_many_devices");
      content = content.withDevice(await this.keyring.listing(now));
    }
    // Only beside a listing: without a new date in the document, nobody could tell that the key is new.
    const isDue = !isListed && (await isOld(this.parts.session, document, now));
    if (isListed && gone.length === 0) return null;
    return { content, key: gone.length > 0 || isDue ? await nextKey(opened) : null };
  }

  /** Devices that are listed as live and have no session any more. This one has. */
  private async signedOut(document: UserKeys, me: DeviceId): Promise<readonly DeviceId[]> {
    const answer = decodeDevices(await this.parts.session.request("GET", "devices"));
    const live = new Set([me, ...answer.map((device) => device.id)]);
    return document.live.map((device) => device.id).filter((id) => !live.has(id));
  }

  /** The account has no keys: it is new, or its maker was cut off. Rejected with `rolled_back` if this device knows better. */
  private async setUp(secret: Knowledge): Promise<void> {
    if (secret.password === undefined) throw new Refusal("keys_missing");
    if ((await this.watch.document()) !== null)
      throw new CryptoError("rolled_back", "the server says that this user never had keys");
    const made = await this.changes.firstKeys(secret);
    await this.publisher.publish({ ...made, method: "PUT", path: "e2ee/setup", isReset: false, isWhole: true });
  }
}
