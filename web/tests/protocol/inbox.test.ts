/** What arrives: in order, each once, acknowledged when stored (docs/protocol.md §4.4). */

import fc from "fast-check";
import { describe, expect, test } from "vitest";

import type { Entry } from "../../src/protocol/entries";
import type { Welcome } from "../../src/protocol/frames";
import { Inbox, MailboxDiverged } from "../../src/protocol/inbox";
import { Marks } from "../../src/protocol/late";
import { ALICE, BOB, message, messageEntry, welcome } from "../shapes";

function anInbox(stored = 0, welcomed: Partial<Welcome> = {}): Inbox {
  const inbox = new Inbox(BOB, stored, new Marks());
  inbox.welcomed(welcome({ acknowledged: stored, last_seq: 1_000, ...welcomed }));
  return inbox;
}

function entries(first: number, last: number): Entry[] {
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, index) => ({ kind: "hidden", seq: first + index }));
}

function keep(inbox: Inbox, arrived: Entry[], now = 0): number[] {
  const arrival = inbox.received(arrived, now);
  const last = arrival.entries.at(-1);
  if (last !== undefined) inbox.storedUpTo(last.seq);
  return arrival.entries.map((entry) => entry.seq);
}

test("entries come in order", () => {
  const inbox = anInbox();
  expect(keep(inbox, entries(1, 3))).toEqual([1, 2, 3]);
  expect(keep(inbox, entries(4, 4))).toEqual([4]);
});

test("what is stored already is dropped", () => {
  expect(keep(anInbox(5, { acknowledged: 2 }), entries(3, 7))).toEqual([6, 7]);
});

test("a gap keeps what came before it", () => {
  const arrival = anInbox().received([...entries(1, 2), ...entries(4, 5)], 0);
  expect(arrival.entries.map((entry) => entry.seq)).toEqual([1, 2]);
  expect(arrival.gap).toBe(true);
});

describe("acknowledging", () => {
  test("waits for the store", () => {
    const inbox = anInbox();
    inbox.received(entries(1, 3), 0);
    expect(inbox.ackDue(1_000)).toBeNull();
    inbox.storedUpTo(3);
    expect(inbox.ackDue(1_000)).toBe(3);
  });

  test("is for no time before that", () => {
    const inbox = anInbox();
    inbox.received(entries(1, 1), 10_000);
    expect(inbox.ackAt()).toBe(Number.POSITIVE_INFINITY);
    inbox.storedUpTo(1);
    expect(inbox.ackAt()).toBe(10_050);
  });

  test("gathers for 50 ms", () => {
    const inbox = anInbox();
    keep(inbox, entries(1, 2), 10_000);
    expect(inbox.ackDue(10_040)).toBeNull();
    expect(inbox.ackAt()).toBe(10_050);
    expect(inbox.ackDue(10_060)).toBe(2);
    expect(inbox.ackDue(99_000)).toBeNull();
  });

  test("does not wait with a quarter of the window", () => {
    const inbox = anInbox(0, { window: 8 });
    keep(inbox, entries(1, 2), 0);
    expect(inbox.ackDue(0)).toBe(2);
  });

  test("acknowledges doubles again, but nothing beyond what this socket sent", () => {
    const inbox = anInbox(5, { acknowledged: 2 });
    keep(inbox, entries(3, 4), 0);
    expect(inbox.ackDue(1_000)).toBe(4);
  });
});

describe("a late message", () => {
  const first = messageEntry(1, { sent_at: 9 });
  const late = messageEntry(2, { sent_at: 5 });

  test("is refused when live", () => {
    const inbox = anInbox();
    inbox.drained();
    const arrival = inbox.received([first, late], 0);
    expect([...arrival.late]).toEqual([[message(2), message(1)]]);
    expect(arrival.entries).toHaveLength(2);
  });

  test("is shown when catching up", () => {
    expect(anInbox().received([first, late], 0).late.size).toBe(0);
  });

  test("is one by what came while catching up, too", () => {
    const inbox = anInbox();
    inbox.received([first], 0);
    inbox.drained();
    expect([...inbox.received([late], 0).late]).toEqual([[message(2), message(1)]]);
  });

  test("from the own other device is refused by nobody", () => {
    const inbox = new Inbox(ALICE, 0, new Marks());
    inbox.welcomed(welcome({ user: ALICE, last_seq: 2 }));
    inbox.drained();
    expect(inbox.received([first, late], 0).late.size).toBe(0);
  });
});

describe("the welcome", () => {
  test("has a store behind the cursor filled first", () => {
    const inbox = new Inbox(BOB, 3, new Marks());
    expect(inbox.welcomed(welcome({ acknowledged: 7, last_seq: 9 }))).toBe(true);
    expect(inbox.backfilled(entries(3, 8)).entries.map((entry) => entry.seq)).toEqual([4, 5, 6, 7, 8]);
    inbox.storedUpTo(8);
    expect(keep(inbox, entries(8, 9))).toEqual([9]);
  });

  test("does not mix another user's mailbox in", () => {
    expect(() => new Inbox(BOB, 0, new Marks()).welcomed(welcome({ user: ALICE }))).toThrow(MailboxDiverged);
  });

  test("knows that a mailbox that shrank is not ours", () => {
    expect(() => new Inbox(BOB, 10, new Marks()).welcomed(welcome({ last_seq: 4 }))).toThrow(MailboxDiverged);
  });
});

test("whatever is lost, doubled or cut, each entry is kept once and in order", () => {
  const fate = fc.constantFrom("whole", "whole", "lost", "doubled", "reordered");
  const frame = fc.record({ size: fc.integer({ min: 1, max: 5 }), fate, ackArrives: fc.boolean() });
  const connections = fc.array(fc.array(frame, { maxLength: 12 }), { minLength: 1, maxLength: 6 });
  // A server that follows the protocol, over a network that breaks, and a tab that closes between two commits.
  fc.assert(
    fc.property(fc.nat({ max: 40 }), fc.integer({ min: 1, max: 12 }), connections, (newest, window, lives) => {
      const kept: number[] = [];
      let cursor = 0; // the server's, moved by acknowledgements
      for (const life of lives) {
        const inbox = new Inbox(BOB, kept.length, new Marks());
        inbox.welcomed(welcome({ acknowledged: cursor, last_seq: newest, window }));
        let sent = cursor;
        for (const [now, { size, fate, ackArrives }] of life.entries()) {
          const last = Math.min(sent + size, newest, cursor + window);
          const whole = entries(sent + 1, last);
          const frames = {
            whole: [whole],
            lost: [],
            doubled: [whole, whole],
            reordered: [entries(last + 1, Math.min(last + 2, newest)), whole],
          }[fate]!;
          sent = last;
          let broken = false;
          for (const each of frames) {
            const arrival = inbox.received(each, now * 1000);
            kept.push(...arrival.entries.map((entry) => entry.seq));
            inbox.storedUpTo(kept.length);
            broken ||= arrival.gap;
          }
          const due = inbox.ackDue(now * 1000 + 1000);
          if (due !== null) {
            expect(due).toBeGreaterThan(cursor);
            expect(due).toBeLessThanOrEqual(kept.length);
            if (ackArrives) cursor = due;
          }
          if (broken) break;
        }
      }
      expect(kept).toEqual(kept.map((_, index) => index + 1));
      expect(cursor).toBeLessThanOrEqual(kept.length);
      expect(kept.length).toBeLessThanOrEqual(newest);
    }),
  );
});
