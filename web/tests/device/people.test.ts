/** What a server can make of the names that it tells. */

import "fake-indexeddb/auto";
import { beforeEach, describe, expect, test } from "vitest";

import { People } from "../../src/device/people";
import type { UserId } from "../../src/protocol/ids";
import { openStore } from "../../src/store/db";
import { Tab, until } from "./browsers";
import type { FakeRoom } from "./server";
import { stage } from "./stage";

const ALICE = "019ab0c4-0000-7000-8000-00000000000a" as UserId;
const MALLORY = "019ab0c4-0000-7000-8000-00000000000b" as UserId;

let people: People;
beforeEach(async () => {
  people = new People({ db: await openStore(undefined, "people"), bus: { tell: () => undefined } });
});

test("nobody is shown under a name that somebody else has", () => {
  people.learn(ALICE, "alice");
  expect(people.name(ALICE)).toBe("alice");
  people.learn(MALLORY, "alice");
  expect([people.name(ALICE), people.name(MALLORY)]).toEqual(["alice (0000000a)", "alice (0000000b)"]);
});

test("the first name of each stays, and where another one is told that is shown", () => {
  people.learn(ALICE, "alice");
  people.learn(MALLORY, "mallory");
  people.learn(ALICE, "mallory");
  people.learn(MALLORY, "alice");
  expect([people.name(ALICE), people.name(MALLORY)]).toEqual(["alice (0000000a)", "mallory (0000000b)"]);
  people.learn(ALICE, "alice");
  expect(people.name(ALICE)).toBe("alice (0000000a)");
});

test.each(["аlice", "alice\u200b", "\u202eecila", "Alice", "alice, bob", "", "x".repeat(33)])(
  "nor under one that no account can have: %j",
  (name) => {
    people.learn(MALLORY, name);
    expect(people.name(MALLORY)).toBe("0000000b");
  },
);

test("of whom no name is known, the end of the id is shown", () => {
  expect(people.name(ALICE)).toBe("0000000a");
});

describe("a server that gives two users each other's name", () => {
  const on = stage();

  function swap(room: FakeRoom): void {
    const [, bob, carol] = room.members;
    [bob!.username, carol!.username] = [carol!.username, bob!.username];
    room.members_version += 1;
    const entry = { kind: "room", room: room.id, change: "role", by: null, users: [], role: "member" };
    on.server.put(on.server.user("alice"), { ...entry, members_version: room.members_version });
  }

  test("deceives nobody, and is told of once", async () => {
    const room = on.server.room("alice", "bob", "carol");
    const tab = await on.browser.signedIn("alice");
    const names = (device: Tab["device"]) => device.room(room.id).value?.members.map(({ username }) => username);
    await until(tab.device.room(room.id), (detail) => detail?.members.length === 3);
    const [, bob, carol] = names(tab.device)!;
    expect([bob, carol]).toEqual(["bob", "carol"]);

    swap(room);
    await until(tab.device.notices, (notices) => notices.length === 2);
    const [, bobs, carols] = ["", "bob", "carol"].map((name) => `${name} (${on.server.user(name).slice(-8)})`);
    expect(tab.device.notices.value.map((notice) => notice.kind === "name" && notice.username)).toEqual([bobs, carols]);
    await until(tab.device.room(room.id), () => names(tab.device)?.[1] === bobs);
    expect(names(tab.device)).toEqual(["alice", bobs, carols]);
    expect(tab.device.rooms.value[0]?.others).toEqual([bobs, carols]);

    for (const { id } of tab.device.notices.value) await tab.device.putAway(id);
    tab.close();
    const after = await Tab.open(on.browser);
    await after.live();
    await until(after.device.room(room.id), () => names(after.device)?.[1] === bobs);
    expect(names(after.device)).toEqual(["alice", bobs, carols]);
    expect(after.device.notices.value).toEqual([]);
  });

  test("nor by signing the device out", async () => {
    const room = on.server.room("alice", "bob", "carol");
    const tab = await on.browser.signedIn("alice");
    const { device } = tab;
    await until(device.room(room.id), (detail) => detail?.members.length === 3);
    on.server.revoke("alice");
    await until(device.connection, ({ state }) => state === "stopped");
    swap(room);
    await device.signIn("alice", { password: "x" }, "browser");
    await tab.live();
    await until(device.notices, (notices) => notices.length === 2);
    const shown = await until(device.room(room.id), (detail) => detail?.members.length === 3);
    expect(shown?.members[1]?.username).toBe(`bob (${on.server.user("bob").slice(-8)})`);
  });

  test("also where another tab has learned the names", async () => {
    const first = await on.browser.signedIn("alice");
    const other = await Tab.open(on.browser);
    const room = on.server.room("alice", "bob", "carol");
    await until(first.device.room(room.id), (detail) => detail?.members.length === 3);
    swap(room);
    await until(first.device.notices, (notices) => notices.length === 2);
    const shown = await until(other.device.room(room.id), (detail) => detail?.members.length === 3);
    expect(shown?.members[1]?.username).toBe(`bob (${on.server.user("bob").slice(-8)})`);
  });
});
