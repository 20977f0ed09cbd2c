/** Browsers for the tests: IndexedDB in memory, a channel and locks of their own, sockets of `ws`; bodies that are sealed by nothing. */

import "fake-indexeddb/auto";
import { type ReadonlySignal, signal } from "@preact/signals-core";
import { IDBFactory } from "fake-indexeddb";
import { WebSocket } from "ws";

import { type Clock, clock } from "../../src/device/clock";
import { Device } from "../../src/device/device";
import type { Draft, KeyEntry, Keys, Opened, Sealed, SealedMessage, Sealing } from "../../src/device/ports";
import { type LockName, type Locks, TabsBus } from "../../src/device/tabs";
import type { Refusal } from "../../src/messenger";
import type { RoomId, UserId } from "../../src/protocol/ids";
import type { Problem } from "../../src/protocol/problems";
import { type Db, openStore } from "../../src/store/db";
import type { Wire } from "../../src/transport/socket";
import type { Server } from "./server";

/** The Web Locks of one browser. */
export class BrowserLocks implements Locks {
  private readonly queues = new Map<LockName, Promise<unknown>>();

  async run<Result>(name: LockName, task: () => Promise<Result>, signal?: AbortSignal): Promise<Result> {
    const before = this.queues.get(name) ?? Promise.resolve();
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    this.queues.set(
      name,
      before.then(() => held),
    );
    try {
      await Promise.race([before, aborted(signal)]);
      return await task();
    } finally {
      release();
    }
  }
}

function aborted(signal: AbortSignal | undefined): Promise<never> {
  return new Promise((_, reject) => signal?.addEventListener("abort", () => reject(signal.reason)));
}

/** Bodies as they are: what is tested here is everything else. */
export class Open implements Sealing {
  epoch = 1;
  /** Rooms whose messages cannot be opened for lack of a key. */
  locked = false;
  refusal: Refusal | null = null;
  isClosed = false;
  readonly staled: [RoomId, number][] = [];
  readonly heards: KeyEntry[] = [];

  async seal(drafts: readonly Draft[]): Promise<readonly Sealed[]> {
    if (this.refusal !== null) throw this.refusal;
    return drafts.map(({ text }) => ({
      alg: "chat.e2ee.v1",
      epoch: this.epoch,
      ciphertext: Buffer.from(text).toString("base64url"),
    }));
  }
  stale(room: RoomId, epoch: number, problem: Problem): void {
    this.staled.push([room, epoch]);
    this.epoch = Number(problem.epoch ?? this.epoch);
  }
  async open(messages: readonly SealedMessage[]): Promise<readonly Opened[]> {
    return messages.map(({ ciphertext }) =>
      this.locked
        ? { text: null, problem: "locked" }
        : { type: "text", text: Buffer.from(ciphertext, "base64url").toString(), problem: null },
    );
  }
  async heard(entries: readonly KeyEntry[]): Promise<void> {
    this.heards.push(...entries);
  }
  async restore(): Promise<void> {}
  async upkeep(): Promise<void> {}
  async readers(): Promise<readonly UserId[] | null> {
    return null;
  }
  async change() {
    return null;
  }
  close(): void {
    this.isClosed = true;
  }
}

/** What a browser says to whoever asks it to keep what is stored. */
export class Storage_ {
  gives = false;
  asked = 0;
  looked = 0;
  private given = false;

  async persisted(): Promise<boolean> {
    this.looked += 1;
    return this.given;
  }
  async persist(): Promise<boolean> {
    this.asked += 1;
    this.given ||= this.gives;
    return this.given;
  }
}

const never = (): never => {
  throw new Error("not in these tests");
};

/** One tab. Tabs of one `browser` share everything but themselves. */
export class Tab {
  static number = 0;
  readonly sealing = new Open();
  readonly held = signal<ReadonlySet<UserId>>(new Set());
  device!: Device;
  bus!: TabsBus;
  db!: Db;

  private constructor(readonly browser: Browser) {}

  static async open(browser: Browser, { begins = true } = {}): Promise<Tab> {
    const tab = new Tab(browser);
    globalThis.indexedDB = browser.indexedDB;
    const lost = new AbortController();
    const db = await openStore(() => lost.abort());
    const bus = new TabsBus(browser.name);
    Object.assign(tab, { bus, db });
    const open = (url: string): Wire => {
      const socket = new WebSocket(url);
      socket.on("error", () => undefined); // a browser's tells by closing
      return socket as unknown as Wire;
    };
    const { locks, clock, server, builds, storage, onHidden } = browser;
    const { origin } = server;
    const surroundings = { db, lost: lost.signal, bus, locks, clock, open, origin, builds, storage, onHidden };
    tab.device = new Device(
      surroundings,
      ({ session }) => {
        const enter = async (path: "accounts/register" | "accounts/sign-in", username: string, device_name: string) => {
          await session.enter(path, { username, device_name, password: "x" });
          await db.put("keys", true, "uek:1");
          bus.tell({ type: "unlocked" });
        };
        const keys: Keys = {
          strength: async () => 4,
          signUp: (username, _password, name) => enter("accounts/register", username, name),
          signIn: (username, _secret, name) => enter("accounts/sign-in", username, name),
          recoveryKey: signal<string | null>(null),
          confirmRecoveryKey: never,
          changePassword: never,
          newRecoveryKey: never,
          unlock: never,
          reset: never,
          revokeDevice: never,
          safety: never,
          verify: never,
          scanned: never,
          verified: signal<ReadonlySet<UserId>>(new Set()),
          held: tab.held,
        };
        return { keys, sealing: tab.sealing };
      },
      () => ({ push: signal("unsupported" as const), enablePush: never, disablePush: never }),
    );
    browser.tabs.add(tab);
    if (begins) await tab.device.begin();
    return tab;
  }

  close(): void {
    this.browser.tabs.delete(this);
    this.device.close();
  }

  live(): Promise<unknown> {
    return until(this.device.connection, (connection) => connection.state === "live");
  }
}

export class Browser {
  readonly indexedDB = new IDBFactory();
  readonly locks = new BrowserLocks();
  readonly storage = new Storage_();
  readonly name = `letterlock-${++Tab.number}`;
  readonly tabs = new Set<Tab>();
  clock: Clock = { ...clock, chance: () => 0 };
  reloads = 0;
  private readonly hearers = new Set<() => void>();
  readonly builds = { isNew: signal(false), goOn: () => void this.reloads++ };

  constructor(readonly server: Server) {}

  onHidden = (hear: () => void): void => void this.hearers.add(hear);

  /** All its tabs are hidden. */
  hide(): void {
    for (const hear of this.hearers) hear();
  }

  async signedIn(username: string): Promise<Tab> {
    const tab = await Tab.open(this);
    await tab.device.signIn(username, { password: "x" }, "browser");
    await tab.live();
    return tab;
  }

  close(): void {
    for (const tab of this.tabs) tab.close();
  }
}

/** The first value of a signal of which something is true. */
export function until<Value>(
  value: ReadonlySignal<Value>,
  isSo: (value: Value) => boolean,
  ms = 10_000,
): Promise<Value> {
  return new Promise((resolve, reject) => {
    let stop: (() => void) | null = null;
    let isOver = false;
    const timer = setTimeout(() => {
      end();
      reject(new Error(`still ${JSON.stringify(value.peek())}`));
    }, ms);
    function end(): void {
      isOver = true;
      clearTimeout(timer);
      stop?.();
    }
    stop = value.subscribe((now) => {
      if (isOver || !isSo(now)) return;
      end();
      resolve(now);
    });
    if (isOver) stop();
  });
}

/** Until something that tells nobody is so. */
export async function eventually<Value>(look: () => Value | Promise<Value>, ms = 10_000): Promise<NonNullable<Value>> {
  const deadline = Date.now() + ms;
  for (;;) {
    const found = await look();
    if (found) return found as NonNullable<Value>;
    if (Date.now() > deadline) throw new Error(`never: ${look}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
