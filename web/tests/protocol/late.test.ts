/** The rule for late messages (docs/protocol.md §3.3), and when to try again. */

import fc from "fast-check";
import { expect, test } from "vitest";

import { Backoff } from "../../src/protocol/backoff";
import { nextAfter } from "../../src/protocol/closing";
import { Marks } from "../../src/protocol/late";
import { GARDEN, KITCHEN, LAPTOP, message, messageEntry, PHONE } from "../shapes";

test("the marks say what the definition says", () => {
  const where = fc.tuple(
    fc.constantFrom(KITCHEN, GARDEN),
    fc.constantFrom(PHONE, LAPTOP),
    fc.integer({ min: 1, max: 8 }),
  );
  fc.assert(
    fc.property(fc.array(where, { maxLength: 30 }), (arrivals) => {
      const entries = arrivals.map(([room, device, sent_at], index) =>
        messageEntry(index + 1, { room, device, sent_at }),
      );
      const marks = new Marks();
      for (const entry of entries) {
        const earlier = entries.filter(
          (other) => other.seq < entry.seq && other.room === entry.room && other.device === entry.device,
        );
        const proof = marks.advance(entry);
        expect(proof !== null).toBe(earlier.some((other) => other.sent_at > entry.sent_at));
        // What the server will check: the named one is of the same device and room, came earlier, was sent later.
        if (proof !== null) expect(earlier.find((other) => other.id === proof)!.sent_at).toBeGreaterThan(entry.sent_at);
      }
    }),
  );
});

test("the same time is not late, and another device or room proves nothing", () => {
  const marks = new Marks();
  marks.advance(messageEntry(1, { sent_at: 100 }));
  expect(marks.advance(messageEntry(2, { sent_at: 100 }))).toBeNull();
  expect(marks.advance(messageEntry(3, { sent_at: 50, device: LAPTOP }))).toBeNull();
  expect(marks.advance(messageEntry(4, { sent_at: 50, room: GARDEN }))).toBeNull();
  expect(marks.advance(messageEntry(5, { sent_at: 50 }))).toBe(message(1));
});

test("each failure doubles the ceiling, from 0.5 s to 30 s, and a stable connection forgets them", () => {
  const ceilings = [];
  let backoff = new Backoff();
  for (let n = 0; n < 9; n++) {
    ceilings.push(backoff.ceiling / 1000);
    backoff = backoff.failed();
  }
  expect(ceilings).toEqual([0.5, 1, 2, 4, 8, 16, 30, 30, 30]);
  expect(new Backoff(100_000).ceiling).toBe(30_000);
  expect(backoff.after(29_999).failures).toBe(9);
  expect(backoff.after(30_000).failures).toBe(0);
});

test("the wait is never less than the server asked for", () => {
  fc.assert(
    fc.property(
      fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
      fc.nat({ max: 20 }),
      (chance, failures) => {
        const backoff = new Backoff(failures);
        expect(backoff.delay(chance, 7)).toBeGreaterThanOrEqual(7_000);
        expect(backoff.delay(chance)).toBeLessThanOrEqual(backoff.ceiling);
      },
    ),
  );
});

test.each([
  [null, "reconnect"],
  [1006, "reconnect"],
  [1012, "reconnect"],
  [4401, "refresh"],
  [4429, "later"],
  [4400, "stop"],
  [4403, "suspended"],
] as const)("after %s comes %s", (code, next) => {
  expect(nextAfter(code)).toBe(next);
});
