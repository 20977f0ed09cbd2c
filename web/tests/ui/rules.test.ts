/** The rules of the screens that need no page. */

import { describe, expect, it } from "vitest";

import type { Relation, Row } from "../../src/messenger";
import type { RoomId, UserId } from "../../src/protocol/ids";
import { itemsOf, nextRows } from "../../src/ui/conversation/items";
import { arrived, beginsAbove, firstPlace, seenUpTo } from "../../src/ui/conversation/place";
import { groupsOf, sameGroup, twoGroups } from "../../src/ui/entry/groups";
import { shareOf } from "../../src/ui/entry/restoring";
import { offers, placeOf } from "../../src/ui/people/offers";
import { mayAdd, mayLeave, memberActions } from "../../src/ui/room/roles";
import { matchingRooms } from "../../src/ui/rooms/search";
import { hashOf, parse, type Route } from "../../src/ui/route";
import { digitGroups } from "../../src/ui/safety/digits";
import { commandOf, neighbour } from "../../src/ui/shell/keys";
import { FakeMessenger, id, KEY, type MessageRow } from "./fake";

const NOON = new Date(2026, 10, 23, 12).getTime();
const HOUR = 3_600_000;

function message(number: number, more: Partial<MessageRow> = {}): MessageRow {
  return {
    kind: "message",
    key: `m${number}`,
    id: id(number),
    seq: number,
    sender: id(2),
    by: "bob",
    mine: false,
    at: NOON + number * 1_000,
    text: `message ${number}`,
    problem: null,
    ticks: null,
    reached: null,
    refused: null,
    ...more,
  };
}

const open = { unreadFrom: null, atBeginning: false };
const kinds = (items: readonly { kind: string }[]): string => items.map((item) => item.kind).join(" ");

describe("the rows of a conversation", () => {
  it("are parted by days", () => {
    const rows = [message(1), message(2), message(3, { at: NOON + 24 * HOUR })];
    expect(kinds(itemsOf(rows, open))).toBe("day row row day row");
  });

  it("that have no time of their own stand on the day of what follows", () => {
    const began = { what: "created", by: "bob", users: [] } as const;
    const rows: Row[] = [{ kind: "system", key: "s", seq: 1, at: null, change: began }, message(2)];
    expect(kinds(itemsOf(rows, open))).toBe("day row row");
    expect(kinds(itemsOf(rows.slice(0, 1), open))).toBe("row");
  });

  it("say where the beginning is", () => {
    expect(kinds(itemsOf([message(1)], { ...open, atBeginning: true }))).toBe("begin day row");
  });

  it("have one marker before the first unread one", () => {
    const rows = [message(1), message(2), message(3), message(4)];
    expect(kinds(itemsOf(rows, { ...open, unreadFrom: 3 }))).toBe("day row row unread row row");
  });

  it("do not put the marker before what only waits to be sent", () => {
    const rows = [message(1), message(2, { seq: null })];
    expect(kinds(itemsOf(rows, { ...open, unreadFrom: 7 }))).toBe("day row row");
  });

  it("stand together while one person writes without a pause", () => {
    const rows = [
      message(1),
      message(2),
      message(3, { sender: id(3) }),
      message(4, { sender: id(3), at: NOON + HOUR }),
    ];
    const runs = itemsOf(rows, open).flatMap((item) => (item.kind === "row" ? [[item.first, item.last]] : []));
    expect(runs).toEqual([
      [true, false],
      [false, true],
      [true, true],
      [true, true],
    ]);
  });

  it("are the same objects as before where nothing has changed, so that they are not drawn again", () => {
    const rows = [message(1), message(2)];
    const before = itemsOf(rows, open);
    const after = itemsOf([message(1), message(2, { ticks: "read" })], open, before);
    expect(after[1]).toBe(before[1]);
    expect(after[2]).not.toBe(before[2]);
  });

  it("notice a change within what a row holds", () => {
    const before = itemsOf([message(1, { reached: { delivered: 1, read: 0, of: 4 } })], open);
    const after = itemsOf([message(1, { reached: { delivered: 2, read: 0, of: 4 } })], open, before);
    expect(after[1]).not.toBe(before[1]);
  });
});

describe("older rows that come", () => {
  const shown = [message(5), message(6)];

  it("shift what is shown", () => {
    expect(nextRows(shown, [message(4), ...shown])).toMatchObject({ shift: true, rest: false });
  });

  it("come before newer ones that came at the same moment, which wait for the next step", () => {
    const rows = [message(4), ...shown, message(7)];
    const next = nextRows(shown, rows);
    expect(next).toMatchObject({ shift: true, rest: true });
    expect(next.rows).toEqual(rows.slice(0, 3));
    expect(nextRows(next.rows, rows)).toEqual({ rows, shift: false, rest: false });
  });

  it("are not confused with another window", () => {
    expect(nextRows(shown, [message(40), message(41)])).toMatchObject({ shift: false, rest: false });
  });
});

describe("the place where a conversation opens", () => {
  const items = itemsOf([message(1), message(2), message(3)], { unreadFrom: 2, atBeginning: false });

  it("is the message that is looked for, else what is unread, else the end", () => {
    expect(firstPlace(items, 3)).toEqual({ index: 4, align: "center" });
    expect(firstPlace(items, null)).toEqual({ index: 1, align: "start" });
    expect(firstPlace(itemsOf([message(1)], open), null)).toEqual({ index: 1, align: "end" });
  });

  it("lies above the window only where older rows can be had", () => {
    expect(beginsAbove([message(9)], 4, true)).toBe(true);
    expect(beginsAbove([message(9)], 4, false)).toBe(false);
    expect(beginsAbove([message(9)], 9, true)).toBe(false);
  });

  it("is read up to the newest number that was seen", () => {
    expect(seenUpTo(items, 2)).toBe(1);
    expect(seenUpTo(items, 99)).toBe(3);
    expect(seenUpTo(items, 0)).toBe(null);
  });

  it("tells arrivals apart from one's own messages", () => {
    const before: Row[] = [message(1)];
    expect(arrived(before, [message(1), message(2), message(3, { mine: true })]).map((row) => row.seq)).toEqual([2]);
    expect(arrived([], [message(1)])).toEqual([]);
  });
});

describe("roles", () => {
  const messenger = new FakeMessenger();
  const alice = messenger.user("alice");
  const bob = messenger.member("bob", "admin");
  const carol = messenger.member("carol");

  it("offer an owner everything, an admin the removal of plain members, a member nothing", () => {
    const group = (myRole: "owner" | "admin" | "member" | null) => ({ kind: "group", myRole }) as const;
    expect(memberActions(group("owner"), alice, bob)).toEqual(["demote", "hand-over", "remove"]);
    expect(memberActions(group("owner"), alice, carol)).toEqual(["promote", "hand-over", "remove"]);
    expect(memberActions(group("admin"), alice, carol)).toEqual(["remove"]);
    expect(memberActions(group("admin"), alice, bob)).toEqual([]);
    expect(memberActions(group("member"), alice, carol)).toEqual([]);
    expect(memberActions(group(null), alice, carol)).toEqual([]);
    expect(memberActions(group("owner"), alice, { ...carol, role: null })).toEqual([]);
  });

  it("offer nothing about oneself, and nothing in a room of two", () => {
    expect(memberActions({ kind: "group", myRole: "owner" }, alice, messenger.member("alice", "owner"))).toEqual([]);
    expect(memberActions({ kind: "direct", myRole: "owner" }, alice, bob)).toEqual([]);
  });

  it("let owners and admins add, and an owner leave only the last", () => {
    expect(mayAdd({ kind: "group", myRole: "admin" })).toBe(true);
    expect(mayAdd({ kind: "group", myRole: "member" })).toBe(false);
    expect(mayAdd({ kind: "direct", myRole: "owner" })).toBe(false);
    const members = [messenger.member("alice", "owner"), bob];
    expect(mayLeave({ kind: "group", myRole: "owner", members })).toBe(false);
    expect(mayLeave({ kind: "group", myRole: "owner", members: members.slice(0, 1) })).toBe(true);
    expect(mayLeave({ kind: "group", myRole: "member", members })).toBe(true);
    expect(mayLeave({ kind: "direct", myRole: "member", members })).toBe(false);
  });
});

describe("relations", () => {
  const relation = (more: Partial<Relation>): Relation => ({
    user: id<UserId>(5),
    username: "mallory",
    state: "none",
    blocked: false,
    blockedBy: false,
    verified: false,
    waiting: null,
    ...more,
  });

  it("stand under one heading, a block before everything", () => {
    expect(placeOf(relation({ state: "incoming" }))).toBe("requests");
    expect(placeOf(relation({ state: "incoming", blocked: true }))).toBe("blocked");
    expect(placeOf(relation({ state: "requested" }))).toBe("requested");
    expect(placeOf(relation({}))).toBe(null);
  });

  it("offer only what the protocol allows", () => {
    expect(offers(relation({ state: "incoming" }))).toEqual(["accept", "decline", "block"]);
    expect(offers(relation({ state: "contact" }))).toEqual(["remove", "block"]);
    expect(offers(relation({ state: "contact", blocked: true }))).toEqual(["unblock"]);
    expect(offers(relation({ blockedBy: true }))).toEqual(["block"]);
  });
});

describe("addresses", () => {
  const room = id<RoomId>(7);
  const all: Route[] = [
    { page: "rooms" },
    { page: "room", id: room, at: null, details: false },
    { page: "room", id: room, at: 88, details: false },
    { page: "room", id: room, at: null, details: true },
    { page: "new" },
    { page: "contacts" },
    { page: "settings", section: null },
    { page: "settings", section: "devices" },
    { page: "recovery" },
    { page: "sign-up" },
  ];

  it.each(all)("mean what they say: %o", (route) => {
    expect(parse(hashOf(route))).toEqual(route);
  });

  it.each(["", "#", "#/nowhere", "#/room/../../etc", "#/room/javascript:alert(1)"])(
    "lead to the rooms when they mean nothing: %s",
    (hash) => {
      expect(parse(hash)).toEqual({ page: "rooms" });
    },
  );

  it("take no number that is none", () => {
    expect(parse(`#/room/${room}/1e9`)).toEqual({ page: "room", id: room, at: null, details: false });
  });
});

describe("keys", () => {
  const key = (code: string, more: object = {}) => ({
    key: code,
    code,
    altKey: false,
    ctrlKey: false,
    metaKey: false,
    shiftKey: false,
    ...more,
  });

  it("mean the same on Macs", () => {
    expect(commandOf(key("KeyK", { ctrlKey: true }), true)).toBe("search");
    expect(commandOf(key("KeyK", { metaKey: true }), true)).toBe("search");
  });

  it("leave the browser's own and typed letters alone", () => {
    expect(commandOf(key("KeyK", { ctrlKey: true, shiftKey: true }), false)).toBe(null);
    expect(commandOf(key("KeyN", { ctrlKey: true }), false)).toBe(null);
    expect(commandOf(key("?"), true)).toBe(null);
    expect(commandOf(key("?"), false)).toBe("help");
    // AltGr is Ctrl and Alt in one, and writes letters.
    expect(commandOf(key("KeyN", { altKey: true, ctrlKey: true }), true)).toBe(null);
  });

  it("walk through the rooms, round and round", () => {
    const messenger = new FakeMessenger(() => 1);
    const [one, two, three] = ["bob", "carol", "dana"].map((name) =>
      messenger.addRoom({ members: [messenger.member("alice"), messenger.member(name)] }),
    ) as [RoomId, RoomId, RoomId];
    const rooms = messenger.rooms.value;
    expect(neighbour(rooms, one, "next")).toBe(two);
    expect(neighbour(rooms, three, "next")).toBe(one);
    expect(neighbour(rooms, one, "previous")).toBe(three);
    expect(neighbour(rooms, null, "next")).toBe(one);
    expect(neighbour(rooms, one, "next-unread")).toBe(null);
    messenger.change(two, { unread: 3 });
    expect(neighbour(messenger.rooms.value, three, "next-unread")).toBe(two);
    expect(neighbour([], null, "next")).toBe(null);
  });
});

describe("small things", () => {
  it("a recovery key is asked for by two groups that differ", () => {
    const groups = groupsOf(KEY);
    expect(groups).toHaveLength(12);
    for (let turn = 0; turn < 200; turn += 1) {
      const [first, second] = twoGroups(groups.length, Math.random);
      expect(first).toBeLessThan(second);
      expect(second).toBeLessThan(groups.length);
    }
    expect(twoGroups(12, () => 0.999_999)).toEqual([10, 11]);
    expect(sameGroup(" EsTb ", "EsTb")).toBe(true);
    expect(sameGroup("estb", "EsTb")).toBe(false);
  });

  it("a safety number is read in twelve groups of five", () => {
    expect(digitGroups("0123456789".repeat(6))).toEqual(
      Array.from({ length: 12 }, (_, index) => (index % 2 ? "56789" : "01234")),
    );
  });

  it("restoring only ever goes forward", () => {
    const shares = [
      shareOf({ step: "keys", done: 0, of: 0 }),
      shareOf({ step: "keys", done: 1, of: 1 }),
      shareOf({ step: "epochs", done: 5, of: 10 }),
      shareOf({ step: "messages", done: 0, of: 500 }),
      shareOf({ step: "messages", done: 500, of: 500 }),
      shareOf({ step: "messages", done: 900, of: 500 }),
    ];
    expect(shares.toSorted((one, other) => one - other)).toEqual(shares);
    expect(shares.at(-1)).toBe(1);
  });

  it("a room is found by the beginning of any name in it", () => {
    const messenger = new FakeMessenger();
    messenger.addRoom({ members: ["alice", "Grace Hopper", "bob"].map((name) => messenger.member(name)) });
    const rooms = messenger.rooms.value;
    expect(matchingRooms(rooms, "hop")).toHaveLength(1);
    expect(matchingRooms(rooms, " GRACE")).toHaveLength(1);
    expect(matchingRooms(rooms, "opper")).toHaveLength(0);
  });
});
