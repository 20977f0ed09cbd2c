/**
 * Keys: this device's own, its user's vault and document, and other users' (docs/client.md, "Keys").
 *
 *     keyring     this device's keys at rest
 *     opening     the vault, opened and checked
 *     publishing  requests that change the user's keys, kept until they are answered
 *     changing    revoking, passwords, the recovery key, beginning again
 *     account     sign-up and sign-in
 *     rotation    how old the user's encryption key is
 *     watching    whether this device has all keys, and what the user's other devices do
 *     directory   other users' documents, pinned
 *     verifying   comparing keys with somebody
 *     passwords   how good a password must be
 */

import { type ReadonlySignal, signal } from "@preact/signals-core";

import { fromText } from "../../crypto/recovery";
import type { Safety } from "../../messenger";
import type { DeviceId, UserId } from "../../protocol/ids";
import { forgetRecoveryKey, recoveryKey } from "../../store/keys";
import { removeNotice } from "../../store/notices";
import type { Keys as Port } from "../ports";
import { Account } from "./account";
import { Changes } from "./changing";
import { Directory } from "./directory";
import { Keyring } from "./keyring";
import { type Knowledge, passwordOf } from "./opening";
import type { Parts } from "./parts";
import { checkPassword, strength } from "./passwords";
import { Publisher } from "./publishing";
import { refusing } from "./refusing";
import { Verifier } from "./verifying";
import { Watch } from "./watching";

/** What `device/device.ts` passes on to the pages. What needs the vault asks for the password and takes a second. */
export class Keys implements Port {
  readonly own: Keyring;
  readonly others: Directory;
  readonly watch: Watch;
  private readonly changes: Changes;
  private readonly account: Account;
  private readonly verifier: Verifier;
  private readonly recovery = signal<string | null>(null);

  constructor(private readonly parts: Parts) {
    this.own = new Keyring(parts.db);
    this.others = new Directory(parts);
    const publisher = new Publisher(parts, this.own, this.others);
    this.watch = new Watch(parts, this.own, this.others, publisher);
    this.changes = new Changes(parts, this.own, this.others, publisher, this.watch);
    this.account = new Account(parts, this.own, publisher, this.changes, this.watch);
    this.verifier = new Verifier(parts.session, this.others);
    parts.bus.listen((news) => {
      if (news.type === "documents") this.others.forget(news.users);
      if (news.type === "unlocked" || news.type === "account") this.own.forget();
      if (news.type === "account") {
        this.others.forget();
        this.verifier.forget();
      }
      // The recovery key is told of by a notice.
      if (news.type === "documents" || news.type === "account" || news.type === "notices") this.reload();
    });
    this.reload();
  }

  private reload(): void {
    this.load().catch(() => undefined); // the store is closing, and this tab with it
  }

  /** What the signals say, out of the store. */
  async load(): Promise<void> {
    this.recovery.value = await recoveryKey(this.parts.db);
    await this.others.refresh();
  }

  get verified(): ReadonlySignal<ReadonlySet<UserId>> {
    return this.others.verified;
  }

  get held(): ReadonlySignal<ReadonlySet<UserId>> {
    return this.others.held;
  }

  get recoveryKey(): ReadonlySignal<string | null> {
    return this.recovery;
  }

  strength(password: string, username: string): Promise<number> {
    return strength(password, username);
  }

  async signUp(username: string, password: string, deviceName: string): Promise<void> {
    await checkPassword(password, username);
    await this.changing(this.account.register(username, password, deviceName));
  }

  signIn(username: string, secret: { password: string } | { recoveryKey: string }, deviceName: string): Promise<void> {
    return this.changing(
      "password" in secret
        ? this.account.signIn(username, secret.password, deviceName)
        : this.account.recover(username, secret.recoveryKey, deviceName),
    );
  }

  async confirmRecoveryKey(): Promise<void> {
    await forgetRecoveryKey(this.parts.db);
    await removeNotice(this.parts.db, "recovery-unconfirmed");
    this.parts.bus.tell({ type: "notices" });
    await this.load();
  }

  /** Get from the vault what this device lacks; what was signed out elsewhere is closed. */
  unlock(password: string): Promise<void> {
    return this.changing(this.secret(password).then((secret) => this.account.unlock(secret)));
  }

  async changePassword(old: { password: string } | { recoveryKey: string }, password: string): Promise<void> {
    const { username } = await this.parts.session.identity();
    await checkPassword(password, username);
    const secret: Promise<Knowledge> =
      "password" in old ? this.secret(old.password) : (async () => ({ recoveryKey: fromText(old.recoveryKey) }))();
    await this.changing(secret.then((known) => this.changes.changePassword(known, password)));
  }

  newRecoveryKey(password: string): Promise<void> {
    return this.changing(this.secret(password).then((secret) => this.changes.newRecoveryKey(secret)));
  }

  reset(password: string): Promise<void> {
    return this.changing(this.secret(password).then((secret) => this.changes.reset(secret)));
  }

  revokeDevice(device: DeviceId, password: string): Promise<void> {
    return this.changing(this.secret(password).then((secret) => this.changes.revokeDevice(device, secret)));
  }

  private async secret(password: string) {
    const { session, stretch } = this.parts;
    return passwordOf(session, stretch, (await session.identity()).username, password);
  }

  private async changing(work: Promise<void>): Promise<void> {
    try {
      await refusing(work);
    } finally {
      await this.load();
    }
  }

  safety(user: UserId): Promise<Safety> {
    return refusing(this.verifier.safety(user));
  }

  verify(user: UserId, on: boolean): Promise<void> {
    return refusing(this.verifier.verify(user, on));
  }

  scanned(text: string, user: UserId): Promise<void> {
    return refusing(this.verifier.scanned(text, user));
  }
}
