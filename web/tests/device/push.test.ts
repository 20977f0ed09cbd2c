/** What the user wants, what the browser has and what the server knows of notifications (docs/protocol.md §3.5). */

import "fake-indexeddb/auto";
import { IDBFactory } from "fake-indexeddb";
import { beforeEach, describe, expect, test } from "vitest";

import type { Parts } from "../../src/device/parts";
import { Push } from "../../src/device/push";
import { TabsBus } from "../../src/device/tabs";
import { Refusal } from "../../src/messenger";
import { type Db, openStore } from "../../src/store/db";
import { getValue, putValue } from "../../src/store/values";
import * as shapes from "../shapes";
import { BrowserLocks, Tab } from "./browsers";

/** The push service's part of a browser. */
class Manager {
  subscription: { endpoint: string } | null = null;
  isStuck = false;

  async getSubscription() {
    return this.subscription;
  }

  async subscribe() {
    const unsubscribe = async (): Promise<boolean> => {
      if (this.isStuck) throw new DOMException("no network", "AbortError");
      this.subscription = null;
      return true;
    };
    this.subscription = Object.assign({ endpoint: "https://push.example/1" }, { getKey: () => null, unsubscribe });
    return this.subscription;
  }
}

/** The server's: one subscription, or none. */
class PushServer {
  isAway = false;
  subscription: unknown = null;
  /** What the answer to a PUT waits for. */
  held: Promise<void> = Promise.resolve();

  async request(method: string, path: string, { body = null }: { body?: unknown } = {}): Promise<unknown> {
    if (this.isAway) throw new Refusal("offline");
    if (path === "push/key") return { key: "BAAA" };
    this.subscription = method === "PUT" ? body : null;
    if (method === "PUT") await this.held;
    return null;
  }
}

let db: Db;
let manager: Manager;
let server: PushServer;
let locks: BrowserLocks;
let permission: NotificationPermission;
beforeEach(async () => {
  globalThis.indexedDB = new IDBFactory();
  db = await openStore();
  await putValue(db, "identity", { user: shapes.user(1), username: "alice", device: shapes.device(1), deviceName: "" });
  [manager, server, locks, permission] = [new Manager(), new PushServer(), new BrowserLocks(), "granted"];
});

/** As after a reload. */
function starts(): Push {
  const bus = new TabsBus(`push-${++Tab.number}`);
  const parts = { db, bus, locks, session: server } as unknown as Parts;
  return new Push(parts, {
    permission: () => permission,
    ask: async () => permission,
    manager: async () => manager as unknown as PushManager,
  });
}

async function switchedOn(): Promise<Push> {
  const push = starts();
  await push.enablePush();
  expect([push.push.value, manager.subscription, server.subscription]).toEqual([
    "on",
    expect.anything(),
    expect.anything(),
  ]);
  return push;
}

test("what is switched off has ended everywhere", async () => {
  const push = await switchedOn();
  await push.disablePush();
  expect([push.push.value, manager.subscription, server.subscription]).toEqual(["off", null, null]);
});

describe("switched off while the server is away", () => {
  test("nothing comes any more: the push service says so to the server", async () => {
    const push = await switchedOn();
    server.isAway = true;
    await push.disablePush();
    expect([push.push.value, manager.subscription]).toEqual(["off", null]);
  });

  test("and if the browser keeps it, it ends at the next start", async () => {
    const push = await switchedOn();
    [server.isAway, manager.isStuck] = [true, true];
    await expect(push.disablePush()).rejects.toMatchObject({ code: "offline" });
    expect(push.push.value).toBe("off");

    [server.isAway, manager.isStuck] = [false, false];
    const next = starts();
    await next.refresh();
    expect([next.push.value, manager.subscription, server.subscription]).toEqual(["off", null, null]);
  });
});

test("switched off while it is being brought together, it stays off", async () => {
  await switchedOn();
  const push = starts();
  let release = (): void => undefined;
  server.held = new Promise((resolve) => {
    release = resolve;
  });
  const refreshing = push.refresh();
  const switching = push.disablePush();
  release();
  await Promise.all([refreshing, switching]);
  expect([push.push.value, manager.subscription, server.subscription]).toEqual(["off", null, null]);
  expect(await getValue(db, "push")).toBeUndefined();
});

test("what is on goes on over a start, and to the server again", async () => {
  await switchedOn();
  server.subscription = null;
  const push = starts();
  await push.refresh();
  expect([push.push.value, manager.subscription, server.subscription]).toEqual([
    "on",
    expect.anything(),
    expect.anything(),
  ]);
});
