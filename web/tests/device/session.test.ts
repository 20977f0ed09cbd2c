/** Tokens and requests (docs/protocol.md §3.4, docs/client.md). */

import { afterEach, describe, expect, test, vi } from "vitest";

import { DeviceSession } from "../../src/device/session";
import { TabsBus } from "../../src/device/tabs";
import { Refusal } from "../../src/messenger";
import { openStore } from "../../src/store/db";
import { getValue, putValue } from "../../src/store/values";
import { type Browser, eventually, Tab, until } from "./browsers";
import { fails } from "./disk";
import { newId } from "./ledger";
import { refused } from "./server";
import { held, messages, stage } from "./stage";

const on = stage();

async function aSession(browser: Browser): Promise<DeviceSession> {
  globalThis.indexedDB = browser.indexedDB;
  return new DeviceSession(
    await openStore(),
    new TabsBus(browser.name),
    browser.locks,
    browser.clock,
    browser.server.origin,
  );
}

async function signedIn(browser: Browser): Promise<DeviceSession> {
  const session = await aSession(browser);
  await session.enter("accounts/register", { username: "alice", password: "x", device_name: "browser" });
  return session;
}

/** The access token that is kept is one that the server does not know. */
async function withBadToken(browser: Browser): Promise<void> {
  globalThis.indexedDB = browser.indexedDB;
  const db = await openStore();
  await putValue(db, "tokens", { ...(await getValue(db, "tokens"))!, access: "bad" });
}

const refreshes = (): number => on.server.requests.filter((request) => request.endsWith("accounts/refresh")).length;

afterEach(() => {
  vi.restoreAllMocks();
});

test("who this device is is asked for again where the disk did not say", async () => {
  await signedIn(on.browser);
  const session = await aSession(on.browser);
  fails("values", "identity");
  await expect(session.identity()).rejects.toMatchObject({ name: "UnknownError" });
  expect(await session.identity()).toMatchObject({ username: "alice" });
});

describe("an access token", () => {
  test("that is refused is replaced, once for all requests and tabs", async () => {
    const one = await signedIn(on.browser);
    const other = await aSession(on.browser);
    await withBadToken(on.browser);

    await Promise.all([one, one, other, other].map((session) => session.request("GET", "rooms")));

    expect(refreshes()).toBe(1);
  });

  test("that ends soon is replaced before it is used", async () => {
    const session = await signedIn(on.browser);
    const db = await openStore();
    await putValue(db, "tokens", { ...(await getValue(db, "tokens"))!, accessExpiresAt: Date.now() + 5_000 });

    await session.request("GET", "rooms");

    expect(on.server.requests.slice(-2)).toEqual(["POST accounts/refresh", "GET rooms"]);
  });

  test("that seems to have ended although it is new is used: it is the clock that is off", async () => {
    on.browser.clock = { ...on.browser.clock, now: () => Date.now() + 86_400_000 };
    const session = await signedIn(on.browser);
    await session.request("GET", "rooms");
    await session.request("GET", "rooms");
    expect(refreshes()).toBe(1);
  });
});

describe("an access token that is being replaced while somebody else signs in", () => {
  test.each([false, true])("leaves the tokens of the one who did (refused: %s)", async (isRefused) => {
    const session = await signedIn(on.browser);
    await withBadToken(on.browser);
    const refreshing = held();
    on.server.answer = (_, path) => (path === "accounts/refresh" ? refreshing.hold() : undefined);
    const asked = session.request("GET", "rooms");
    asked.catch(() => undefined);
    await eventually(() => refreshing.isHeld);
    const other = await aSession(on.browser);
    await other.enter("accounts/sign-in", { username: "carol", password: "x", device_name: "browser" });
    const db = await openStore();
    const tokens = await getValue(db, "tokens");
    if (isRefused) on.server.revoke("alice");
    refreshing.go();

    await expect(asked).rejects.toMatchObject({ code: "signed_out" });
    expect(await getValue(db, "tokens")).toEqual(tokens);
  });
});

describe("a device that was revoked", () => {
  test("is signed out, and asks no more", async () => {
    const session = await signedIn(on.browser);
    on.server.revoke("alice");
    await expect(session.request("GET", "rooms")).rejects.toMatchObject({ code: "signed_out" });
    const asked = on.server.requests.length;
    await expect(session.request("GET", "rooms")).rejects.toMatchObject({ code: "signed_out" });
    expect(on.server.requests).toHaveLength(asked);
    expect(await session.identity()).toMatchObject({ username: "alice" });
  });

  test("stops its connection with that reason", async () => {
    const { device } = await on.browser.signedIn("alice");
    on.server.revoke("alice");
    const stopped = await until(device.connection, (connection) => connection.state === "stopped");
    expect(stopped).toEqual({ state: "stopped", reason: "signed_out" });
    expect(device.account.value?.username).toBe("alice");
  });
});

describe("signing in again", () => {
  /** Alice was signed out while this browser had no network: a message, a block and a draft of hers have not gone. */
  async function wroteOffline() {
    const room = on.server.direct("alice", "bob");
    on.server.user("carol");
    const first = await on.browser.signedIn("alice");
    await until(first.device.rooms, (rooms) => rooms.length === 1);
    first.close();
    await eventually(() => on.server.online.length === 0);
    const tab = await Tab.open(on.browser, { begins: false });
    const id = await tab.device.send(room.id, "Are you there?");
    await tab.device.press("block", { user: on.server.user("carol") });
    tab.device.keepDraft(room.id, "And if");
    await eventually(async () => (await tab.db.get("rooms", room.id))?.draft === "And if");
    on.server.revoke("alice");
    await tab.device.begin();
    await until(tab.device.connection, ({ state }) => state === "stopped");
    return { room, tab, id };
  }

  test("as the same user keeps what was not sent, to be sent again, what was pressed, and what was being written", async () => {
    const { room, tab, id } = await wroteOffline();
    const { device } = tab;
    await device.signIn("alice", { password: "x" }, "browser");
    await tab.live();

    expect(await device.draft(room.id)).toBe("And if");
    const alice = on.server.user("alice");
    await eventually(() => on.server.bookOf(alice).connections.get(on.server.user("carol"))?.blocked);
    const timeline = await device.timeline(room.id);
    const [row] = messages(await until(timeline.rows, (rows) => messages(rows)[0]?.ticks === "failed"));
    expect(row).toMatchObject({ id, text: "Are you there?", refused: { reason: "signed_out", canSendAgain: true } });
    expect(on.server.sends()).toEqual([]);

    await device.sendAgain(id);
    await until(timeline.rows, (rows) => messages(rows).length === 1 && messages(rows)[0]?.ticks === "sent");
  });

  test("shows once what the server had after all", async () => {
    const { room, tab, id } = await wroteOffline();
    on.server.says("alice", room, "Are you there?", { id });
    await tab.device.signIn("alice", { password: "x" }, "browser");
    await tab.live();

    const timeline = await tab.device.timeline(room.id);
    const rows = messages(await until(timeline.rows, (rows) => messages(rows)[0]?.ticks === "sent"));
    expect(rows.map((row) => row.id)).toEqual([id]);
    expect(await tab.db.count("outbox")).toBe(0);
  });

  test("as another user leaves none of it", async () => {
    const { tab } = await wroteOffline();
    await tab.device.signIn("dora", { password: "x" }, "browser");
    await tab.live();
    for (const store of ["outbox", "changes", "rooms"] as const) expect(await tab.db.count(store)).toBe(0);
  });
});

describe("a request", () => {
  const busy = { ...refused(503, "unavailable") };

  test("that does no harm is repeated while the server is away for the time being", async () => {
    const session = await signedIn(on.browser);
    let times = 0;
    on.server.answer = (_, path) => (path === "rooms" && ++times < 3 ? busy : undefined);
    expect(await session.request("GET", "rooms")).toMatchObject({ next: null });
    expect(times).toBe(3);
  });

  test("that may do harm is not, unless nothing was done", async () => {
    const session = await signedIn(on.browser);
    let times = 0;
    on.server.answer = (method) => (method === "POST" && ++times < 9 ? busy : undefined);
    await expect(session.request("POST", "rooms", { body: {} })).rejects.toMatchObject({ code: "unavailable" });
    expect(times).toBe(1);
    on.server.answer = (method) => (method === "POST" && ++times < 4 ? refused(429, "rate_limited") : undefined);
    await expect(session.request("POST", "rooms", { body: {} })).rejects.toMatchObject({ code: "not_found" });
    expect(times).toBe(4);
  });

  test("that is refused for good says why", async () => {
    const session = await signedIn(on.browser);
    const refusal = await session.request("GET", "nothing").catch((error) => error);
    expect(refusal).toBeInstanceOf(Refusal);
    expect(refusal).toMatchObject({ code: "not_found", problem: { status: 404 } });
  });

  test("is not made where nobody is signed in", async () => {
    const session = await aSession(on.browser);
    await expect(session.request("GET", "rooms")).rejects.toMatchObject({ code: "signed_out" });
    expect(on.server.requests).toEqual([]);
  });
});

test("a tab that is closed stops what its keys do by themselves", async () => {
  const tab = await on.browser.signedIn("alice");
  expect(tab.sealing.isClosed).toBe(false);
  tab.close();
  expect(tab.sealing.isClosed).toBe(true);
});

test("signing out leaves nothing, also when the server is away", async () => {
  const tab = await on.browser.signedIn("alice");
  const room = on.server.direct("alice", "bob");
  on.server.says("bob", room, "a secret");
  await until(tab.device.rooms, (rooms) => rooms[0]?.preview?.text === "a secret");
  on.server.answer = () => refused(500, "internal");

  await tab.device.signOut();

  await until(tab.device.account, (account) => account === null);
  await until(tab.device.rooms, (rooms) => rooms.length === 0);
  const db = await openStore();
  for (const store of ["entries", "rooms", "values", "outbox", "people"] as const)
    expect(await db.count(store)).toBe(0);
});

test("an account of the same name that is another one is not taken for it", async () => {
  const session = await signedIn(on.browser);
  const db = await openStore();
  const identity = (await getValue(db, "identity"))!;
  await putValue(db, "identity", { ...identity, user: newId<typeof identity.user>() });
  const again = session.enter("accounts/sign-in", { username: "alice", password: "x", device_name: "browser" });
  await expect(again).rejects.toMatchObject({ code: "not_verified" });
  expect(await getValue(db, "identity")).not.toEqual(identity);
});

test("whoever signs in next sees nothing of the one before", async () => {
  const tab = await on.browser.signedIn("alice");
  const room = on.server.direct("alice", "bob");
  on.server.says("bob", room, "for alice");
  await until(tab.device.rooms, (rooms) => rooms.length === 1);

  await tab.device.signIn("carol", { password: "x" }, "browser");

  await until(tab.device.account, (account) => account?.username === "carol");
  await until(tab.device.rooms, (rooms) => rooms.length === 0);
  await tab.live();
  expect(on.server.online).toContain("carol");
});
