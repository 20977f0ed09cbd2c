/** What a server can make of the names that it tells. */

import "fake-indexeddb/auto";
import { beforeEach, expect, test } from "vitest";

import { People } from "../../src/device/people";
import type { UserId } from "../../src/protocol/ids";
import { openStore } from "../../src/store/db";

const ALICE = "019ab0c4-0000-7000-8000-00000000000a" as UserId;
const MALLORY = "019ab0c4-0000-7000-8000-00000000000b" as UserId;

let people: People;
beforeEach(async () => {
  people = new People(await openStore(undefined, "people"));
});

test("nobody is shown under a name that somebody else has", () => {
  people.learn(ALICE, "alice");
  expect(people.name(ALICE)).toBe("alice");
  people.learn(MALLORY, "alice");
  expect([people.name(ALICE), people.name(MALLORY)]).toEqual(["alice (0000000a)", "alice (0000000b)"]);
  people.learn(MALLORY, "mallory");
  expect([people.name(ALICE), people.name(MALLORY)]).toEqual(["alice", "mallory"]);
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
