/** Sealing and opening for the device (`Sealing` of device/ports.ts): texts, under their room's epoch, signed by this device. */

import { b64, unb64 } from "../../crypto/encoding";
import { isRefused } from "../../crypto/errors";
import { verifier } from "../../crypto/keys";
import * as messages from "../../crypto/messages";
import { isLive } from "../../crypto/userkeys";
import { Refusal, type Restoring } from "../../messenger";
import type { RoomId, UserId } from "../../protocol/ids";
import type { Problem } from "../../protocol/problems";
import * as store from "../../store/epochs";
import { placeOf } from "../../store/rooms";
import type { EpochRecord } from "../../store/schema";
import type { Keys } from "../keys";
import { nowS, type Parts } from "../keys/parts";
import type { Draft, KeyEntry, Opened, ReadersChange, Sealed, SealedMessage, Sealing } from "../ports";
import { Fetcher, fromRecord } from "./fetching";
import { Hearing } from "./hearing";
import { CannotOpen, KeyBook } from "./keybook";
import { Maker, refused } from "./making";
import { isDue, MOST_MESSAGES, outdates, whyNot } from "./rules";
import { Looks, Shares } from "./sharing";
import { Upkeep } from "./upkeep";

const ALG = "chat.e2ee.v1";
const TEXT = "text";

/** An epoch that was found good. `madeAt` in seconds; `messages` that are known under it. */
interface Usable {
  readonly epoch: number;
  readonly madeAt: number;
  messages: number;
}

export class SealedEpochs implements Sealing {
  readonly fetcher: Fetcher;
  readonly shares: Shares;
  readonly looks: Looks;
  private readonly book: KeyBook;
  private readonly maker: Maker;
  private readonly hearing: Hearing;
  private readonly upkeeping: Upkeep;
  private readonly usables = new Map<RoomId, Usable>();
  private readonly staling = new Map<RoomId, Promise<void>>();
  private readonly preparing = new Map<RoomId, Promise<void>>();

  /** `most`: messages under one epoch. */
  constructor(
    private readonly parts: Parts,
    private readonly keys: Keys,
    private readonly most = MOST_MESSAGES,
  ) {
    const { db, session, bus } = parts;
    this.book = new KeyBook(db, session, keys.own, keys.others);
    this.fetcher = new Fetcher(parts, this.book, keys.others);
    this.maker = new Maker(parts, keys.own, keys.others, this.book, this.fetcher, async (room) => {
      return (await this.usable(room))?.epoch ?? null;
    });
    this.shares = new Shares(parts, keys.others, this.book, this.fetcher, this.maker);
    this.looks = new Looks(parts, this.fetcher, this.maker, () => bus.tell({ type: "unlocked" }));
    this.upkeeping = new Upkeep(parts.clock, keys.watch, this.shares, this.looks);
    this.fetcher.onLacking = () => this.upkeeping.wake();
    this.hearing = new Hearing(parts, keys.others, this.fetcher, this.shares);
    keys.own.beforeLeaving = () => this.book.openAll();
    bus.listen((news) => {
      if (news.type === "account") this.book.forget();
      // What was good before may not be so now.
      if (news.type === "account" || news.type === "documents" || news.type === "unlocked") this.usables.clear();
    });
  }

  // Sealing.

  async seal(drafts: readonly Draft[]): Promise<readonly Sealed[]> {
    const made = new Map<Draft, Sealed>();
    for (const room of new Set(drafts.map((draft) => draft.room))) {
      const some = drafts.filter((draft) => draft.room === room);
      for (const [at, sealed] of (await this.sealIn(room, some)).entries()) made.set(some[at] as Draft, sealed);
    }
    return drafts.map((draft) => made.get(draft) as Sealed);
  }

  private async sealIn(room: RoomId, drafts: readonly Draft[]): Promise<readonly Sealed[]> {
    for (const draft of drafts) check(draft);
    await this.staling.get(room);
    await this.checkHeld(room);
    const { user, device } = await this.parts.session.identity();
    const sealed: Sealed[] = [];
    while (sealed.length < drafts.length) {
      const usable = (await this.usable(room)) ?? (await this.prepared(room));
      const some = drafts.slice(sealed.length, sealed.length + this.most - usable.messages);
      usable.messages += some.length;
      const { epoch } = usable;
      const [key, { signing }] = await Promise.all([this.book.key(room, epoch), this.keys.own.own()]);
      const made = some.map(async ({ id, text, sentAt }) => {
        const payload = { id, type: TEXT, body: text, ts: sentAt };
        const ciphertext = b64(await messages.seal(key, user, device, signing.privateKey, payload));
        return { alg: ALG, epoch, ciphertext } as const;
      });
      sealed.push(...(await Promise.all(made)));
    }
    return sealed;
  }

  /** Somebody in the room has been verified, and has another identity key now. */
  private async checkHeld(room: RoomId): Promise<void> {
    const held = await this.keys.others.heldNow();
    if (held.size === 0) return;
    const [known, readers] = await Promise.all([this.parts.db.get("rooms", room), this.readers(room)]);
    const users = [...(known?.members.map((member) => member.user) ?? []), ...(readers ?? [])];
    if (users.some((user) => held.has(user))) throw new Refusal("identity_changed");
  }

  private async prepared(room: RoomId): Promise<Usable> {
    let preparing = this.preparing.get(room);
    if (preparing === undefined) {
      preparing = this.prepare(room).finally(() => this.preparing.delete(room));
      this.preparing.set(room, preparing);
    }
    await preparing;
    const usable = await this.usable(room);
    if (usable === null) throw refused("unavailable", 503, "the epoch was outdated in the same moment");
    return usable;
  }

  private async prepare(room: RoomId): Promise<void> {
    const state = await this.maker.prepare(room);
    if (state === null) return;
    await this.shares.seen(room, state);
    this.upkeeping.wake();
  }

  /** The newest epoch, if everything about it is in the store and good. */
  private async usable(room: RoomId): Promise<Usable | null> {
    const newest = await store.newestEpoch(this.parts.db, room);
    if (newest === null || newest.outdated) return null;
    let usable = this.usables.get(room);
    if (usable?.epoch !== newest.epoch) {
      const found = await this.examine(room, newest);
      if (found === null) return null;
      this.usables.set(room, found);
      usable = found;
    }
    return isDue(usable.madeAt, nowS(this.parts.clock), usable.messages, this.most) ? null : usable;
  }

  private async examine(room: RoomId, row: EpochRecord): Promise<Usable | null> {
    const { db, session } = this.parts;
    const [place, roster] = await Promise.all([this.maker.knownPlace(room), store.findRoster(db, room)]);
    if (place === null || roster?.epoch !== row.epoch || !(await this.keys.own.hasSome())) return null;
    const shown = await db.get("rooms", room);
    const told = shown === undefined ? null : placeOf(shown);
    const isSame = told === null || (told.kind === place.kind && (told.kind === "group" || told.peer === place.peer));
    if (!isSame || (place.kind === "direct" && place.peer === null)) return null;
    const lines = fromRecord(roster);
    const documents = await Promise.all(lines.map(({ user }) => this.keys.others.known(user)));
    const known = new Map(
      documents.flatMap((document) =>
        document === null
          ? []
          : [[document.user, { identity: document.identity, version: document.encryption.version }] as const],
      ),
    );
    const { user: me } = await session.identity();
    if (whyNot(lines, { me, creator: row.creator, peer: place.peer, known }) !== null) return null;
    try {
      const record = await this.book.record(room, row.epoch);
      await this.book.key(room, row.epoch);
      if (!isLive(await this.book.device(row.creator, row.device))) return null;
      return { epoch: row.epoch, madeAt: record.ts, messages: await store.countUnder(db, row, this.most) };
    } catch (error) {
      if (error instanceof CannotOpen) return null;
      throw error;
    }
  }

  stale(room: RoomId, epoch: number, problem: Problem): void {
    const before = this.staling.get(room) ?? Promise.resolve();
    const staling = before
      .then(() => this.renew(room, epoch, problem))
      .finally(() => {
        if (this.staling.get(room) === staling) this.staling.delete(room);
      });
    this.staling.set(room, staling);
    staling.catch(() => undefined); // whoever seals next hears of it
  }

  /** Have what is sent next sealed under a new epoch, if it would not be anyway. */
  private async renew(room: RoomId, refused: number, problem: Problem): Promise<void> {
    const newest = await store.newestEpoch(this.parts.db, room);
    if (newest !== null && outdates(newest.epoch, refused, problem))
      await store.outdate(this.parts.db, room, newest.epoch);
  }

  // Opening.

  async open(sealed: readonly SealedMessage[], mayAsk: boolean): Promise<readonly Opened[]> {
    if (mayAsk) await this.hearing.forMessages(sealed.filter((message) => message.alg === ALG));
    const { device } = await this.parts.session.identity();
    for (const message of sealed) {
      const usable = message.device === device ? undefined : this.usables.get(message.room);
      if (usable?.epoch === message.epoch) usable.messages += 1;
    }
    return Promise.all(sealed.map((message) => this.opened(message)));
  }

  /** The text, if all that is said about it was signed by its sender (docs/protocol.md §6.5). */
  private async opened(message: SealedMessage): Promise<Opened> {
    try {
      if (message.alg !== ALG) throw new CannotOpen("not_verified", "nobody seals by this");
      const key = await this.book.key(message.room, message.epoch);
      const device = await this.book.device(message.sender, message.device);
      if (!isLive(device, message.acceptedAt))
        throw new CannotOpen("not_verified", "sent by a device that was revoked before");
      const by = await verifier(device.key);
      const said = await messages.open(key, message.sender, device.id, by, unb64(message.ciphertext), message);
      if (said.type !== TEXT) throw new CannotOpen("not_verified", "not a text");
      return { type: said.type, text: said.body, problem: null };
    } catch (error) {
      if (error instanceof CannotOpen) return { text: null, problem: error.problem };
      if (isRefused(error)) return { text: null, problem: "not_verified" };
      throw error;
    }
  }

  // What goes on around it.

  async heard(entries: readonly KeyEntry[]): Promise<void> {
    await this.hearing.entries(entries);
    if (entries.some(({ kind }) => kind === "keys")) this.usables.clear();
    this.upkeeping.wake();
  }

  async restore(tell: (restoring: Restoring) => void): Promise<void> {
    // Whoever is signing in has the lock until this device has its keys: what is opened before that would be opened twice.
    await this.parts.locks.run("letterlock-keys", async () => undefined);
    await this.fetcher.restore((done, of) => tell({ step: "epochs", done, of }));
  }

  upkeep(): Promise<void> {
    return this.upkeeping.begin();
  }

  /** Stop what goes on by itself. */
  close(): void {
    this.upkeeping.close();
  }

  async readers(room: RoomId): Promise<readonly UserId[] | null> {
    const { db } = this.parts;
    const [newest, roster] = await Promise.all([store.newestEpoch(db, room), store.findRoster(db, room)]);
    if (newest === null || roster?.epoch !== newest.epoch) return null;
    return roster.lines.map(([user]) => user);
  }

  async change(room: RoomId, epoch: number): Promise<ReadersChange | null> {
    return (await store.findEpoch(this.parts.db, room, epoch))?.change ?? null;
  }
}

/** Whether a text can be sealed at all. Throws `too_large` and `invalid`; to be asked before it is put into an outbox. */
export function check({ id, text, sentAt }: Omit<Draft, "room">): void {
  try {
    messages.encode({ id, type: TEXT, body: text, ts: sentAt });
  } catch (error) {
    if (!isRefused(error)) throw error;
    if (error.code === "too_long") throw refused("too_large", 413, error.message);
    throw refused("invalid", 400, error.message);
  }
}
