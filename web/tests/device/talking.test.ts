/** A device and its server: writing, receiving, coming back (docs/protocol.md §4). */

import { afterEach, beforeEach, expect, test } from "vitest";

import type { Row } from "../../src/messenger";
import { Browser, eventually, Tab, until } from "./browsers";
import { Server } from "./server";

let server: Server;
let browser: Browser;

beforeEach(async () => {
  server = await Server.start();
  browser = new Browser(server);
});

afterEach(async () => {
  browser.close();
  await server.stop();
});

type MessageRow = Extract<Row, { kind: "message" }>;
const texts = (rows: readonly Row[]): (string | null)[] =>
  rows.filter((row): row is MessageRow => row.kind === "message").map((row) => row.text);
const last = (rows: readonly Row[]): MessageRow => rows.at(-1) as MessageRow;

test("what alice writes is shown at once, sent, and then stands in its place", async () => {
  const room = server.direct("alice", "bob");
  const { device } = await browser.signedIn("alice");
  const timeline = await device.timeline(room.id);
  server.answers = false;

  const id = await device.send(room.id, "Hello, Bob!");
  const waiting = last(await until(timeline.rows, (rows) => texts(rows).includes("Hello, Bob!")));
  expect(waiting).toMatchObject({ key: id, seq: null, mine: true, ticks: "waiting" });

  await eventually(() => server.sends().length > 0);
  server.answers = true;
  server.dropSockets();
  const sent = last(await until(timeline.rows, (rows) => last(rows)?.seq !== null));
  expect(sent).toMatchObject({ key: id, text: "Hello, Bob!", ticks: "sent" });
  expect(new Set(server.sends().map((message) => message.id))).toEqual(new Set([id]));
});

test("a message of bob's arrives, counts as unread, and is acknowledged once it is stored", async () => {
  const room = server.direct("alice", "bob");
  const { device } = await browser.signedIn("alice");
  server.says("bob", room, "Are you there?");

  const [line] = await until(device.rooms, (rooms) => rooms[0]?.unread === 1);
  expect(line).toMatchObject({ others: ["bob"], preview: { mine: false, by: "bob", text: "Are you there?" } });
  await eventually(() => server.cursors.get(device.account.value!.device) === 2);

  device.markRead(room.id, 2);
  await until(device.rooms, (rooms) => rooms[0]?.unread === 0);
  await eventually(() => server.frames.some((frame) => frame.type === "read" && frame.seq === 2));
});

test("what was written offline goes out in its order, after a reload too", async () => {
  const room = server.direct("alice", "bob");
  const first = await browser.signedIn("alice");
  first.close();
  await eventually(() => server.online.length === 0);
  const origin = browser.server;
  const offline = await Tab.open(browser, { begins: false });
  for (const text of ["one", "two", "three"]) await offline.device.send(room.id, text);
  offline.close();

  const again = await Tab.open(browser);
  await again.live();
  await eventually(() => origin.sends().length === 3);
  const bodies = origin.sends().map((message) => Buffer.from(message.ciphertext, "base64url").toString());
  expect(bodies).toEqual(["one", "two", "three"]);
  expect(origin.sends().map((message) => message.sent_at)).toEqual(
    origin
      .sends()
      .map((message) => message.sent_at)
      .sort(),
  );
});

test("a second tab shows the same, and takes over when the first closes", async () => {
  const room = server.direct("alice", "bob");
  const first = await browser.signedIn("alice");
  const second = await Tab.open(browser);
  await second.live();
  expect(server.online).toEqual(["alice"]);

  await second.device.send(room.id, "from the second");
  await eventually(() => server.stored.size === 1);
  first.close();
  await eventually(() => server.frames.filter((frame) => frame.type === "hello").length === 2);
  await second.device.send(room.id, "and alone");
  await eventually(() => server.stored.size === 2);
});

test("a room is closed by whoever has other keys than those that were verified, and says who that is", async () => {
  const room = server.direct("alice", "bob");
  const alice = await browser.signedIn("alice");
  const detail = alice.device.room(room.id);
  await until(detail, (shown) => shown?.members.length === 2);
  expect(detail.value).toMatchObject({ closed: null });
  expect(detail.value!.members.filter((member) => member.held)).toEqual([]);

  alice.held.value = new Set([server.user("bob")]);
  const closed = await until(detail, (shown) => shown?.closed === "unverified");
  expect(closed!.members.filter((member) => member.held).map((member) => member.username)).toEqual(["bob"]);

  alice.held.value = new Set();
  const open = await until(detail, (shown) => shown?.closed === null);
  expect(open!.members.filter((member) => member.held)).toEqual([]);
});

test("what was typed just before a new build is loaded is kept", async () => {
  const room = server.direct("alice", "bob");
  const alice = await browser.signedIn("alice");
  await until(alice.device.rooms, (rooms) => rooms.length === 1);
  alice.device.keepDraft(room.id, "half a sentence");
  await alice.device.loadNewBuild();
  expect(browser.reloads).toBe(1);
  const again = await Tab.open(browser);
  expect(await again.device.draft(room.id)).toBe("half a sentence");
});
