/** A device's copy of contacts and blocks: the same as the server's in whatever order it comes (docs/protocol.md §5.2). */

import "fake-indexeddb/auto";
import { IDBFactory } from "fake-indexeddb";
import fc from "fast-check";
import { expect, test } from "vitest";

import type { Run } from "../../src/protocol/book";
import type { ConnectionEntry } from "../../src/protocol/entries";
import type { UserId } from "../../src/protocol/ids";
import type { Relation, RelationsPage, Settings } from "../../src/protocol/relations";
import { applyPage, pressed, progressOf } from "../../src/store/connections";
import { type Db, openStore } from "../../src/store/db";
import { storeBatch } from "../../src/store/mailbox";
import { getValue, putValue } from "../../src/store/values";
import { ALICE, BOB, BOBS, CAROL, MALLORY, PHONE } from "../shapes";

const ME = { user: BOB, device: BOBS };
const OPEN: Settings = { who_may_open: "anyone", who_may_add: "anyone", strangers: "mailbox" };
const CLOSED: Settings = { who_may_open: "contacts", who_may_add: "contacts", strangers: "requests" };

/** A server's connections in a few lines. Every version is kept, to look back. */
class AddressBook {
  readonly relations = new Map<UserId, Relation>();
  readonly entries: Omit<ConnectionEntry, "seq" | "kind">[] = [];
  readonly past: Map<UserId, Relation>[] = [new Map()];
  settings = OPEN;

  get version(): number {
    return this.entries.length;
  }

  change(user: UserId, blocked: boolean): void {
    const blank = {
      user,
      username: user.slice(-1),
      state: "none",
      blocked_by: false,
      note: "",
      changed_by: PHONE,
    } as const;
    const connection: Relation = { ...blank, blocked, changed_at: 1, version: this.version + 1 };
    this.relations.set(user, connection);
    this.entries.push({ version: connection.version, connection });
    this.past.push(new Map(this.relations));
  }

  set(settings: Settings): void {
    this.settings = settings;
    this.entries.push({ version: this.version + 1, settings });
    this.past.push(new Map(this.relations));
  }

  /** `asOf`: the version that was read before the rows were. */
  page(since: number, limit: number, asOf = this.version): RelationsPage {
    const found = [...this.relations.values()].filter((relation) => relation.version > since);
    found.sort((one, other) => one.version - other.version);
    const shown = found.slice(0, limit);
    const next = found.length > limit ? shown.at(-1)!.version : null;
    return { connections: shown, settings: this.settings, version: asOf, consistency: "confirm", next };
  }
}

async function aDevice(): Promise<Db> {
  globalThis.indexedDB = new IDBFactory();
  const db = await openStore();
  await putValue(db, "identity", { ...ME, username: "bob", deviceName: "browser" });
  return db;
}

let seq = 0;

function arrived(db: Db, entry: Omit<ConnectionEntry, "seq" | "kind">) {
  const entries = [{ kind: "connection", seq: ++seq, ...entry } as const];
  const nothing = new Map();
  return storeBatch(db, { entries, bodies: nothing, late: nothing, marks: [], me: BOB, device: BOBS, history: false });
}

const step = fc.record({
  what: fc.constantFrom("change", "change", "set", "hear", "next", "page", "page", "old page"),
  who: fc.constantFrom(ALICE, MALLORY, CAROL),
  on: fc.boolean(),
  at: fc.nat({ max: 30 }),
  limit: fc.integer({ min: 1, max: 2 }),
});

test("what a device claims it has, and in the end it has all", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 20 }), async (steps) => {
      const server = new AddressBook();
      const db = await aDevice();
      const read: [number, RelationsPage][] = [];
      let run: Run | null = null;
      for (const { what, who, on, at, limit } of steps) {
        const progress = await progressOf(db);
        if (what === "change") server.change(who, on);
        if (what === "set") server.set(on ? OPEN : CLOSED);
        if (what === "hear" && server.version > 0) await arrived(db, server.entries[at % server.version]!);
        if (what === "next" && progress.version < server.version) await arrived(db, server.entries[progress.version]!);
        if (what === "page") {
          run ??= { since: progress.version, newest: 0 };
          const asOf = server.version;
          if (on) server.change(who, on); // a change between the version and the rows
          read.push([run.since, server.page(run.since, limit, asOf)]);
          run = (await applyPage(db, run, ...read.at(-1)!, ME)).next;
        }
        if (what === "old page" && run !== null && read.length > 0) {
          run = (await applyPage(db, run, ...read[at % read.length]!, ME)).next;
        }
        const claimed = server.past[(await progressOf(db)).version]!;
        for (const [user, said] of claimed) {
          expect((await db.get("relations", user))!.version).toBeGreaterThanOrEqual(said.version);
        }
      }
      run = { since: (await progressOf(db)).version, newest: 0 };
      while (run !== null) run = (await applyPage(db, run, run.since, server.page(run.since, 2), ME)).next;
      const kept = await db.getAll("relations");
      expect(new Map(kept.map((relation) => [relation.user, relation.version]))).toEqual(
        new Map([...server.relations].map(([user, relation]) => [user, relation.version])),
      );
      expect(await progressOf(db)).toEqual({ version: server.version, heard: server.version });
      expect((await getValue(db, "settings"))?.settings).toEqual(server.settings);
      db.close();
    }),
    { numRuns: 40 },
  );
});

test("a change is kept on the version that was here when the button was pressed, by id where that is known", async () => {
  const db = await aDevice();
  const server = new AddressBook();
  server.change(ALICE, false);
  await arrived(db, server.entries[0]!);
  await pressed(db, "block", { username: "A" });
  await pressed(db, "add", { username: "Nobody" });
  expect(await db.getAll("changes")).toMatchObject([
    { action: "block", user: ALICE, username: null, baseVersion: 1 },
    { action: "add", user: null, username: "nobody", baseVersion: 1 },
  ]);
});
