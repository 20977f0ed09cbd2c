/** People whose devices ask a `Ledger`: each device is the client's own keys and sealing on a store of its own. */

import "fake-indexeddb/auto";

import { hkdf } from "../../src/crypto/aead";
import { concat, Secret } from "../../src/crypto/bytes";
import { FLOOR, type Stretch } from "../../src/crypto/kdf";
import { EncryptionKey, generate, type Pair, pairOf } from "../../src/crypto/keys";
import * as userkeys from "../../src/crypto/userkeys";
import { SealedEpochs } from "../../src/device/epochs";
import { Keys } from "../../src/device/keys";
import type { Clock, Locks, Parts } from "../../src/device/keys/parts";
import type { Bus, Identity, News, Opened, SealedMessage, Session } from "../../src/device/ports";
import { Refusal } from "../../src/messenger";
import { type DeviceId, messageId, type RoomId, type UserId } from "../../src/protocol/ids";
import { problem } from "../../src/protocol/problems";
import { type Db, openStore, wipe } from "../../src/store/db";
import { enter } from "../../src/store/entering";
import type { Ledger, Told } from "./ledger";

export const PASSWORD = "seven geese crossed Messina harbour";

/** A stand-in: Argon2id, which takes long, has its own tests. */
const quick: Stretch = (secret, salt) => hkdf(concat(secret, salt), new Uint8Array(0));

export class News_ implements Bus {
  readonly heard: News[] = [];
  private readonly hearers = new Set<(news: News) => void>();

  tell(news: News): void {
    this.heard.push(news);
    for (const hear of this.hearers) hear(news);
  }

  listen(hear: (news: News) => void): () => void {
    this.hearers.add(hear);
    return () => this.hearers.delete(hear);
  }
}

class Alone implements Locks {
  private last: Promise<unknown> = Promise.resolve();

  run<Result>(_: string, task: () => Promise<Result>): Promise<Result> {
    const next = this.last.then(task);
    this.last = next.catch(() => undefined);
    return next;
  }
}

/** The real one, which a test may set forward. */
export class TestClock implements Clock {
  ahead = 0;
  now = () => Date.now() + this.ahead;
  chance = () => 0.5;
  wait = (ms: number, signal?: AbortSignal) =>
    new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, Math.min(ms, 2 ** 31 - 1));
      signal?.addEventListener("abort", () => {
        clearTimeout(timer);
        resolve();
      });
    });
}

class LedgerSession implements Session {
  constructor(
    private readonly ledger: Ledger,
    private readonly db: Db,
    private readonly bus: Bus,
  ) {}

  async identity(): Promise<Identity> {
    const identity = (await this.db.get("values", "identity")) as Identity | undefined;
    if (identity === undefined) throw new Refusal("signed_out");
    return identity;
  }

  async enter(path: string, form: Told): Promise<Identity> {
    const identity = (await this.ledger.answer(null, "POST", path, form)) as Identity;
    await enter(this.db, identity, null, form.username);
    this.bus.tell({ type: "account" });
    return identity;
  }

  async leave(): Promise<void> {
    await wipe(this.db);
  }

  async request(method: Told, path: string, options: Told = {}): Promise<unknown> {
    const me = options.anonymous ? null : await this.identity();
    return structuredClone(await this.ledger.answer(me, method, path, structuredClone(options.body), options.ifMatch));
  }
}

let stores = 0;

/** One browser. */
export class Device {
  keys!: Keys;
  sealing!: SealedEpochs;
  user!: UserId;
  device!: DeviceId;

  readonly stretch = quick;

  private constructor(
    readonly ledger: Ledger,
    readonly db: Db,
    readonly bus: News_,
    readonly clock: TestClock,
    readonly session: Session,
    private readonly locks: Locks,
  ) {}

  static async fresh(ledger: Ledger): Promise<Device> {
    stores += 1;
    const db = await openStore(undefined, `letterlock-${stores}`);
    const bus = new News_();
    const device = new Device(ledger, db, bus, new TestClock(), new LedgerSession(ledger, db, bus), new Alone());
    device.starts();
    return device;
  }

  /** As after a reload: nothing is in memory. `most`: messages under one epoch. */
  starts(most?: number): void {
    this.sealing?.close();
    const { db, session, bus, locks, clock } = this;
    const parts: Parts = { db, session, bus, locks, clock, stretch: quick, strength: FLOOR };
    this.keys = new Keys(parts);
    this.sealing = new SealedEpochs(parts, this.keys, most);
  }

  /** Another tab of the same browser; with a bus of its own, one that has not heard yet what the first one tells. */
  static async sharing(with_: Device, bus = with_.bus): Promise<Device> {
    const { ledger, db, clock, session, locks } = with_;
    const tab = new Device(ledger, db, bus, clock, session, locks);
    tab.starts();
    return tab.signedIn();
  }

  /** The mailbox tells that the user's own keys are others. */
  async hearsOfKeys(): Promise<void> {
    const { user, document } = this;
    await this.hears({ kind: "keys", seq: 2, user, document: document.seq, change: "encryption", device: null });
  }

  async signedIn(): Promise<this> {
    const { user, device } = await this.session.identity();
    Object.assign(this, { user, device });
    return this;
  }

  /** The user's document as the server has it. */
  get document(): userkeys.UserKeys {
    return this.ledger.accounts.get(this.user)!.documents.at(-1)!;
  }

  async pair(): Promise<Pair> {
    return (await this.keys.own.own()).signing;
  }

  /** Seal a text; the message that others get. */
  async says(room: RoomId, text: string): Promise<SealedMessage> {
    const sentAt = this.clock.now();
    const id = messageId(sentAt, crypto.getRandomValues(new Uint8Array(10)));
    const [sealed] = await this.sealing.seal([{ id, room, sentAt, text }]);
    return { seq: 1, id, room, sender: this.user, device: this.device, sentAt, acceptedAt: sentAt, ...sealed! };
  }

  /** The text, or the problem in brackets; `changes` are what the server says otherwise. */
  async reads(message: SealedMessage, changes: Told = {}, mayAsk = true): Promise<string> {
    const [opened] = await this.sealing.open([{ ...message, ...changes }], mayAsk);
    return shown(opened!);
  }

  async hears(...entries: Told[]): Promise<void> {
    await this.sealing.heard(entries);
  }

  /** The entry of an epoch arrives; what it changed. */
  async hearsOf(room: RoomId, epoch: number) {
    await this.hears(await this.ledger.entry(room, epoch));
    return this.sealing.change(room, epoch);
  }

  /** The server does not take what was sealed under the room's newest epoch; or under this one, and says more. */
  stale(room: RoomId, epoch = Number.POSITIVE_INFINITY, more: Told = {}): void {
    this.sealing.stale(room, epoch, problem("epoch_stale", 409, "", more));
  }
}

export function shown(opened: Opened): string {
  return opened.problem === null ? opened.text : `[${opened.problem}]`;
}

/** Somebody who has just signed up. */
export async function person(ledger: Ledger, name: string): Promise<Device> {
  const device = await Device.fresh(ledger);
  await device.keys.signUp(name, PASSWORD, "phone");
  await device.keys.confirmRecoveryKey();
  return device.signedIn();
}

export async function another(of: Device, name: string, password = PASSWORD): Promise<Device> {
  const device = await Device.fresh(of.ledger);
  await device.keys.signIn(name, { password }, "laptop");
  return device.signedIn();
}

/** Somebody without a device: their keys are at hand, to make of them what no device would. */
export class Puppet {
  private constructor(
    readonly ledger: Ledger,
    readonly user: UserId,
    readonly device: DeviceId,
    readonly identity: Pair,
    readonly signer: Pair,
    readonly encryption: EncryptionKey,
  ) {}

  static async made(ledger: Ledger): Promise<Puppet> {
    const identity = await pairOf("Ed25519", Secret.fresh());
    const signer = await generate("Ed25519");
    const user = crypto.randomUUID() as UserId;
    const device = crypto.randomUUID() as DeviceId;
    const puppet = new Puppet(ledger, user, device, identity, signer, await EncryptionKey.fresh(1));
    const account = {
      user,
      username: user,
      auth: "",
      kdf: null,
      recoveryAuth: null,
      vault: null,
      archive: [],
      documents: [],
      ambiguous: 0,
    };
    ledger.accounts.set(user, { ...account, devices: new Map(), boxes: new Map() });
    const listed = { id: device, key: signer.public, since: 1, until: null, box: null };
    await puppet.publishes(userkeys.first(user, identity.public, puppet.encryption.announced, listed));
    return puppet;
  }

  get documents(): userkeys.UserKeys[] {
    return this.ledger.accounts.get(this.user)!.documents;
  }

  get document(): userkeys.UserKeys {
    return this.documents.at(-1)!;
  }

  /** The next key document. */
  async publishes(content: userkeys.Content, by = this.identity): Promise<userkeys.UserKeys> {
    const document = await content.sign(by);
    this.documents.push(document);
    return document;
  }

  async rotates(): Promise<void> {
    const next = this.document.next();
    const key = await EncryptionKey.fresh(this.document.encryption.version + 1);
    await this.publishes(next.withEncryptionKey(key.announced));
  }

  /** Begins again: another identity, from document 1. */
  async resets(): Promise<Pair> {
    const identity = await pairOf("Ed25519", Secret.fresh());
    const listed = { id: this.device, key: this.signer.public, since: 2, until: null, box: null };
    this.ledger.accounts.get(this.user)!.ambiguous = this.document.seq;
    this.documents.length = 0;
    await this.publishes(userkeys.first(this.user, identity.public, this.encryption.announced, listed), identity);
    return identity;
  }
}
