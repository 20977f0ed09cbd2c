/** A window on a conversation: some hundred rows, whatever the room has. */

import { afterEach, describe, expect, test, vi } from "vitest";

import { openStore } from "../../src/store/db";
import { eventually, Tab, until } from "./browsers";
import { messages, stage, texts } from "./stage";

const on = stage();

async function withMessages(count: number) {
  const room = on.server.room("alice", "bob", "carol");
  for (let n = 1; n <= count; n++) on.server.says("bob", room, `${n}`);
  const tab = await on.browser.signedIn("alice");
  return { room, device: tab.device, tab };
}

const numbers = (first: number, last: number) => Array.from({ length: last - first + 1 }, (_, n) => `${first + n}`);

describe("a window", () => {
  test("begins at the newest rows, grows to older ones, and follows what comes", async () => {
    const { room, device } = await withMessages(250);
    const timeline = await device.timeline(room.id);
    expect(texts(timeline.rows.value)).toEqual(numbers(151, 250));
    expect(timeline.unreadFrom).toBe(2);
    expect(timeline.hasOlder.value).toBe(true);

    on.server.says("bob", room, "251");
    await until(timeline.rows, (rows) => texts(rows).at(-1) === "251");
    await timeline.older();
    await timeline.older();
    expect(texts(timeline.rows.value)).toEqual(numbers(1, 251));
    expect(timeline.hasOlder.value).toBe(false);
    expect(timeline.rows.value[0]).toMatchObject({ kind: "system", change: { what: "created", by: "alice" } });
  });

  test("that opens while messages come shows each once", async () => {
    const { room, device, tab } = await withMessages(5);
    for (let n = 6; n <= 15; n++) {
      const opening = device.timeline(room.id);
      tab.bus.tell({ type: "stored", rooms: [room.id], upTo: 0 });
      on.server.says("bob", room, `${n}`);
      const timeline = await opening;
      const rows = await until(timeline.rows, (rows) => texts(rows).at(-1) === `${n}`);
      timeline.close();
      expect(texts(rows)).toEqual(numbers(1, n));
    }
  });

  test("around a place does not follow what comes, until it is at the end again", async () => {
    const { room, device } = await withMessages(300);
    const timeline = await device.timeline(room.id);
    await timeline.around(120);
    expect(texts(timeline.rows.value)).toEqual(numbers(69, 168));
    expect([timeline.hasOlder.value, timeline.hasNewer.value]).toEqual([true, true]);

    on.server.says("bob", room, "301");
    await until(device.rooms, (rooms) => rooms[0]?.preview?.text === "301");
    expect(texts(timeline.rows.value).at(-1)).toBe("168");
    await timeline.newer();
    expect(texts(timeline.rows.value)).toEqual(numbers(69, 268));
    await timeline.newer();
    expect(timeline.hasNewer.value).toBe(false);
    expect(texts(timeline.rows.value).at(-1)).toBe("301");
  });

  test("shows the same row as the same object, whatever else changes", async () => {
    const { room, device } = await withMessages(20);
    const timeline = await device.timeline(room.id);
    const before = new Map(timeline.rows.value.map((row) => [row.key, row]));
    on.server.says("bob", room, "21");
    const rows = await until(timeline.rows, (rows) => texts(rows).at(-1) === "21");
    for (const row of rows.slice(0, -1)) expect(row).toBe(before.get(row.key));
  });

  test("behind what is stored asks the server", async () => {
    const { room, device } = await withMessages(150);
    const db = await openStore();
    // As while a long history is still being read.
    const tx = db.transaction(["entries", "values"], "readwrite");
    tx.objectStore("entries").delete(IDBKeyRange.upperBound(100));
    tx.objectStore("values").put(101, "low");
    await tx.done;
    const timeline = await device.timeline(room.id);
    expect(texts(timeline.rows.value)).toEqual(numbers(100, 150));
    expect(timeline.hasOlder.value).toBe(true);
    await timeline.older();
    expect(texts(timeline.rows.value)).toEqual(numbers(1, 150));
    expect(on.server.requests).toContain(`GET rooms/${room.id}/messages?limit=100&before=101`);
    expect(await db.count("entries")).toBe(151);
  });

  test("without a row here asks for what is stored on the server, and leaves to the socket what it brings", async () => {
    const { room, device } = await withMessages(150);
    const db = await openStore();
    const tx = db.transaction(["entries", "values"], "readwrite");
    tx.objectStore("entries").clear();
    tx.objectStore("values").put(152, "low");
    await tx.done;
    on.server.pushes = false;
    on.server.says("bob", room, "151");
    const timeline = await device.timeline(room.id);
    expect([timeline.rows.value.length, timeline.hasOlder.value]).toEqual([0, true]);
    await timeline.older();
    expect(texts(timeline.rows.value)).toEqual(numbers(51, 150));
    expect(on.server.requests).toContain(`GET rooms/${room.id}/messages?limit=100&before=152`);

    on.server.pushes = true;
    on.server.push(on.server.user("alice"));
    await until(timeline.rows, (rows) => texts(rows).at(-1) === "151");
    expect(await db.count("entries")).toBe(101);
  });

  test("keeps asking for what the server could not give for now, and shows what is here", async () => {
    const { room, device } = await withMessages(150);
    const db = await openStore();
    const tx = db.transaction(["entries", "values"], "readwrite");
    tx.objectStore("entries").delete(IDBKeyRange.upperBound(20));
    tx.objectStore("values").put(21, "low");
    await tx.done;
    const timeline = await device.timeline(room.id);
    on.server.answer = (_, path) =>
      path.startsWith(`rooms/${room.id}/messages`)
        ? { status: 503, body: { status: 503, code: "unavailable", retry_after: 60 } }
        : undefined;
    await timeline.older();
    expect(texts(timeline.rows.value)).toEqual(numbers(20, 150));
    expect(timeline.hasOlder.value).toBe(true);
    await expect(timeline.older()).rejects.toMatchObject({ code: "unavailable" });
    expect(timeline.hasOlder.value).toBe(true);

    on.server.answer = () => undefined;
    await timeline.older();
    expect(texts(timeline.rows.value)).toEqual(numbers(1, 150));
    expect(timeline.hasOlder.value).toBe(false);
  });

  test("behind a page of nothing but hidden entries asks on where that page ended", async () => {
    const { room, device } = await withMessages(250);
    const db = await openStore();
    const tx = db.transaction(["entries", "values"], "readwrite");
    tx.objectStore("entries").delete(IDBKeyRange.upperBound(200));
    tx.objectStore("values").put(201, "low");
    await tx.done;
    const pages = `rooms/${room.id}/messages?limit=100&before=`;
    // As where messages are kept for a time only.
    const hidden = Array.from({ length: 100 }, (_, at) => ({ seq: 200 - at, kind: "hidden" }));
    on.server.answer = (_, path) =>
      path === `${pages}201` ? { status: 200, body: { entries: hidden, next: 101 } } : undefined;
    const timeline = await device.timeline(room.id);
    await timeline.older();
    expect(texts(timeline.rows.value)).toEqual(numbers(200, 250));
    expect(timeline.hasOlder.value).toBe(true);
    await timeline.older();
    expect(texts(timeline.rows.value)).toEqual([...numbers(1, 99), ...numbers(200, 250)]);
    expect(timeline.hasOlder.value).toBe(false);
    expect(on.server.requests.filter((request) => request.includes(pages))).toEqual([
      `GET ${pages}201`,
      `GET ${pages}101`,
    ]);
  });

  test("does not believe pages that do not go on", async () => {
    const { room, device } = await withMessages(5);
    const db = await openStore();
    const tx = db.transaction(["entries", "values"], "readwrite");
    tx.objectStore("entries").delete(IDBKeyRange.upperBound(3));
    tx.objectStore("values").put(4, "low");
    await tx.done;
    const timeline = await device.timeline(room.id);
    const before = timeline.rows.value;
    on.server.answer = (_, path) =>
      path.startsWith(`rooms/${room.id}/messages`)
        ? { status: 200, body: { entries: [{ seq: 3, kind: "hidden" }], next: 4 } }
        : undefined;
    await expect(timeline.older()).rejects.toMatchObject({ code: "offline" });
    expect(timeline.rows.value).toBe(before);
  });

  test("that was closed hears nothing any more", async () => {
    const { room, device } = await withMessages(3);
    const timeline = await device.timeline(room.id);
    timeline.close();
    on.server.says("bob", room, "4");
    await until(device.rooms, (rooms) => rooms[0]?.preview?.text === "4");
    expect(texts(timeline.rows.value)).toEqual(numbers(1, 3));
  });
});

describe("ticks", () => {
  test("go by all others who were there, and say how many in a group", async () => {
    const { room, device } = await withMessages(0);
    const timeline = await device.timeline(room.id);
    const id = await device.send(room.id, "who has this?");
    const mine = () => messages(timeline.rows.value)[0];
    await until(timeline.rows, () => mine()?.seq != null);
    const receipt = (username: string, marks: object) => ({
      room: room.id,
      user: on.server.user(username),
      device: device.account.value!.device,
      ...marks,
    });

    on.server.tell("alice", { type: "receipts", receipts: [receipt("bob", { delivered: id })] });
    await until(timeline.rows, () => mine()?.reached?.delivered === 1);
    expect(mine()).toMatchObject({ ticks: "sent", reached: { delivered: 1, read: 0, of: 2 } });

    on.server.tell("alice", { type: "receipts", receipts: [receipt("carol", { read: id })] });
    await until(timeline.rows, () => mine()?.ticks === "delivered");
    expect(mine()).toMatchObject({ reached: { delivered: 2, read: 1, of: 2 } });
    on.server.tell("alice", { type: "receipts", receipts: [receipt("bob", { read: id })] });
    await until(timeline.rows, () => mine()?.ticks === "read");
    await until(device.rooms, (rooms) => rooms[0]?.preview?.ticks === "read");
  });

  test("that were missed are asked for after each connect", async () => {
    const { room, device } = await withMessages(0);
    const timeline = await device.timeline(room.id);
    const id = await device.send(room.id, "who has this?");
    await until(timeline.rows, (rows) => messages(rows)[0]?.seq != null);
    on.server.receipts.set(
      room.id,
      ["bob", "carol"].map((username) => ({
        user: on.server.user(username),
        device: device.account.value!.device,
        delivered: id,
        read: null,
      })),
    );
    on.server.dropSockets();
    await until(timeline.rows, (rows) => messages(rows)[0]?.ticks === "delivered");
  });

  test("of what another device of the user's sent long ago stand in the history", async () => {
    const room = on.server.direct("alice", "bob");
    on.server.says("alice", room, "from the phone", { delivered: true, read: true });
    const { device } = await on.browser.signedIn("alice");
    const timeline = await device.timeline(room.id);
    expect(messages(timeline.rows.value)[0]).toMatchObject({ mine: true, ticks: "read" });
    await until(device.rooms, (rooms) => rooms[0]?.preview?.ticks === "read");
  });
});

describe("a draft", () => {
  async function typing() {
    const { room, device } = await withMessages(0);
    const db = await openStore();
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
    return { room, device, kept: async () => (await db.get("rooms", room.id))?.draft };
  }
  afterEach(() => {
    vi.useRealTimers();
  });

  test("is kept at once when the page is hidden: it may never be shown again", async () => {
    const { room, device, kept } = await typing();
    device.keepDraft(room.id, "half a sen");
    on.browser.hide();
    vi.useRealTimers();
    await eventually(async () => (await kept()) === "half a sen");
    const again = await Tab.open(on.browser);
    expect(await again.device.draft(room.id)).toBe("half a sen");
  });

  test("is kept after a pause, and now and then where there is none", async () => {
    const { room, device, kept } = await typing();
    for (let n = 1; n <= 21; n++) {
      device.keepDraft(room.id, "x".repeat(n));
      vi.advanceTimersByTime(100);
      if (n === 15) expect(await kept()).toBe("");
    }
    vi.useRealTimers();
    await eventually(async () => ((await kept())?.length ?? 0) >= 20);
  });
});

test("a draft is kept with its room", async () => {
  const { room, device } = await withMessages(0);
  device.keepDraft(room.id, "dear");
  device.keepDraft(room.id, "dear all");
  expect(await device.draft(room.id)).toBe("dear all");
  const db = await openStore();
  await eventually(async () => (await db.get("rooms", room.id))?.draft === "dear all");
});

test("rooms are sorted by what came last, and only those that changed are new objects", async () => {
  const { device } = await withMessages(1);
  const others = [on.server.direct("alice", "dora"), on.server.direct("alice", "emil")];
  await until(device.rooms, (rooms) => rooms.length === 3);
  on.server.says("dora", others[0]!, "hello");
  await until(device.rooms, (rooms) => rooms[0]?.preview?.text === "hello");
  on.server.says("emil", others[1]!, "hi");
  const before = device.rooms.value.find((line) => line.id === others[0]!.id);
  const rooms = await until(device.rooms, (rooms) => rooms[0]?.preview?.text === "hi");
  expect(rooms.map((line) => line.others[0])).toEqual(["emil", "dora", "bob"]);
  expect(rooms[1]).toBe(before);
});
