/** The browser's storage, on which everything stands: asked to last, full, or gone. */

import "fake-indexeddb/auto";
import { forceCloseDatabase, IDBObjectStore } from "fake-indexeddb";
import { openDB, unwrap } from "idb";
import { afterEach, describe, expect, test, vi } from "vitest";

import { NAME, VERSION } from "../../src/store/schema";
import { eventually, Tab, until } from "./browsers";
import { stage, texts } from "./stage";

const on = stage();

describe("the browser is asked to keep what is stored", () => {
  test("by whoever signs in, and at the next start if it would not yet", async () => {
    const { storage } = on.browser;
    const tab = await Tab.open(on.browser);
    expect(storage.asked).toBe(0);
    await tab.device.signIn("alice", { password: "x" }, "browser");
    await eventually(() => storage.asked === 1);

    storage.gives = true;
    await Tab.open(on.browser);
    await eventually(() => storage.asked === 2);
  });

  test("once: not where it does already", async () => {
    const { storage } = on.browser;
    storage.gives = true;
    await on.browser.signedIn("alice");
    await eventually(() => storage.asked === 1);
    const looked = storage.looked;
    await Tab.open(on.browser);
    await eventually(() => storage.looked > looked);
    expect(storage.asked).toBe(1);
  });
});

describe("a disk that is full", () => {
  afterEach(() => {
    vi.restoreAllMocks();
  });

  test("is said to be, and what came meanwhile comes when there is space", async () => {
    const room = on.server.direct("alice", "bob");
    const { device } = await on.browser.signedIn("alice");
    const timeline = await device.timeline(room.id);
    const put = IDBObjectStore.prototype.put;
    vi.spyOn(IDBObjectStore.prototype, "put").mockImplementation(function (this: IDBObjectStore, ...given) {
      const request = put.apply(this, given);
      // The transaction ends, and what else was asked of it is only told that it did: its own error says why.
      const end = () => (this.transaction as unknown as Ending)._abort("QuotaExceededError");
      if (this.name === "entries") request.addEventListener("success", end);
      return request;
    });
    on.server.says("bob", room, "no room for this");
    const full = await until(device.connection, (connection) => connection.state === "offline");
    expect(full).toMatchObject({ reason: "storage_full" });

    vi.restoreAllMocks();
    device.hurry();
    await until(timeline.rows, (rows) => texts(rows).includes("no room for this"));
    await until(device.connection, (connection) => connection.state === "live");
  });
});

test("where the store is gone the page says that it has stopped, and another tab goes on", async () => {
  const tab = await on.browser.signedIn("alice");
  const other = await Tab.open(on.browser);
  forceCloseDatabase(unwrap(tab.db) as never);
  await until(tab.device.connection, (connection) => connection.state === "stopped");
  expect(tab.device.connection.value).toEqual({ state: "stopped", reason: "fault" });
  await until(other.device.connection, (connection) => connection.state === "live");
  await eventually(() => on.server.online.length === 1);
});

test("where a newer build has taken the store the page says that it has stopped, and leads no more", async () => {
  const { device } = await on.browser.signedIn("alice");
  const newer = await openDB(NAME, VERSION + 1);
  await until(device.connection, (connection) => connection.state === "stopped");
  expect(device.connection.value).toEqual({ state: "stopped", reason: "fault" });
  await on.browser.locks.run("letterlock-socket", async () => undefined);
  await eventually(() => on.server.online.length === 0);
  newer.close();
});

interface Ending {
  _abort(error: string): void;
}
