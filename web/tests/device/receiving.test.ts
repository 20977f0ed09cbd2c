/** What arrives, and what a connection does (docs/protocol.md §3.3, §4.3 to §4.5). */

import { afterEach, describe, expect, test, vi } from "vitest";

import type { MessageId, UserId } from "../../src/protocol/ids";
import { openStore } from "../../src/store/db";
import { eventually, Tab, until } from "./browsers";
import { fills } from "./disk";
import { newId } from "./ledger";
import { type FakeRoom, Server } from "./server";
import { held, messages, stage, texts } from "./stage";

const on = stage();

afterEach(() => {
  vi.restoreAllMocks();
});

const alice = (): UserId => on.server.user("alice");

describe("a late message", () => {
  test("is refused live, shown as such, and told to the server until it has an answer", async () => {
    const room = on.server.direct("alice", "bob");
    const { device } = await on.browser.signedIn("alice");
    const timeline = await device.timeline(room.id);
    const phone = { device: on.server.user("bob's phone") };
    const first = on.server.says("bob", room, "second thought", { ...phone, sent_at: 9_000 });
    const late = on.server.says("bob", room, "first thought", { ...phone, sent_at: 5_000 });

    const rows = messages(await until(timeline.rows, (rows) => messages(rows).length === 2));
    expect(rows.map((row) => row.refused?.reason ?? null)).toEqual([null, "late"]);
    const reject = await eventually(() => on.server.frames.find((frame) => frame.type === "reject"));
    expect(reject).toMatchObject({ message: late.id, later: first.id });
    await until(device.rooms, (rooms) => rooms[0]?.unread === 1);
    const db = await openStore();
    await eventually(async () => (await db.count("refusals")) === 0);
  });

  async function refusedByBob() {
    const room = on.server.direct("alice", "bob");
    const { device } = await on.browser.signedIn("alice");
    const timeline = await device.timeline(room.id);
    const id = await device.send(room.id, "am I late?");
    await until(timeline.rows, (rows) => messages(rows)[0]?.seq !== undefined && messages(rows)[0]?.seq !== null);
    const rejection = {
      message: id,
      room: room.id,
      sender: alice(),
      by: on.server.user("bob"),
      reason: "late",
      status: 422,
    };
    on.server.put(alice(), { kind: "rejection", device: device.account.value!.device, ...rejection });
    await until(timeline.rows, (rows) => messages(rows)[0]?.refused?.canSendAgain === true);
    return { room, device, timeline, id };
  }

  test("of one's own that somebody refused is not sent again where it cannot be noted that it was", async () => {
    const { room, device, timeline, id } = await refusedByBob();
    fills("entries");
    await expect(device.sendAgain(id)).rejects.toMatchObject({ code: "storage_full" });
    vi.restoreAllMocks();
    on.server.says("bob", room, "hello");
    await until(timeline.rows, (rows) => texts(rows).includes("hello"));
    expect(texts(timeline.rows.value)).toEqual(["am I late?", "hello"]);
    expect(on.server.stored.size).toBe(1);
    await device.sendAgain(id);
    await until(timeline.rows, (rows) => messages(rows).length === 3);
  });

  test("of one's own that somebody refused is sent again once, however often that is pressed", async () => {
    const { device, timeline, id } = await refusedByBob();
    const pressed = await Promise.allSettled([device.sendAgain(id), device.sendAgain(id)]);
    expect(pressed.map(({ status }) => status)).toEqual(["fulfilled", "rejected"]);
    await until(timeline.rows, (rows) => messages(rows).length === 2);
  });

  test("of one's own that somebody refused can be sent again, once", async () => {
    const { device, timeline, id } = await refusedByBob();
    await device.sendAgain(id);
    await until(timeline.rows, (rows) => messages(rows).length === 2 && messages(rows)[1]?.seq !== null);
    const [first] = messages(await until(timeline.rows, (rows) => messages(rows)[0]?.refused?.canSendAgain === false));
    expect(first).toMatchObject({ id, refused: { reason: "late" } });
    await expect(device.sendAgain(id)).rejects.toMatchObject({ code: "not_found" });
  });
});

describe("a connection", () => {
  test("resumes where it broke: nothing is lost, nothing comes twice", async () => {
    const room = on.server.room("alice", "bob");
    const { device } = await on.browser.signedIn("alice");
    const timeline = await device.timeline(room.id);
    const said: string[] = [];
    for (let n = 0; n < 60; n++) {
      said.push(`${n}`);
      on.server.says("bob", room, `${n}`);
      if (n % 20 === 10) on.server.dropSockets();
      if (n % 10 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    expect(texts(await until(timeline.rows, (rows) => messages(rows).length >= 60))).toEqual(said);
  });

  test("waits for what is being opened and stored, and does not ask all the time", async () => {
    const room = on.server.room("alice", "bob");
    const { clock } = on.browser;
    let waits = 0;
    on.browser.clock = {
      ...clock,
      wait: (ms, signal) => {
        waits += 1;
        return clock.wait(ms, signal);
      },
    };
    const { device, sealing } = await on.browser.signedIn("alice");
    const timeline = await device.timeline(room.id);
    const open = sealing.open.bind(sealing);
    let opening = 0;
    sealing.open = async (messages) => {
      opening = waits;
      await clock.wait(300);
      opening = waits - opening;
      return open(messages);
    };
    on.server.says("bob", room, "something long");
    await until(timeline.rows, (rows) => texts(rows).includes("something long"));
    expect(opening).toBeLessThan(5);
    await eventually(() => on.server.frames.some((frame) => frame.type === "ack" && frame.seq === 2));
  });

  test("begins anew behind a gap", async () => {
    const room = on.server.room("alice", "bob");
    const { device } = await on.browser.signedIn("alice");
    const timeline = await device.timeline(room.id);
    on.server.pushes = false;
    on.server.says("bob", room, "one");
    const lost = on.server.says("bob", room, "two");
    on.server.pushes = true;
    on.server.tell("alice", { type: "entries", entries: [{ seq: 3, kind: "message", ...lost }] });

    expect(texts(await until(timeline.rows, (rows) => messages(rows).length === 2))).toEqual(["one", "two"]);
    expect(on.server.frames.filter((frame) => frame.type === "hello")).toHaveLength(2);
  });

  test("takes nothing of a frame that is broken", async () => {
    const room = on.server.room("alice", "bob");
    const { device } = await on.browser.signedIn("alice");
    const timeline = await device.timeline(room.id);
    on.server.pushes = false;
    const good = on.server.says("bob", room, "one");
    on.server.pushes = true;
    on.server.tell("alice", {
      type: "entries",
      entries: [
        { seq: 2, kind: "message", ...good },
        { seq: 3, kind: "message", ...good, sent_at: "soon" },
      ],
    });
    expect(texts(await until(timeline.rows, (rows) => messages(rows).length === 1))).toEqual(["one"]);
    expect(on.server.frames.filter((frame) => frame.type === "hello")).toHaveLength(2);
  });

  test("that lost what it had acknowledged fills it from the server", async () => {
    const room = on.server.room("alice", "bob");
    const tab = await on.browser.signedIn("alice");
    const timeline = await tab.device.timeline(room.id);
    for (const text of ["one", "two", "three"]) on.server.says("bob", room, text);
    await until(timeline.rows, (rows) => messages(rows).length === 3);
    await eventually(() => on.server.cursors.get(tab.device.account.value!.device) === 4);
    tab.close();
    const db = await openStore();
    for (const seq of [3, 4]) await db.delete("entries", seq);
    await db.put("values", 2, "stored");
    db.close();

    const again = await Tab.open(on.browser);
    await again.live();
    const rows = await until((await again.device.timeline(room.id)).rows, (rows) => messages(rows).length === 3);
    expect(texts(rows)).toEqual(["one", "two", "three"]);
  });

  test("is told how far the user has read, also on other devices", async () => {
    const room = on.server.direct("alice", "bob");
    const { device } = await on.browser.signedIn("alice");
    on.server.says("bob", room, "one");
    on.server.says("bob", room, "two");
    await until(device.rooms, (rooms) => rooms[0]?.unread === 2);
    on.server.tell("alice", { type: "read", room: room.id, seq: 2 });
    await until(device.rooms, (rooms) => rooms[0]?.unread === 1);

    // Away, that is not told: the history has it.
    for (const entry of on.server.mailboxes.get(alice())!) entry.read = true;
    on.server.dropSockets();
    await until(device.rooms, (rooms) => rooms[0]?.unread === 0);
  });

  test("shows who is writing, until the message comes", async () => {
    const room = on.server.direct("alice", "bob");
    const { device } = await on.browser.signedIn("alice");
    on.server.tell("alice", { type: "typing", room: room.id, user: on.server.user("bob") });
    await until(device.rooms, (rooms) => rooms[0]?.typing[0] === "bob");
    on.server.says("bob", room, "there");
    await until(device.rooms, (rooms) => rooms[0]?.typing.length === 0);

    device.typing(room.id);
    device.typing(room.id);
    await eventually(() => on.server.frames.some((frame) => frame.type === "typing"));
    expect(on.server.frames.filter((frame) => frame.type === "typing")).toHaveLength(1);
  });

  test("stops for good where coming back cannot help, until the user wants it tried", async () => {
    const { device } = await on.browser.signedIn("alice");
    on.server.dropSockets(4400);
    await until(device.connection, (connection) => connection.state === "stopped");
    expect(device.connection.value).toEqual({ state: "stopped", reason: "fault" });
    device.hurry();
    await until(device.connection, (connection) => connection.state === "live");
  });

  test("of a suspended account says so, and comes back when the user tries", async () => {
    const { device } = await on.browser.signedIn("alice");
    on.server.dropSockets(4403);
    await until(device.connection, (connection) => connection.state === "stopped");
    expect(device.connection.value).toEqual({ state: "stopped", reason: "suspended" });
    device.hurry();
    await until(device.connection, (connection) => connection.state === "live");
  });

  test("says when it will be tried again", async () => {
    on.browser.clock = { ...on.browser.clock, chance: () => 0.999 };
    const tab = await on.browser.signedIn("alice");
    await on.server.stop();
    const offline = await until(tab.device.connection, (connection) => connection.state === "offline");
    expect(offline).toMatchObject({ state: "offline" });
    expect((offline as { retryAt: number }).retryAt).toBeGreaterThan(Date.now() - 1_000);
  });
});

describe("the host", () => {
  test("that the server assigns has the socket; REST stays", async () => {
    const host = await Server.start();
    on.server.lendTokensTo(host);
    on.server.answer = (_, path) =>
      path === "hosts/assignment" ? { status: 200, body: { host: "web-2", url: host.origin } } : undefined;
    await on.browser.signedIn("alice");
    expect(host.online).toEqual(["alice"]);
    expect(host.requests).toEqual([]);
    await host.stop();
  });

  test("that cannot be reached is passed over for the one of the page", async () => {
    const gone = await Server.start();
    const url = gone.origin;
    await gone.stop();
    on.server.answer = (_, path) =>
      path === "hosts/assignment" ? { status: 200, body: { host: "web-2", url } } : undefined;
    await on.browser.signedIn("alice");
    expect(on.server.online).toEqual(["alice"]);
  });

  test("sends the device elsewhere, and nothing is lost", async () => {
    const host = await Server.start();
    on.server.lendTokensTo(host);
    const { device } = await on.browser.signedIn("alice");
    on.server.tell("alice", { type: "reconnect", url: host.origin, after_ms: 50 });
    await eventually(() => host.online.length === 1);
    await until(device.connection, (connection) => connection.state === "live");
    await eventually(() => on.server.online.length === 0);
    await host.stop();
  });
});

test("a new device reads its history, newest first, before it is live, and acknowledges it", async () => {
  const room = on.server.room("alice", "bob");
  for (let n = 1; n <= 1_200; n++) on.server.says("bob", room, `${n}`, { read: n <= 1_190 });
  const { device } = await on.browser.signedIn("alice");

  const { rows } = await device.timeline(room.id);
  expect(texts(rows.value).at(-1)).toBe("1200");
  await until(device.rooms, (rooms) => rooms[0]?.unread === 10);
  expect(on.server.cursors.get(device.account.value!.device)).toBe(1_201);
  const pages = on.server.requests.filter((request) => request.startsWith("GET mailbox?after="));
  expect(pages.slice(0, 3)).toEqual([
    "GET mailbox?after=701&limit=500",
    "GET mailbox?after=201&limit=500",
    "GET mailbox?after=0&limit=201",
  ]);
  expect(on.server.frames.some((frame) => frame.type === "reject")).toBe(false);
  expect((await device.search("117", 50)).map((hit) => hit.text).sort()).toEqual(
    ["117", ...Array.from({ length: 10 }, (_, n) => `117${n}`)].sort(),
  );
  await until(device.restoring, (restoring) => restoring === null);
});

test("a history that was cut off goes on where it was", async () => {
  const room = on.server.room("alice", "bob");
  for (let n = 1; n <= 1_200; n++) on.server.says("bob", room, `${n}`);
  let pages = 0;
  on.server.answer = (_, path) =>
    path.startsWith("mailbox?after=") && ++pages > 1 ? { status: 400, body: { code: "invalid" } } : undefined;
  const first = await Tab.open(on.browser);
  await first.device.signIn("alice", { password: "x" }, "browser");
  await eventually(() => pages > 1);
  first.close();
  on.server.answer = () => undefined;

  const again = await Tab.open(on.browser);
  await again.live();
  const timeline = await again.device.timeline(room.id);
  for (let n = 0; n < 12; n++) await timeline.older();
  expect(timeline.rows.value).toHaveLength(1_000); // a window gives up the rows at its other end
  expect(texts(timeline.rows.value)).toEqual(Array.from({ length: 999 }, (_, n) => `${n + 1}`));
  const db = await openStore();
  expect(await db.count("entries")).toBe(1_201);
  await until(again.device.rooms, (rooms) => rooms[0]?.unread === 1_200);
});

test("a history that is being read while the connection breaks is read to its end on the next one", async () => {
  const room = on.server.room("alice", "bob");
  for (let n = 1; n <= 800; n++) on.server.says("bob", room, `${n}`);
  const tab = await on.browser.signedIn("alice");
  const db = await openStore();
  const tx = db.transaction(["entries", "values"], "readwrite");
  tx.objectStore("entries").delete(IDBKeyRange.upperBound(700));
  tx.objectStore("values").put(701, "low");
  await tx.done;
  const { sealing } = tab;
  const opens = sealing.open;
  let go = (): void => undefined;
  const held = new Promise<void>((resolve) => {
    go = resolve;
  });
  let isHeld = false;
  sealing.open = async (messages) => {
    isHeld = true;
    await held;
    return opens.call(sealing, messages);
  };
  on.server.dropSockets();
  await eventually(() => isHeld);
  expect(tab.device.restoring.value).not.toBeNull();

  on.server.dropSockets();
  await eventually(() => on.server.frames.filter((frame) => frame.type === "hello").length === 3);
  await tab.live();
  go();
  await until(tab.device.restoring, (restoring) => restoring === null);
  expect(await db.get("values", "low")).toBe(1);
  expect(await db.count("entries")).toBe(801);
});

describe("what was asked for as one account, when another one is signed in by the time it is here, is not kept:", () => {
  async function carolSignsIn(): Promise<void> {
    const other = await Tab.open(on.browser);
    other.sealing.locked = true;
    await other.device.signIn("carol", { password: "x" }, "browser");
  }

  const epoch = (room: FakeRoom) => ({
    kind: "epoch",
    room: room.id,
    epoch: 2,
    creator: alice(),
    device: alice(),
    hash: "",
  });

  test("entries of the socket", async () => {
    const room = on.server.direct("alice", "bob");
    const tab = await on.browser.signedIn("alice");
    const hearing = held();
    tab.sealing.heard = hearing.hold;
    on.server.put(alice(), epoch(room));
    await eventually(() => hearing.isHeld);
    await carolSignsIn();
    hearing.go();

    await eventually(() => on.server.online.join() === "carol");
    expect(await tab.db.count("entries")).toBe(0);
    expect(await tab.db.get("values", "stored")).toBe(0);
  });

  test("where its history ends", async () => {
    on.server.direct("alice", "bob");
    const asking = held();
    on.server.answer = (_, path) => (path === "mailbox?limit=1" && !asking.isHeld ? asking.hold() : undefined);
    const tab = await Tab.open(on.browser);
    await tab.device.signIn("alice", { password: "x" }, "browser");
    await eventually(() => asking.isHeld);
    await carolSignsIn();
    asking.go();

    await eventually(() => on.server.online.join() === "carol");
    expect(await tab.db.get("values", "stored")).toBe(0);
  });

  test("what keys that came have opened", async () => {
    const room = on.server.room("alice", "bob");
    const tab = await on.browser.signedIn("alice");
    tab.sealing.locked = true;
    on.server.says("bob", room, "for alice");
    await eventually(async () => (await tab.db.countFromIndex("entries", "problem")) === 1);
    tab.sealing.locked = false;
    const opening = held();
    const { sealing } = tab;
    const opens = sealing.open;
    sealing.open = async (sealed) => {
      const opened = await opens.call(sealing, sealed);
      await opening.hold();
      return opened;
    };
    tab.bus.tell({ type: "unlocked" });
    await eventually(() => opening.isHeld);
    tab.sealing.locked = true;

    on.server.room("carol", "bob");
    await carolSignsIn();
    await eventually(async () => (await tab.db.get("entries", 1)) !== undefined);
    // Of the same number, and closed as well.
    const [mine] = on.server.mailboxes.get(alice())!.slice(-1);
    const { seq, kind, id, room: where, ...data } = mine;
    const closed = {
      seq,
      kind,
      room: where,
      data,
      message: newId<MessageId>(),
      text: null,
      problem: "locked",
    } as const;
    await tab.db.put("entries", closed);
    opening.go();
    await on.browser.locks.run("letterlock-reopening", async () => undefined);
    expect(await tab.db.get("entries", seq)).toEqual(closed);
  });
});

test("what could not be opened is opened by one tab at a time", async () => {
  const room = on.server.room("alice", "bob");
  const tab = await on.browser.signedIn("alice");
  const other = await Tab.open(on.browser);
  tab.sealing.locked = true;
  on.server.says("bob", room, "sealed");
  await eventually(async () => (await tab.db.countFromIndex("entries", "problem")) === 1);
  tab.sealing.locked = false;
  let opened = 0;
  for (const { sealing } of [tab, other]) {
    const opens = sealing.open;
    sealing.open = async (sealed) => {
      opened += 1;
      return opens.call(sealing, sealed);
    };
  }
  tab.bus.tell({ type: "unlocked" });
  await eventually(async () => (await tab.db.countFromIndex("entries", "problem")) === 0);
  await on.browser.locks.run("letterlock-reopening", async () => undefined);
  expect(opened).toBe(1);
});

test("what could not be opened is opened when its key comes", async () => {
  const room = on.server.room("alice", "bob");
  const tab = await on.browser.signedIn("alice");
  tab.sealing.locked = true;
  const timeline = await tab.device.timeline(room.id);
  on.server.says("bob", room, "sealed");
  const [row] = messages(await until(timeline.rows, (rows) => messages(rows).length === 1));
  expect(row).toMatchObject({ text: null, problem: "locked" });

  tab.sealing.locked = false;
  tab.bus.tell({ type: "unlocked" });
  await until(timeline.rows, (rows) => texts(rows)[0] === "sealed");
  await until(tab.device.rooms, (rooms) => rooms[0]?.preview?.text === "sealed");
  expect(await tab.device.search("seal", 5)).toHaveLength(1);
});

test("the members of a room are asked for when they change", async () => {
  const room = on.server.room("alice", "bob");
  const { device } = await on.browser.signedIn("alice");
  const detail = device.room(room.id);
  await until(detail, (detail) => detail?.members.length === 2);
  const carol = { user: on.server.user("carol"), username: "carol", role: "member", joined_at: 5 };
  Object.assign(room, { members_version: 2, members: [...room.members, carol] });
  const added = { kind: "room", room: room.id, change: "added", by: alice(), users: [carol.user], role: null };
  on.server.put(alice(), { ...added, members_version: 2 });

  await until(detail, (detail) => detail?.members.length === 3);
  const timeline = await device.timeline(room.id);
  expect(timeline.rows.value.at(-1)).toMatchObject({
    kind: "system",
    change: { what: "added", by: "alice", users: ["carol"] },
  });
});

test("a room that is muted on another device is muted here, also if that was missed", async () => {
  const room = on.server.direct("alice", "bob");
  const tab = await on.browser.signedIn("alice");
  await until(tab.device.rooms, (rooms) => rooms.length === 1);
  room.muted = true;
  on.server.tell("alice", { type: "muted", room: room.id, muted: true });
  await until(tab.device.rooms, (rooms) => rooms[0]?.muted === true);

  room.muted = false;
  on.server.dropSockets();
  await until(tab.device.rooms, (rooms) => rooms[0]?.muted === false);

  tab.close();
  room.muted = true;
  const again = await Tab.open(on.browser);
  await until(again.device.rooms, (rooms) => rooms[0]?.muted === true);
});
