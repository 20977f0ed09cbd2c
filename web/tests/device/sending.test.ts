/** What becomes of a message (docs/protocol.md §4.4, §6.5, docs/client.md). */

import { describe, expect, test, vi } from "vitest";

import type { Parts } from "../../src/device/parts";
import { Sender } from "../../src/device/sending";
import { Refusal } from "../../src/messenger";
import { openStore } from "../../src/store/db";
import { write } from "../../src/store/outbox";
import { eventually, Open, Tab, until } from "./browsers";
import { body, messages, stage, texts } from "./stage";

const on = stage();

async function aliceIn(kind: "direct" | "room" = "direct") {
  const room = on.server[kind]("alice", "bob");
  const tab = await on.browser.signedIn("alice");
  const timeline = await tab.device.timeline(room.id);
  return { room, tab, device: tab.device, timeline };
}

const problem = (status: number, code: string, more = {}) => ({ status, code, title: "", detail: "", ...more });

describe("a message that is refused", () => {
  test("for the time being goes again under its id, and holds up the later ones of its room", async () => {
    const { room, device } = await aliceIn();
    let refusals = 0;
    on.server.refuse = (message) =>
      body(message) === "one" && ++refusals < 3
        ? problem(503, "unavailable")
        : refusals < 3
          ? problem(503, "earlier_send_refused")
          : undefined;
    for (const text of ["one", "two", "three"]) await device.send(room.id, text);

    await eventually(() => on.server.stored.size === 3);
    const accepted = [...on.server.stored.values()].map((message) => body(message));
    expect(accepted).toEqual(["one", "two", "three"]);
  });

  test("for good has failed, is kept, and goes again under a new id if the user wants that", async () => {
    const { room, device, timeline } = await aliceIn();
    on.server.refuse = () => problem(403, "forbidden");
    const id = await device.send(room.id, "Hello?");

    const failed = messages(await until(timeline.rows, (rows) => messages(rows)[0]?.ticks === "failed"))[0]!;
    expect(failed.refused).toEqual({ reason: "failed", code: "forbidden", canSendAgain: true });
    await until(device.rooms, (rooms) => rooms[0]?.preview?.ticks === "failed" && rooms[0].preview.text === "Hello?");

    on.server.refuse = () => undefined;
    expect(await device.sendAgain(id)).not.toBe(id);
    await until(timeline.rows, (rows) => messages(rows).length === 1 && messages(rows)[0]?.ticks === "sent");
  });

  test("for good is gone when the user discards it", async () => {
    const { room, device, timeline } = await aliceIn();
    on.server.refuse = () => problem(403, "forbidden");
    const id = await device.send(room.id, "Hello?");
    await until(timeline.rows, (rows) => messages(rows)[0]?.ticks === "failed");
    await device.discard(id);
    await until(timeline.rows, (rows) => messages(rows).length === 0);
  });

  test("as outdated is sealed anew, under the same id and in its place", async () => {
    const { room, tab, device } = await aliceIn();
    on.server.refuse = (message) =>
      message.epoch < 2 ? problem(409, "epoch_stale", { epoch: 2, stale: false }) : undefined;
    const first = await device.send(room.id, "one");
    const second = await device.send(room.id, "two");

    await eventually(() => on.server.stored.size === 2);
    expect(tab.sealing.staled).toContainEqual([room.id, 1]);
    expect([...on.server.stored.keys()]).toEqual([first, second]);
    expect([...on.server.stored.values()].map((message) => message.epoch)).toEqual([2, 2]);
  });

  test("because it is stored already, in another form, counts as accepted", async () => {
    const { room, device, timeline } = await aliceIn();
    on.server.refuse = () => problem(409, "id_conflict", { accepted_at: 5 });
    await device.send(room.id, "once");
    await until(timeline.rows, (rows) => messages(rows)[0]?.ticks === "sent");
  });
});

describe("a message whose time is not the server's", () => {
  const DAY = 86_400_000;

  /** As the real server does, it takes no id whose time is more than a day from its own. */
  function outOfTime(message: { id: string }): object | undefined {
    const at = Number.parseInt(message.id.replace("-", "").slice(0, 12), 16);
    const isOut = Math.abs(at - Date.now()) > DAY;
    return isOut ? problem(400, "invalid", { field: "id", server_time: Date.now() }) : undefined;
  }

  async function writtenOffline(...written: [text: string, clockIsOff: number][]) {
    on.server.refuse = outOfTime;
    const { room, tab } = await aliceIn();
    tab.close();
    await eventually(() => on.server.online.length === 0);
    const right = on.browser.clock;
    for (const [text, off] of written) {
      on.browser.clock = { ...right, now: () => Date.now() + off };
      const offline = await Tab.open(on.browser, { begins: false });
      await offline.device.send(room.id, text);
      offline.close();
    }
    on.browser.clock = right;
    return room;
  }

  test("because it waited for more than a day goes under another id, in its order", async () => {
    const room = await writtenOffline(["one", -2 * DAY], ["two", -1.5 * DAY], ["three", 0]);
    const { device } = await Tab.open(on.browser);
    await eventually(() => on.server.stored.size === 3);
    const { rows } = await device.timeline(room.id);
    const sent = messages(await until(rows, (rows) => messages(rows).every(({ ticks }) => ticks === "sent")));
    expect(sent.map(({ text }) => text).sort()).toEqual(["one", "three", "two"]);
    const accepted = [...on.server.stored.values()];
    const times = accepted.map((message) => message.sent_at);
    expect(times).toEqual([...times].sort());
    const bodies = accepted.map((message) => body(message));
    expect(bodies.indexOf("one")).toBeLessThan(bodies.indexOf("two"));
  });

  test("because the clock was a month ahead does not hold up what is written when it is right again", async () => {
    await writtenOffline(["from the future", 30 * DAY], ["from now", 0]);
    await Tab.open(on.browser);
    await eventually(() => on.server.stored.size === 2);
  });

  test("because the clock is a month ahead goes under the server's", async () => {
    on.browser.clock = { ...on.browser.clock, now: () => Date.now() + 30 * DAY };
    on.server.refuse = outOfTime;
    const { room, device } = await aliceIn();
    for (const text of ["one", "two", "three"]) await device.send(room.id, text);
    await eventually(() => on.server.stored.size === 3);
    expect([...on.server.stored.values()].map((message) => body(message))).toEqual(["one", "two", "three"]);
  });

  test.each(["connection", "tab"])("but that an earlier %s may have carried has failed", async (earlier) => {
    const { room, tab, device } = await aliceIn();
    on.server.answers = false;
    const id = await device.send(room.id, "Did it come?");
    await eventually(() => on.server.sends().length === 1);
    on.server.answers = true;
    on.server.refuse = () => problem(400, "invalid", { field: "id", server_time: Date.now() + 2 * DAY });
    if (earlier === "tab") tab.close();
    else on.server.dropSockets();

    const again = earlier === "tab" ? await Tab.open(on.browser) : tab;
    const { rows } = await again.device.timeline(room.id);
    const [row] = messages(await until(rows, (rows) => messages(rows)[0]?.ticks === "failed"));
    expect(row).toMatchObject({ id, refused: { code: "invalid", canSendAgain: true } });
    expect(new Set(on.server.sends().map((message) => message.id))).toEqual(new Set([id]));
  });

  test("is not renewed again and again by a server that says so each time", async () => {
    const { room, device, timeline } = await aliceIn();
    on.server.refuse = () => problem(400, "invalid", { field: "id", server_time: Date.now() });
    await device.send(room.id, "Never");
    await until(timeline.rows, (rows) => messages(rows)[0]?.ticks === "failed");
    expect(on.server.sends()).toHaveLength(2);
  });
});

describe("a message that cannot be sealed", () => {
  test("waits while the reason may pass", async () => {
    const { room, tab, device, timeline } = await aliceIn();
    tab.sealing.refusal = new Refusal("offline");
    await device.send(room.id, "patience");
    await until(timeline.rows, (rows) => messages(rows)[0]?.ticks === "waiting");
    tab.sealing.refusal = null;
    on.server.dropSockets();
    await eventually(() => on.server.stored.size === 1);
  });

  test("is tried ever more seldom, and at once when there is a reason to", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    try {
      const { id } = on.server.direct("alice", "bob");
      globalThis.indexedDB = on.browser.indexedDB;
      const db = await openStore();
      await write(db, id, "patience", 1);
      const sealing = new Open();
      const seal = vi.spyOn(sealing, "seal");
      sealing.refusal = new Refusal("keys_missing");
      const parts = { db, sealing, clock: { ...on.browser.clock, chance: () => 0.5 } } as unknown as Parts;
      const sender = new Sender(parts, { user: on.server.user("alice") } as never);
      await sender.load();
      sender.connected();
      await vi.advanceTimersByTimeAsync(120_000);
      expect(seal.mock.calls.length).toBeLessThanOrEqual(12);

      for (const wake of [() => sender.connected(), () => sender.reseal(id), () => sender.unlocked()]) {
        seal.mockClear();
        wake();
        expect(seal).toHaveBeenCalledTimes(1);
        await vi.advanceTimersByTimeAsync(1_500); // after 0.5 s, and 1 s more
        expect(seal).toHaveBeenCalledTimes(3);
      }
      sealing.refusal = null;
      await vi.advanceTimersByTimeAsync(2_000);
      await vi.waitUntil(() => sender.take(0).length === 1);
      sender.end();
    } finally {
      vi.useRealTimers();
    }
  });

  test("has failed with the reason if that does not pass", async () => {
    const { room, tab, device, timeline } = await aliceIn();
    tab.sealing.refusal = new Refusal("identity_changed");
    await device.send(room.id, "who are you?");
    const [row] = messages(await until(timeline.rows, (rows) => messages(rows)[0]?.ticks === "failed"));
    expect(row?.refused?.code).toBe("identity_changed");
  });
});

describe("to somebody who is blocked, or blocks", () => {
  test("nothing is written, and no request is made, offline too", async () => {
    const { room, tab, device } = await aliceIn();
    await device.press("block", { user: on.server.user("bob") });
    await eventually(() => on.server.bookOf(on.server.user("alice")).version === 1);
    await until(device.rooms, (rooms) => rooms[0]?.closed === "blocked-by-you");
    tab.close();
    await eventually(() => on.server.online.length === 0);

    const asked = on.server.requests.length;
    const offline = await Tab.open(on.browser, { begins: false });
    await expect(offline.device.send(room.id, "hello")).rejects.toMatchObject({
      code: "blocked",
      problem: { by: "you" },
    });
    expect(on.server.requests).toHaveLength(asked);
  });

  test("a block counts from the press of the button", async () => {
    const { room, tab, device } = await aliceIn();
    tab.close();
    await eventually(() => on.server.online.length === 0);
    const offline = await Tab.open(on.browser, { begins: false });
    await offline.device.press("block", { user: on.server.user("bob") });
    await expect(offline.device.send(room.id, "hello")).rejects.toMatchObject({ code: "blocked" });
    expect(device).toBeDefined();
  });

  test("what waits when the block comes stops there, with the reason, and does not go when it is lifted", async () => {
    const { room, tab, device, timeline } = await aliceIn();
    tab.sealing.refusal = new Refusal("offline");
    await device.send(room.id, "too late");
    await until(timeline.rows, (rows) => texts(rows).includes("too late"));

    on.server.relate("alice", "bob", { blocked_by: true });
    const [row] = messages(await until(timeline.rows, (rows) => messages(rows)[0]?.ticks === "failed"));
    expect(row?.refused).toMatchObject({ reason: "blocked", canSendAgain: false });

    await until(device.rooms, (rooms) => rooms[0]?.closed === "blocked-by-peer");
    tab.sealing.refusal = null;
    on.server.relate("alice", "bob", { blocked_by: false });
    await until(device.rooms, (rooms) => rooms[0]?.closed === null);
    await device.send(room.id, "a new one");
    await eventually(() => on.server.stored.size === 1);
    expect(on.server.sends().map((message) => body(message))).toEqual(["a new one"]);
  });
});

test("an empty text, and one that is too long, are refused at once", async () => {
  const { room, device } = await aliceIn();
  await expect(device.send(room.id, " \n ")).rejects.toMatchObject({ code: "empty" });
  await expect(device.send(room.id, "é".repeat(20_000))).rejects.toMatchObject({ code: "too_large" });
  await device.send(room.id, "x".repeat(32_000));
  await eventually(() => on.server.stored.size === 1);
});

test("messages of a new epoch are sealed anew before they go", async () => {
  const { room, tab, device } = await aliceIn();
  on.server.refuse = () => problem(503, "unavailable", { retry_after: 1 });
  await device.send(room.id, "patience");
  await eventually(() => on.server.sends().length === 1);
  tab.sealing.epoch = 5;
  on.server.put(on.server.user("alice"), {
    kind: "epoch",
    room: room.id,
    epoch: 5,
    creator: on.server.user("bob"),
    device: on.server.user("bob"),
    hash: "",
  });
  on.server.refuse = () => undefined;
  await eventually(() => on.server.stored.size === 1);
  expect([...on.server.stored.values()][0].epoch).toBe(5);
  expect(tab.sealing.heards.map((entry) => entry.kind)).toContain("epoch");
});
