/** What a batch of entries leaves in the store, in one transaction: rows, unread counts, rooms, refusals (docs/protocol.md §3.2, §3.3). */

import "fake-indexeddb/auto";
import { IDBFactory } from "fake-indexeddb";
import { beforeEach, describe, expect, test } from "vitest";

import type { Entry, MessageEntry, RejectionEntry, RoomEntry } from "../../src/protocol/entries";
import type { MessageId } from "../../src/protocol/ids";
import { type Db, openStore } from "../../src/store/db";
import { type Batch, refusalsIn, storeBatch, storedRange } from "../../src/store/mailbox";
import { outboxIn, write } from "../../src/store/outbox";
import { applyReceipts, reachedIn } from "../../src/store/receipts";
import { changeRoom, firstUnread, keepRoom, readUpTo } from "../../src/store/rooms";
import { OtherDevice, putValue } from "../../src/store/values";
import { rowsBefore, rowsFrom } from "../../src/store/windows";
import { ALICE, BOB, BOBS, CAROL, KITCHEN, LAPTOP, message, messageEntry, PHONE } from "../shapes";

let db: Db;

const findMessage = (db: Db, id: MessageId) => db.getFromIndex("entries", "message", id);

beforeEach(async () => {
  globalThis.indexedDB = new IDBFactory();
  db = await openStore();
  await putValue(db, "identity", { user: BOB, username: "bob", device: BOBS, deviceName: "browser" });
});

function bodies(entries: readonly Entry[]): Batch["bodies"] {
  const messages = entries.filter((entry): entry is MessageEntry => entry.kind === "message");
  return new Map(messages.map((entry) => [entry.id, { text: `text ${entry.seq}`, problem: null }]));
}

function keep(entries: readonly Entry[], more: Partial<Batch> = {}) {
  const late = new Map<MessageId, MessageId>();
  return storeBatch(db, {
    entries,
    bodies: bodies(entries),
    late,
    marks: [],
    me: BOB,
    device: BOBS,
    history: false,
    ...more,
  });
}

const kitchen = () => db.get("rooms", KITCHEN);

function rejection(seq: number, refused: number, more: Partial<RejectionEntry> = {}): RejectionEntry {
  const whose = { message: message(refused), room: KITCHEN, sender: ALICE, device: PHONE, by: BOB };
  return { kind: "rejection", seq, ...whose, reason: "late", status: 422, ...more };
}

function change(seq: number, what: string, members_version: number, more: Partial<RoomEntry> = {}): RoomEntry {
  return { kind: "room", seq, room: KITCHEN, change: what, by: ALICE, users: [], role: null, members_version, ...more };
}

describe("unread", () => {
  test("counts what others wrote beyond the read position", async () => {
    await keep([messageEntry(1), messageEntry(2, { sender: BOB, device: LAPTOP }), messageEntry(3)]);
    expect((await kitchen())?.unread).toBe(2);
    expect(await firstUnread(db, (await kitchen())!)).toBe(1);

    expect(await readUpTo(db, KITCHEN, 1, false)).toBe(true);
    expect((await kitchen())?.unread).toBe(1);
    expect(await firstUnread(db, (await kitchen())!)).toBe(3);
    expect(await readUpTo(db, KITCHEN, 1, false)).toBe(false);

    await readUpTo(db, KITCHEN, 3, false);
    expect(await kitchen()).toMatchObject({ unread: 0, readSeq: 3, readTold: 0 });
  });

  test("is not what was refused, by this device or by another one of the user's", async () => {
    await keep([messageEntry(1, { sent_at: 9 }), messageEntry(2, { sent_at: 5 })], {
      late: new Map([[message(2), message(1)]]),
    });
    expect((await kitchen())?.unread).toBe(1);
    expect(await refusalsIn(db)).toEqual([{ message: message(2), later: message(1) }]);

    await keep([messageEntry(3), rejection(4, 3)]);
    expect((await kitchen())?.unread).toBe(1);
    expect((await findMessage(db, message(3)))?.refused).toBe("late");
  });

  test("is told by a history that says what was read", async () => {
    await putValue(db, "stored", 5);
    await keep([messageEntry(1, { read: true }), messageEntry(2, { read: true }), messageEntry(3)], { history: true });
    expect(await kitchen()).toMatchObject({ unread: 1, readSeq: 2, readTold: 2, lastSeq: 3 });
  });
});

describe("a rejection", () => {
  test("of an own message says why, also if it came before the message", async () => {
    const mine = { sender: BOB, device: BOBS };
    await keep([messageEntry(1, mine), rejection(2, 1, { ...mine, by: ALICE })]);
    expect((await findMessage(db, message(1)))?.refused).toBe("late");

    await keep([rejection(3, 4, { ...mine, by: ALICE, reason: "blocked", status: 403 }), messageEntry(4, mine)]);
    expect((await findMessage(db, message(4)))?.refused).toBe("blocked");
  });

  test("between others changes nothing here", async () => {
    await keep([messageEntry(1), rejection(2, 1, { by: CAROL })]);
    expect((await findMessage(db, message(1)))?.refused).toBeNull();
  });
});

describe("a message", () => {
  test("that comes again under another number is hidden", async () => {
    await keep([messageEntry(1), messageEntry(2, { id: message(1) })]);
    await keep([messageEntry(3, { id: message(1) })]);
    expect((await rowsFrom(db, KITCHEN, 1, 9)).map((record) => record.seq)).toEqual([1]);
    expect((await db.get("entries", 3))?.kind).toBe("hidden");
    expect((await storedRange(db))?.stored).toBe(3);
  });

  test("that is stored twice is the same message still, and takes nothing back", async () => {
    await keep([messageEntry(1), messageEntry(2)]);
    await keep([messageEntry(1)]);
    await keep([messageEntry(2), messageEntry(2), messageEntry(3)]);
    const rows = await rowsFrom(db, KITCHEN, 1, 9);
    expect(rows.map(({ seq, kind, text }) => [seq, kind, text])).toEqual([
      [1, "message", "text 1"],
      [2, "message", "text 2"],
      [3, "message", "text 3"],
    ]);
    expect((await kitchen())?.unread).toBe(3);
    await keep([messageEntry(2)]);
    expect((await storedRange(db))?.stored).toBe(3);
  });

  test("of this device leaves the outbox in the same moment", async () => {
    const record = await write(db, KITCHEN, "hello", 1_000);
    const changed = await keep([messageEntry(1, { id: record.id, sender: BOB, device: BOBS })]);
    expect(changed.accepted.map((entry) => entry.id)).toEqual([record.id]);
    expect(await outboxIn(db)).toEqual([]);
  });

  test("tells of a direct room with whom it is, the first time", async () => {
    await keep([messageEntry(1, { recipient: BOB })]);
    expect(await kitchen()).toMatchObject({ kind: "direct", peer: ALICE, outdated: true });
  });

  test("keeps its ciphertext only as long as it is closed", async () => {
    await keep([messageEntry(1)]);
    await keep([messageEntry(2)], { bodies: new Map([[message(2), { text: null, problem: "locked" }]]) });
    expect((await findMessage(db, message(1)))?.data.ciphertext).toBeUndefined();
    expect(await findMessage(db, message(2))).toMatchObject({
      text: null,
      problem: "locked",
      data: { ciphertext: "b3BhcXVl" },
    });
  });

  test("of an account that was signed out meanwhile leaves nothing", async () => {
    await putValue(db, "identity", { user: BOB, username: "bob", device: LAPTOP, deviceName: "browser" });
    await expect(keep([messageEntry(1)])).rejects.toThrow(OtherDevice);
    expect(await db.count("entries")).toBe(0);
    expect(await storedRange(db)).toBeNull();
  });
});

describe("a room", () => {
  const told = {
    id: KITCHEN,
    kind: "group" as const,
    membersVersion: 2,
    epoch: 1,
    history: "joined" as const,
    createdAt: 1,
    muted: null,
    members: [
      { user: BOB, username: "bob", role: "member" as const, joinedAt: 1 },
      { user: ALICE, username: "alice", role: "owner" as const, joinedAt: 1 },
    ],
  };

  test("is asked for when its members are others, and not by an old change", async () => {
    await keepRoom(db, told, BOB, 0);
    expect((await keep([change(1, "added", 2, { users: [CAROL] })])).outdated.size).toBe(0);
    expect([...(await keep([change(2, "added", 3, { users: [CAROL] })])).outdated]).toEqual([KITCHEN]);
    await keepRoom(db, told, BOB, 0);
    expect((await kitchen())?.outdated).toBe(true);
    await keepRoom(db, { ...told, membersVersion: 3 }, BOB, 0);
    expect((await kitchen())?.outdated).toBe(false);
  });

  test("that the user was put out of is left, and not asked for", async () => {
    await keepRoom(db, told, BOB, 0);
    const changed = await keep([change(1, "removed", 3, { users: [BOB] })]);
    expect(changed.outdated.size).toBe(0);
    expect((await kitchen())?.members.map((member) => member.user)).toEqual([ALICE]);
  });

  test("that was a direct one stays one, with the same peer", async () => {
    await keepRoom(db, { ...told, kind: "direct" }, BOB, 0);
    await expect(keepRoom(db, { ...told, kind: "group" }, BOB, 0)).rejects.toThrow("stays one");
    const members = [told.members[0]!, { ...told.members[1]!, user: CAROL, username: "carol" }];
    await expect(keepRoom(db, { ...told, kind: "direct", members, membersVersion: 9 }, BOB, 0)).rejects.toThrow();
    expect((await kitchen())?.peer).toBe(ALICE);
  });

  test("keeps its draft when it changes", async () => {
    await keepRoom(db, told, BOB, 0);
    await changeRoom(db, KITCHEN, (room) => ({ ...room, draft: "dear all" }));
    await keep([messageEntry(1)]);
    await keepRoom(db, { ...told, membersVersion: 7 }, BOB, 0);
    expect((await kitchen())?.draft).toBe("dear all");
  });
});

test("a history that is read twice is there once", async () => {
  await putValue(db, "stored", 9);
  await keep([messageEntry(1), messageEntry(2)], { history: true });
  await keep([messageEntry(1), messageEntry(2), messageEntry(3)], { history: true });
  expect(await db.count("entries")).toBe(3);
  expect((await kitchen())?.unread).toBe(3);
  expect((await storedRange(db))?.stored).toBe(9);
});

test("windows hold the rows next to a place, in order", async () => {
  await keep(
    Array.from({ length: 30 }, (_, n) =>
      messageEntry(n + 1, n % 3 === 0 ? {} : { room: "019ab0c4-0003-7000-8000-00000000000f" as never }),
    ),
  );
  const seqs = (records: { seq: number }[]) => records.map((record) => record.seq);
  expect(seqs(await rowsBefore(db, KITCHEN, Number.POSITIVE_INFINITY, 3))).toEqual([22, 25, 28]);
  expect(seqs(await rowsBefore(db, KITCHEN, 22, 100))).toEqual([1, 4, 7, 10, 13, 16, 19]);
  expect(seqs(await rowsBefore(db, KITCHEN, 4, 1))).toEqual([1]);
  expect(seqs(await rowsBefore(db, KITCHEN, 1, 5))).toEqual([]);
  expect(seqs(await rowsFrom(db, KITCHEN, 8, 2))).toEqual([10, 13]);
});

describe("receipts", () => {
  const mine = { sender: BOB, device: BOBS };
  const receipt = (read: number | null, delivered: number | null = null) => ({
    room: KITCHEN,
    user: ALICE,
    device: BOBS,
    delivered: delivered === null ? null : message(delivered),
    read: read === null ? null : message(read),
  });

  test("only grow", async () => {
    await keep([messageEntry(1, mine), messageEntry(2, mine), messageEntry(3, mine)]);
    expect([...(await applyReceipts(db, [receipt(2)]))]).toEqual([KITCHEN]);
    expect((await applyReceipts(db, [receipt(1)])).size).toBe(0);
    await applyReceipts(db, [receipt(null, 3)]);
    expect(await reachedIn(db, KITCHEN)).toEqual([
      { user: ALICE, device: BOBS, delivered: 3, read: 2, isAhead: false },
    ]);
  });

  test("that overtook their message count as newest until it is here", async () => {
    await keep([messageEntry(1, mine)]);
    await applyReceipts(db, [receipt(2)]);
    expect((await reachedIn(db, KITCHEN))[0]?.read).toBe(Number.POSITIVE_INFINITY);
    await keep([messageEntry(2, mine), messageEntry(3, mine)]);
    expect((await reachedIn(db, KITCHEN))[0]?.read).toBe(2);
  });

  test("of messages from before what is here reach none of these, and still only grow", async () => {
    const mark = { room: KITCHEN, device: BOBS, sentAt: 10, message: message(10) };
    await keep([messageEntry(10, mine)], { marks: [mark] });
    await applyReceipts(db, [receipt(2)]);
    await applyReceipts(db, [receipt(3)]);
    await applyReceipts(db, [receipt(1)]);
    expect(await reachedIn(db, KITCHEN)).toEqual([{ user: ALICE, device: BOBS, delivered: 0, read: 0, isAhead: true }]);

    // One that overtook its message is newer than all that is here, as ever.
    await applyReceipts(db, [receipt(null, 11)]);
    expect((await reachedIn(db, KITCHEN))[0]?.delivered).toBe(Number.POSITIVE_INFINITY);

    await keep([messageEntry(3, mine)], { history: true });
    expect((await reachedIn(db, KITCHEN))[0]?.read).toBe(3);
  });
});

describe("what is written after a clock that was wrong", () => {
  const DAY = 86_400_000;
  const MONTH = 30 * DAY;
  const written = async (now: number) => (await write(db, KITCHEN, "x", now)).sentAt;

  test("gets the time that it is now, if the wrong one was ahead by more than a day", async () => {
    const times = [];
    for (const now of [MONTH, 1_000, 1_000, 500]) times.push(await written(now));
    expect(times).toEqual([MONTH, 1_000, 1_001, 1_002]);
  });

  test("gets a later time than what the server took in its room before", async () => {
    const mark = { room: KITCHEN, device: BOBS, sentAt: MONTH, message: message(1) };
    await keep([messageEntry(1, { sender: BOB, device: BOBS, sent_at: MONTH })], { marks: [mark] });
    expect(await written(MONTH + 5)).toBe(MONTH + 5);
    expect(await written(1_000)).toBe(MONTH + 1);
  });
});

test("what is written gets times that only grow, whatever the clock does", async () => {
  const times = [];
  for (const now of [1_000, 1_000, 500, 2_000]) times.push((await write(db, KITCHEN, "x", now)).sentAt);
  expect(times).toEqual([1_000, 1_001, 1_002, 2_000]);
  expect((await outboxIn(db)).map((record) => record.sentAt)).toEqual(times);
});
