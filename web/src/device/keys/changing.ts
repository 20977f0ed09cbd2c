/**
 * Changes of the user's keys, each with the vault open for as long as it takes.
 *
 *     vault opened and checked  →  next document, and key, vault and boxes that go with it  →  one request
 *                               ←  another device was faster
 */

import { archive } from "../../crypto/archives";
import { sealBoxes } from "../../crypto/boxes";
import { Secret, same } from "../../crypto/bytes";
import { authOf, freshKdf, writeKdf } from "../../crypto/kdf";
import { EncryptionKey } from "../../crypto/keys";
import * as recovery from "../../crypto/recovery";
import type { Content } from "../../crypto/userkeys";
import * as userkeys from "../../crypto/userkeys";
import * as vaults from "../../crypto/vault";
import { Refusal } from "../../messenger";
import type { DeviceId } from "../../protocol/ids";
import type { Directory } from "./directory";
import type { Keyring, Pending } from "./keyring";
import { type Knowledge, known, type Opened, openVault, proof } from "./opening";
import type { Parts } from "./parts";
import { isOvertaken, type Publisher } from "./publishing";
import type { Watch } from "./watching";

export const TRIES = 5;

/** What is to be published next; `key`: another encryption key. */
export interface Step {
  readonly content: Content;
  readonly key: EncryptionKey | null;
}

/** The encryption key behind the newest one. */
export function nextKey(opened: Opened): Promise<EncryptionKey> {
  return EncryptionKey.fresh(opened.document.encryption.version + 1);
}

type WithPassword = Knowledge & { readonly password: object };

/**
 * Each holds the keys' lock from the look at what there is to the answer; `publish` and `firstKeys` are for who holds it.
 *
 * All may be rejected with `CryptoError` (`wrong_secret`, `rolled_back`, …) and what requests are.
 */
export class Changes {
  constructor(
    private readonly parts: Parts,
    private readonly keyring: Keyring,
    private readonly directory: Directory,
    private readonly publisher: Publisher,
    private readonly watch: Watch,
  ) {}

  /** Sign another device out, and give it no key that is made from now on. */
  async revokeDevice(device: DeviceId, known: Knowledge): Promise<void> {
    await this.publisher.alone(() =>
      this.publish(known, async (opened) => {
        const found = opened.document.device(device);
        if (found !== null && found.until !== null) return null;
        const next = opened.document.next();
        const content = found === null ? next : next.withRevoked(device, await this.watch.until());
        return { content, key: await nextKey(opened) };
      }),
    );
    // One that was never listed has a session all the same; and doing it twice is harmless.
    await this.parts.session.request("DELETE", `devices/${device}`);
  }

  /** Another password, for signing in and for the vault in one request. Either the old one holds, or the new one. */
  async changePassword(old: Knowledge, password: string): Promise<void> {
    const chosen = await known(password, freshKdf(this.parts.strength), this.parts.stretch);
    await this.alone(old, async (opened) => {
      const replaced = await opened.vault.next().withPassword(chosen.kdf, chosen.password.wrap);
      const body = {
        new_auth: authOf(chosen.password),
        kdf: writeKdf(chosen.kdf),
        vault: await replaced.sealed(),
        ...(await proof(old, "old_auth")),
      };
      await this.parts.session.request("POST", "account/password", { body, repeats: true });
    });
  }

  /** Another recovery key; the old one opens nothing any more. */
  async newRecoveryKey(known: WithPassword): Promise<void> {
    const key = Secret.fresh();
    const { device } = await this.parts.session.identity();
    await this.alone(known, async (opened) => {
      const replaced = await opened.vault.next().withRecoveryKey(key);
      const body = { vault: await replaced.sealed(), recovery_auth: await recovery.authOf(key) };
      const pending = {
        method: "PUT",
        path: "e2ee/vault",
        body,
        device,
        ifMatch: opened.vault.version,
        key: null,
        recoveryKey: recovery.toText(key),
        isReset: false,
        isWhole: false,
      } satisfies Pending;
      await this.publisher.publish(pending, await proof(known, "auth"));
    });
  }

  /** Begin again with a new identity: what was sealed before is lost to devices that sign in later. */
  async reset(known: WithPassword): Promise<void> {
    const auth = await proof(known, "auth");
    await this.publisher.alone(async () => {
      const made = await this.firstKeys(known);
      const pending = {
        ...made,
        method: "POST",
        path: "e2ee/reset",
        isReset: true,
        isWhole: false,
      } satisfies Pending;
      await this.publisher.publish(pending, auth);
    });
    await this.watch.unlocked();
  }

  /** A new identity with its first vault and document, listing this device, as it is to be sent. */
  async firstKeys(known: WithPassword): Promise<Omit<Pending, "method" | "path" | "isReset" | "isWhole">> {
    const { user, device } = await this.parts.session.identity();
    await this.keyring.begin(device);
    const key = Secret.fresh();
    const vault = await vaults.create(user, known.kdf, known.password.wrap, key);
    const { identity, newest } = vault.secrets;
    const listed = await this.keyring.listing(this.watch.now());
    const document = await userkeys.first(user, identity.public, newest.announced, listed).sign(identity);
    const body = {
      userkeys: document.envelope,
      vault: await vault.sealed(),
      recovery_auth: await recovery.authOf(key),
    };
    return { body, device, ifMatch: null, key: newest.held, recoveryKey: recovery.toText(key) };
  }

  // The vault, opened for one change.

  /** Publish what `decide` makes of the open vault. False when the user has no vault. */
  async publish(known: Knowledge, decide: (opened: Opened) => Promise<Step | null>): Promise<boolean> {
    try {
      await this.withVault(known, async (opened) => {
        const step = await decide(opened);
        if (step !== null) await this.publisher.publish(await this.pending(opened, step));
      });
      return true;
    } catch (error) {
      if (error instanceof Refusal && error.code === "keys_missing") return false;
      throw error;
    }
  }

  private alone(known: Knowledge, change: (opened: Opened) => Promise<void>): Promise<void> {
    return this.publisher.alone(() => this.withVault(known, change));
  }

  /** Open the vault and do it; again if another device was faster. */
  private async withVault(known: Knowledge, change: (opened: Opened) => Promise<void>): Promise<void> {
    await this.publisher.finish();
    for (let attempt = 1; ; attempt += 1) {
      try {
        const opened = await openVault(this.parts.session, known, (document) => this.directory.checkOwn(document));
        // It tells whether an earlier sign-in of this store has come through with a recovery key.
        await this.publisher.settle(await opened.vault.sealed());
        await this.pin(opened);
        return await change(opened);
      } catch (error) {
        if (!isOvertaken(error) || attempt === TRIES) throw error;
      }
    }
  }

  private async pin({ document }: Opened): Promise<void> {
    const before = await this.directory.known(document.user);
    // The user began again on another device; what is here stays readable here.
    if (before !== null && !same(before.identity, document.identity)) await this.keyring.beforeLeaving();
    await this.directory.pin(document);
  }

  private async pending(opened: Opened, { content: step, key }: Step): Promise<Pending> {
    const { device } = await this.parts.session.identity();
    const { secrets } = opened.vault;
    const content = key === null ? step : step.withEncryptionKey(key.announced);
    const body: Record<string, unknown> = { userkeys: (await content.sign(secrets.identity)).envelope };
    if (key !== null) {
      const { vault, page } = await archive(opened.vault.next(secrets.withKey(key)));
      body.vault = await vault.sealed();
      body.boxes = await sealBoxes(key, content, device);
      if (page !== null) body.archive = page;
    }
    return {
      method: "PUT",
      path: "e2ee/userkeys",
      body,
      device,
      ifMatch: opened.document.seq,
      key: key?.held ?? null,
      recoveryKey: null,
      isReset: false,
      isWhole: true,
    };
  }
}
