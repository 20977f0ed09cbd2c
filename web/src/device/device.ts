/** A device in a browser, put together: the implementation of `Messenger`. */

import { computed, type ReadonlySignal, type Signal, signal } from "@preact/signals-core";

import type * as contract from "../messenger";
import { Refusal } from "../messenger";
import { decodeDevices } from "../protocol/answers";
import type { DeviceId, MessageId, RoomId, UserId } from "../protocol/ids";
import { fields, flag } from "../protocol/shape";
import { type Db, openStore } from "../store/db";
import { takeUpDrafts } from "../store/drafts";
import { removeNotice } from "../store/notices";
import { search } from "../store/search";
import { getValue, putValue } from "../store/values";
import { browserWire, type OpenWire } from "../transport/socket";
import { Builds, pageOfBrowser } from "./builds";
import { fetchReceipts } from "./catchingup";
import { type Clock, clock } from "./clock";
import { Relations } from "./connections";
import { Leader } from "./leading";
import { log, type Parts } from "./parts";
import { People } from "./people";
import type { Identity, Keys, News, Sealing } from "./ports";
import { Receiver } from "./receiving";
import { reopen } from "./reopening";
import { RoomCalls } from "./roomcalls";
import { Rooms } from "./rooms";
import { discard } from "./sending";
import { DeviceSession, shaped } from "./session";
import { Soon } from "./soon";
import { type Locks, TabsBus, webLocks } from "./tabs";
import { RoomTimeline } from "./timeline";
import { Writing } from "./writing";

/** What the keys stand on, and what they give. */
export type MakeKeys = (parts: Omit<Parts, "sealing" | "open">) => { keys: Keys; sealing: Sealing };

/** Web Push (device/push.ts). */
export type MakePush = (parts: Parts) => Pick<contract.Messenger, "push" | "enablePush" | "disablePush">;

/** What a browser gives; tests give something else. */
export interface Surroundings {
  readonly db: Db;
  /** Aborted when the store is closed by others: cleared by the user, or taken by a newer build. */
  readonly lost: AbortSignal;
  readonly bus: TabsBus;
  readonly locks: Locks;
  readonly clock: Clock;
  readonly open: OpenWire;
  readonly origin: string;
  readonly builds: Pick<Builds, "isNew" | "goOn">;
  /** Null where the browser lets nobody ask. */
  readonly storage: Pick<StorageManager, "persist" | "persisted"> | null;
  /** `hear` is called whenever the page is hidden or left: it may never be shown again. */
  onHidden(hear: () => void): void;
}

export async function browser(): Promise<Surroundings & { readonly builds: Builds }> {
  const lost = new AbortController();
  return {
    db: await openStore(() => lost.abort()),
    lost: lost.signal,
    bus: new TabsBus(),
    locks: webLocks,
    clock,
    open: browserWire,
    origin: location.origin,
    builds: new Builds(clock, pageOfBrowser),
    storage: (navigator.storage as StorageManager | undefined) ?? null,
    onHidden: (hear) => {
      document.addEventListener("visibilitychange", () => {
        if (document.hidden) hear();
      });
      addEventListener("pagehide", hear);
    },
  };
}

export class Device implements contract.Messenger {
  readonly account: Signal<contract.Account | null | undefined> = signal(undefined);
  readonly connection: Signal<contract.Connection> = signal({ state: "offline", retryAt: null });
  readonly restoring: Signal<contract.Restoring | null> = signal(null);
  readonly notices: Signal<readonly contract.Notice[]> = signal([]);
  readonly canUnblock: ReadonlySignal<boolean>;
  private readonly parts: Parts;
  private readonly keys: Keys;
  private readonly people: People;
  private readonly roomsPart: Rooms;
  private readonly relationsPart: Relations;
  private readonly calls: RoomCalls;
  private readonly writing: Writing;
  private readonly pushPart: ReturnType<MakePush>;
  private readonly builds: Surroundings["builds"];
  private readonly storage: Surroundings["storage"];
  private identity: Identity | null = null;
  private readonly soon = new Soon(() => this.load());
  private readonly over = new AbortController();
  private leading = new AbortController();

  constructor(surroundings: Surroundings, makeKeys: MakeKeys, makePush: MakePush) {
    const { db, lost, bus, locks, clock, open, origin, builds, storage } = surroundings;
    this.builds = builds;
    this.storage = storage;
    const session = new DeviceSession(db, bus, locks, clock, origin);
    const { keys, sealing } = makeKeys({ db, bus, session, clock, locks });
    this.parts = { db, bus, session, sealing, clock, locks, open };
    this.keys = keys;
    this.people = new People(this.parts);
    this.relationsPart = new Relations(this.parts, keys, this.people, () => this.roomsPart.touchAll());
    this.roomsPart = new Rooms(this.parts, keys, this.people, this.relationsPart, () => this.identity);
    this.calls = new RoomCalls(this.parts, this.people);
    this.writing = new Writing(this.parts, keys);
    surroundings.onHidden(() => void this.writing.keepNow());
    this.pushPart = makePush(this.parts);
    const { consistency } = this.relationsPart;
    this.canUnblock = computed(() => this.isOnline.value || consistency.value === "confirm");
    keys.verified.subscribe(() => this.roomsPart.touchAll());
    keys.held.subscribe(() => this.roomsPart.touchAll());
    bus.listen((news) => this.hear(news));
    // Nothing can be read or kept from now on.
    lost.addEventListener("abort", () => {
      this.close();
      this.connection.value = { state: "stopped", reason: "fault" };
    });
  }

  private readonly isOnline = computed(() => {
    const { state } = this.connection.value;
    return state === "live" || state === "catching-up";
  });

  /** Show what is stored, and take part in having a connection, until `close`. */
  async begin(): Promise<void> {
    await takeUpDrafts(this.parts.db).catch((error) => log("drafts are not taken up", error));
    await this.load();
    void this.lead();
  }

  close(): void {
    this.over.abort();
    this.leading.abort();
    this.parts.sealing.close();
    this.parts.bus.close();
    this.parts.db.close();
  }

  // Tabs.

  /** One tab has the connection; when it closes, or the account is another one, the next takes it. */
  private async lead(): Promise<void> {
    const { locks, bus } = this.parts;
    while (!this.over.signal.aborted) {
      this.leading = new AbortController();
      const signal = AbortSignal.any([this.over.signal, this.leading.signal]);
      const changed = new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
      try {
        await locks.run(
          "letterlock-socket",
          async () => {
            await Leader.run(this.parts, signal);
            await changed;
          },
          signal,
        );
      } catch (error) {
        if (signal.aborted) continue;
        if (!(error instanceof Refusal && error.code === "signed_out")) log("this tab leads no more", error);
        await Promise.race([changed, this.parts.clock.wait(5_000).then(() => undefined)]);
      } finally {
        bus.forgetStates();
      }
    }
  }

  private hear(news: News): void {
    this.roomsPart.hear(news);
    switch (news.type) {
      case "account":
        this.leading.abort();
        this.soon.mark();
        break;
      case "notices":
        this.soon.mark();
        break;
      case "connections":
      case "questions":
        this.relationsPart.touch();
        break;
      case "connection":
        this.connection.value = news.state as contract.Connection;
        break;
      case "restoring":
        this.restoring.value = news.state as contract.Restoring | null;
        break;
      case "unlocked":
        reopen(this.parts, this.over.signal).catch((error) => log("closed messages stay so", error));
        break;
      default:
    }
  }

  /** What is stored, as signals. */
  private async load(): Promise<void> {
    const { db } = this.parts;
    const identity = (await getValue(db, "identity")) ?? null;
    const isOther = identity?.device !== this.identity?.device;
    this.identity = identity;
    if (isOther) this.people.forget();
    if (identity === null) {
      this.connection.value = { state: "offline", retryAt: null };
      this.restoring.value = null;
      this.notices.value = [];
      this.account.value = null;
    } else {
      if (isOther) {
        this.askToKeep().catch((error) => log("the browser may delete what is stored", error));
        await this.people.load();
      }
      const notices = (await getValue(db, "notices")) ?? [];
      this.notices.value = notices.map((notice) => this.named(notice));
      const { user, username, device, deviceName } = identity;
      const readReceipts = (await getValue(db, "readReceipts")) ?? true;
      this.people.learn(user, username);
      this.account.value = { user, username, device, deviceName, readReceipts };
    }
    await this.relationsPart.load();
    this.roomsPart.touchAll();
  }

  /** With the name under which the user is shown now. */
  private named(notice: contract.Notice): contract.Notice {
    if (notice.kind !== "identity" && notice.kind !== "name") return notice;
    return { ...notice, username: this.people.name(notice.user) };
  }

  /** A browser that is short of space deletes what it was not asked to keep: the keys of this device, and what waits to be sent. */
  private async askToKeep(): Promise<void> {
    if (this.storage === null || (await this.storage.persisted())) return;
    if (!(await this.storage.persist())) log("the browser may delete what is stored", "it was asked not to");
  }

  // The account.

  async putAway(notice: string): Promise<void> {
    await removeNotice(this.parts.db, notice);
    this.parts.bus.tell({ type: "notices" });
  }

  strength = (password: string, username: string): Promise<number> => this.keys.strength(password, username);
  signUp = (username: string, password: string, deviceName: string): Promise<void> =>
    this.keys.signUp(username, password, deviceName);
  get recoveryKey(): ReadonlySignal<string | null> {
    return this.keys.recoveryKey;
  }
  confirmRecoveryKey = (): Promise<void> => this.keys.confirmRecoveryKey();
  signIn: contract.Messenger["signIn"] = (username, secret, deviceName) =>
    this.keys.signIn(username, secret, deviceName);
  signOut = (): Promise<void> => this.parts.session.leave();
  changePassword: contract.Messenger["changePassword"] = (old, password) => this.keys.changePassword(old, password);
  newRecoveryKey = (password: string): Promise<void> => this.keys.newRecoveryKey(password);
  unlock = (password: string): Promise<void> => this.keys.unlock(password);
  reset = (password: string): Promise<void> => this.keys.reset(password);

  async setReadReceipts(on: boolean): Promise<void> {
    const answer = await this.parts.session.request("PATCH", "account", { body: { read_receipts: on } });
    await putValue(
      this.parts.db,
      "readReceipts",
      shaped(() => flag(fields(answer, "an account"), "read_receipts")),
    );
    this.parts.bus.tell({ type: "notices" });
  }

  async devices(): Promise<readonly contract.DeviceLine[]> {
    const answer = await this.parts.session.request("GET", "devices");
    return shaped(() => decodeDevices(answer));
  }

  async renameDevice(id: DeviceId, name: string): Promise<void> {
    await this.parts.session.request("PATCH", `devices/${id}`, { body: { name } });
    if (id !== this.identity?.device) return;
    await putValue(this.parts.db, "identity", { ...this.identity, deviceName: name });
    this.parts.bus.tell({ type: "notices" });
  }

  revokeDevice = (id: DeviceId, password: string): Promise<void> => this.keys.revokeDevice(id, password);

  // Rooms.

  get rooms(): ReadonlySignal<readonly contract.RoomLine[]> {
    return this.roomsPart.lines;
  }
  room = (id: RoomId): ReadonlySignal<contract.RoomDetail | null> => this.roomsPart.detail(id);
  findUser = (username: string): Promise<{ user: UserId; username: string } | null> => this.calls.findUser(username);
  openDirect = (user: UserId): Promise<RoomId> => this.calls.openDirect(user);
  createGroup = (members: readonly UserId[], history: "joined" | "all"): Promise<RoomId> =>
    this.calls.createGroup(members, history);
  addMembers = (room: RoomId, users: readonly UserId[]): Promise<void> => this.calls.addMembers(room, users);
  removeMember = (room: RoomId, user: UserId): Promise<void> => this.calls.removeMember(room, user);
  setRole = (room: RoomId, user: UserId, role: "admin" | "member"): Promise<void> =>
    this.calls.setRole(room, user, role);
  handOver = (room: RoomId, user: UserId): Promise<void> => this.calls.handOver(room, user);
  leave = (room: RoomId): Promise<void> => this.calls.leave(room);
  mute = (room: RoomId, on: boolean): Promise<void> => this.calls.mute(room, on);

  async timeline(room: RoomId): Promise<contract.Timeline> {
    if (this.identity === null) throw new Refusal("signed_out");
    if (this.isOnline.peek()) {
      fetchReceipts(this.parts, room).catch((error) => log("how far the others are is not known", error));
    }
    const receiver = new Receiver(this.parts, this.identity, { stored: () => undefined });
    return RoomTimeline.open(this.parts, receiver, this.people, this.identity, room);
  }

  send = (room: RoomId, text: string): Promise<MessageId> => this.writing.send(room, text);
  sendAgain = (message: MessageId): Promise<MessageId> => this.writing.sendAgain(message);
  async discard(message: MessageId): Promise<void> {
    await discard(this.parts, message);
  }
  markRead = (room: RoomId, seq: number): void => this.writing.markRead(room, seq);
  typing = (room: RoomId): void => this.writing.typing(room);
  draft = (room: RoomId): Promise<string> => this.writing.draft(room);
  keepDraft = (room: RoomId, text: string): void => this.writing.keepDraft(room, text);

  async search(query: string, limit: number): Promise<readonly contract.Hit[]> {
    const found = await search(this.parts.db, query, limit);
    await this.people.find(found.map((record) => record.data.sender as UserId));
    return found.map((record) => ({
      room: record.room!,
      seq: record.seq,
      by: this.people.name(record.data.sender as UserId),
      at: record.data.accepted_at as number,
      text: record.text ?? "",
    }));
  }

  // Connections.

  get relations(): ReadonlySignal<readonly contract.Relation[]> {
    return this.relationsPart.list;
  }
  get settings(): ReadonlySignal<contract.ConnectionSettings | null> {
    return this.relationsPart.settings;
  }
  get questions(): ReadonlySignal<readonly contract.Question[]> {
    return this.relationsPart.questions;
  }
  changeSettings = (settings: Partial<contract.ConnectionSettings>): Promise<void> =>
    this.relationsPart.change(settings);
  async press(action: contract.ConnectionAction, who: { user: UserId } | { username: string }): Promise<void> {
    if (action === "unblock") this.relationsPart.requireUnblock(this.isOnline.peek());
    await this.relationsPart.press(action, who);
  }
  answer(question: string, what: "confirm" | "drop" | "wait"): void {
    this.relationsPart.answer(question, what).catch((error) => log("an answer is not kept", error));
  }

  safety = (user: UserId): Promise<contract.Safety> => this.keys.safety(user);
  verify = (user: UserId, on: boolean): Promise<void> => this.keys.verify(user, on);
  scanned = (text: string, user: UserId): Promise<void> => this.keys.scanned(text, user);

  get push(): contract.Messenger["push"] {
    return this.pushPart.push;
  }
  enablePush = (): Promise<void> => this.pushPart.enablePush();
  disablePush = (): Promise<void> => this.pushPart.disablePush();

  get newBuild(): ReadonlySignal<boolean> {
    return this.builds.isNew;
  }
  async loadNewBuild(): Promise<void> {
    await this.writing.keepNow();
    this.builds.goOn();
  }

  hurry(): void {
    this.parts.bus.tell({ type: "hurry" });
  }
}
