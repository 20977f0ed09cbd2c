/** The browser's storage, on which everything stands: asked to last, full, or gone. */

import "fake-indexeddb/auto";
import { forceCloseDatabase } from "fake-indexeddb";
import { openDB, unwrap } from "idb";
import { afterEach, describe, expect, test, vi } from "vitest";

import { Refusal, type Row } from "../../src/messenger";
import { NAME, VERSION } from "../../src/store/schema";
import { eventually, Tab, until } from "./browsers";
import { fills, tried } from "./disk";
import { messages, stage, texts } from "./stage";

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
    fills("entries");
    on.server.says("bob", room, "no room for this");
    const full = await until(device.connection, (connection) => connection.state === "offline");
    expect(full).toMatchObject({ reason: "storage_full" });

    vi.restoreAllMocks();
    device.hurry();
    await until(timeline.rows, (rows) => texts(rows).includes("no room for this"));
    await until(device.connection, (connection) => connection.state === "live");
  });

  const failed = (rows: readonly Row[]) => messages(rows).map(({ text, refused }) => `${text} ${refused?.code}`);

  test("loses sight of no message that a block stops: that is noted when there is space", async () => {
    const room = on.server.direct("alice", "bob");
    const tab = await on.browser.signedIn("alice");
    const { device } = tab;
    const timeline = await device.timeline(room.id);
    tab.sealing.refusal = new Refusal("offline");
    for (const text of ["one", "two"]) await device.send(room.id, text);
    const disk = fills("outbox");
    on.server.relate("alice", "bob", { blocked: true });
    await eventually(() => tried(disk, "outbox") >= 2);
    await until(timeline.rows, (rows) => failed(rows).join() === "one undefined,two undefined");

    vi.restoreAllMocks();
    tab.bus.tell({ type: "connections" });
    await until(timeline.rows, (rows) => failed(rows).join() === "one blocked,two blocked");
  });

  test("nor of one that cannot be sealed", async () => {
    const room = on.server.direct("alice", "bob");
    on.browser.clock = { ...on.browser.clock, chance: () => 0.99 };
    const tab = await on.browser.signedIn("alice");
    const timeline = await tab.device.timeline(room.id);
    tab.sealing.refusal = new Refusal("identity_changed");
    const disk = fills("outbox");
    await tab.device.send(room.id, "one");
    await eventually(() => tried(disk, "outbox") >= 1);
    on.server.says("bob", room, "hello");
    await until(timeline.rows, (rows) => texts(rows).includes("hello"));
    expect(tried(disk, "outbox")).toBe(1); // not all the time

    vi.restoreAllMocks();
    on.server.dropSockets();
    await until(timeline.rows, (rows) => failed(rows).includes("one identity_changed"));
  });

  test("nor of one that the server refuses for good", async () => {
    const room = on.server.direct("alice", "bob");
    const { device } = await on.browser.signedIn("alice");
    const timeline = await device.timeline(room.id);
    on.server.refuse = () => ({ status: 403, code: "forbidden", title: "", detail: "" });
    on.server.answers = false;
    await device.send(room.id, "one");
    await eventually(() => on.server.sends().length === 1);
    fills("outbox");
    on.server.answers = true;
    on.server.dropSockets();
    await until(device.connection, (state) => state.state === "offline" && state.reason === "storage_full");

    vi.restoreAllMocks();
    device.hurry();
    await until(timeline.rows, (rows) => failed(rows).join() === "one forbidden");
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
