/** What leaves: in order per room, repeated until it is accepted or refused for good (docs/protocol.md §4.4.4). */

import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { encode, FRAME_BYTES } from "../../src/protocol/frames";
import type { MessageId, RoomId } from "../../src/protocol/ids";
import { IN_FLIGHT, Outbox, type Outgoing } from "../../src/protocol/outbox";
import { type Problem, problem } from "../../src/protocol/problems";
import { ALICE, GARDEN, KITCHEN, outgoing } from "../shapes";

const BUSY = problem("unavailable", 503);
const HELD = problem("earlier_send_refused", 503);
const NO = problem("forbidden", 403);
const STALE = problem("epoch_stale", 409, "", { epoch: 1 });
const rate = (retry_after: number): Problem => problem("rate_limited", 429, "", { retry_after });

function anOutbox(...numbers: number[]): Outbox {
  const outbox = new Outbox(() => 0.5);
  for (const number of numbers) outbox.add(outgoing(number));
  return outbox;
}

const numbers = (messages: Outgoing[]): number[] => messages.map((message) => message.sentAt);
const range = (first: number, behind: number): number[] => Array.from({ length: behind - first }, (_, n) => first + n);

test("it sends many at once, in order", () => {
  expect(numbers(anOutbox(1, 2, 3).take(0))).toEqual([1, 2, 3]);
});

test("a frame takes a hundred messages", () => {
  const outbox = anOutbox(...range(1, 151));
  expect(numbers(outbox.take(0))).toEqual(range(1, 101));
  expect(numbers(outbox.take(0))).toEqual(range(101, 151));
});

test("a frame is never larger than the server takes", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 32_768 }), { minLength: 1, maxLength: 30 }), (sizes) => {
      const outbox = new Outbox();
      sizes.forEach((size, number) => {
        outbox.add(outgoing(number, KITCHEN, size));
      });
      const seen: number[] = [];
      for (let batch = outbox.take(0); batch.length > 0; batch = outbox.take(0)) {
        const messages = batch.map(({ id, room, sentAt, sealed }) => ({
          id,
          room,
          sender: ALICE,
          recipient: ALICE,
          sent_at: sentAt,
          ...sealed!,
          delivered: false,
          read: false,
        })) as never;
        expect(encode({ type: "send", ref: "123456", messages }).length).toBeLessThanOrEqual(FRAME_BYTES);
        seen.push(...numbers(batch));
      }
      expect(seen).toEqual(range(0, sizes.length));
    }),
  );
});

function taken(outbox: Outbox, now: number): Outgoing[] {
  const all: Outgoing[] = [];
  for (let batch = outbox.take(now); batch.length > 0; batch = outbox.take(now)) all.push(...batch);
  return all;
}

test("what is on the way is bounded", () => {
  const outbox = anOutbox(...range(0, IN_FLIGHT + 50));
  const sent = taken(outbox, 0);
  expect(sent).toHaveLength(IN_FLIGHT);
  outbox.accepted(sent[0]!.id);
  expect(outbox.take(0)).toHaveLength(1);
});

test("too much makes it send less at once, until it is taken again", () => {
  const outbox = anOutbox(...range(0, 3 * IN_FLIGHT));
  for (const message of taken(outbox, 0)) outbox.refused(message.id, rate(1), 0);

  const again = taken(outbox, 60_000);
  expect(numbers(again)).toEqual(range(0, IN_FLIGHT / 2));
  for (const message of again) outbox.accepted(message.id);
  expect(taken(outbox, 60_000)).toHaveLength(IN_FLIGHT);
});

describe("a refusal for the time being", () => {
  test("has the later ones wait for it", () => {
    const outbox = anOutbox(1, 2, 3);
    const [first, second, third] = outbox.take(0);

    expect(outbox.refused(first!.id, BUSY, 0)).toBe("repeat");
    outbox.add(outgoing(4));
    expect(outbox.take(100_000)).toEqual([]); // not before the other two are answered
    outbox.refused(second!.id, HELD, 0);
    outbox.refused(third!.id, HELD, 0);

    expect(outbox.take(200)).toEqual([]); // 0.25 s is the back-off at this chance
    expect(numbers(outbox.take(250))).toEqual([1, 2, 3, 4]);
  });

  test("lets other rooms go on", () => {
    const outbox = anOutbox(1);
    outbox.add(outgoing(2, GARDEN));
    const [first, second] = outbox.take(0);
    outbox.refused(first!.id, BUSY, 0);
    outbox.accepted(second!.id);
    outbox.add(outgoing(3, GARDEN));
    expect(numbers(outbox.take(100))).toEqual([3]);
  });

  test("holds everything for as long as the server says, if it is a rate", () => {
    const outbox = anOutbox(1);
    outbox.add(outgoing(2, GARDEN));
    const [first, second] = outbox.take(0);
    outbox.accepted(second!.id);
    outbox.add(outgoing(3, GARDEN));

    outbox.refused(first!.id, rate(7), 0);

    expect(outbox.take(6_900)).toEqual([]);
    expect(outbox.nextAt(0)).toBe(7_250);
    expect(numbers(outbox.take(7_250)).sort()).toEqual([1, 3]);
  });

  test("waits longer each time, and forgets that after a success", () => {
    const outbox = anOutbox(1);
    const waits: number[] = [];
    let now = 0;
    for (let n = 0; n < 9; n++) {
      outbox.refused(outbox.take(now)[0]!.id, BUSY, now);
      waits.push((outbox.nextAt(now) - now) / 1000);
      now = outbox.nextAt(now);
    }
    expect(waits).toEqual([0.25, 0.5, 1, 2, 4, 8, 15, 15, 15]);

    outbox.accepted(outbox.take(now)[0]!.id);
    outbox.add(outgoing(2));
    outbox.refused(outbox.take(now)[0]!.id, BUSY, now);
    expect(outbox.nextAt(now)).toBe(now + 250);
  });
});

describe("a refusal of an id's time", () => {
  const LATE = problem("invalid", 400, "", { field: "id", server_time: 5 });

  test("asks for another id, if the server cannot have the message", () => {
    const outbox = anOutbox(1, 2);
    const [first, second] = outbox.take(0);
    expect(outbox.refused(first!.id, LATE, 0)).toBe("renew");
    expect(outbox.accepted(second!.id)).toBe(true);
    expect(outbox.size).toBe(0);
  });

  test("is one for good, if the answer to an earlier attempt may be what was lost", () => {
    const outbox = anOutbox(1);
    outbox.take(0);
    outbox.disconnected();
    const [again] = outbox.take(0);
    expect(outbox.refused(again!.id, LATE, 0)).toBe("failed");

    outbox.add(outgoing(2));
    const [busy] = outbox.take(0);
    outbox.refused(busy!.id, BUSY, 0);
    outbox.take(60_000);
    expect(outbox.refused(busy!.id, LATE, 60_000)).toBe("failed");

    outbox.add(outgoing(3), true); // by an earlier tab
    outbox.take(60_000);
    expect(outbox.refused(outgoing(3).id, LATE, 60_000)).toBe("failed");
  });

  test("stops it with its room", () => {
    const outbox = anOutbox(1);
    const [first] = outbox.take(0);
    outbox.stop(KITCHEN);
    expect(outbox.refused(first!.id, LATE, 0)).toBe("stopped");
    expect(outbox.isStuck).toBe(false);
  });
});

describe("a refusal for good", () => {
  test("ends that message alone", () => {
    const outbox = anOutbox(1, 2);
    const [first, second] = outbox.take(0);
    expect(outbox.refused(first!.id, NO, 0)).toBe("failed");
    expect(outbox.accepted(second!.id)).toBe(true);
    expect(outbox.size).toBe(0);
  });

  test("is none if it is about the own earlier form", () => {
    const outbox = anOutbox(1);
    const [sent] = outbox.take(0);
    expect(outbox.refused(sent!.id, problem("id_conflict", 409, "", { accepted_at: 5 }), 0)).toBe("accepted");
  });

  test("is one if it is about somebody else's", () => {
    const outbox = anOutbox(1);
    const [sent] = outbox.take(0);
    expect(outbox.refused(sent!.id, problem("id_conflict", 409), 0)).toBe("failed");
  });
});

describe("sealing", () => {
  const unsealed = (number: number, where = KITCHEN): Outgoing => ({ ...outgoing(number, where), sealed: null });

  test("a stale epoch keeps the place and the id", () => {
    const outbox = anOutbox(1, 2);
    const [first, second] = outbox.take(0);
    expect(outbox.refused(first!.id, STALE, 0)).toBe("reseal");
    expect(outbox.refused(second!.id, STALE, 0)).toBe("reseal");
    outbox.replace(KITCHEN, [outgoing(1, KITCHEN, 9)]);

    const again = outbox.take(0);
    expect(numbers(again)).toEqual([1, 2]);
    expect(again[0]!.sealed!.ciphertext).toHaveLength(12);
  });

  test("what is not sealed yet waits in its place, and other rooms go on", () => {
    const outbox = anOutbox(1);
    outbox.add(unsealed(2));
    outbox.add(outgoing(3));
    outbox.add(outgoing(4, GARDEN));

    expect(numbers(outbox.take(0))).toEqual([1, 4]);
    expect(outbox.nextAt(0)).toBe(Number.POSITIVE_INFINITY);
    expect(outbox.unsealedIn(KITCHEN)).toEqual([unsealed(2)]);
    outbox.replace(KITCHEN, [outgoing(2)]);
    expect(outbox.nextAt(5)).toBe(5);
    expect(numbers(outbox.take(0))).toEqual([2, 3]);
  });

  test("a message of another epoch does not overtake those on the way", () => {
    // If the server has outdated the earlier epoch, they are refused; this one would be taken before them.
    const outbox = anOutbox(1, 2);
    outbox.add({ ...outgoing(3), sealed: { ...outgoing(3).sealed!, epoch: 1 } });
    const [first, second] = outbox.take(0);
    expect(outbox.nextAt(0)).toBe(Number.POSITIVE_INFINITY);

    outbox.accepted(first!.id);
    expect(outbox.take(0)).toEqual([]);
    expect(outbox.refused(second!.id, STALE, 0)).toBe("reseal");
    expect(numbers(outbox.take(0))).toEqual([2]);
    outbox.accepted(second!.id);
    expect(numbers(outbox.take(0))).toEqual([3]);
  });

  test("what cannot be sealed is given up, and nothing else", () => {
    const outbox = anOutbox(1, 2);
    outbox.replace(KITCHEN, [unsealed(2)]);
    outbox.add(unsealed(3, GARDEN));

    expect(numbers(outbox.giveUp(KITCHEN))).toEqual([2]);
    expect(numbers(outbox.take(0))).toEqual([1]);
    expect(outbox.has(outgoing(3).id)).toBe(true);
  });
});

test("after a break everything without an answer goes again", () => {
  const outbox = anOutbox(1, 2, 3);
  outbox.accepted(outbox.take(0)[0]!.id);
  outbox.disconnected();
  expect(numbers(outbox.take(0))).toEqual([2, 3]);
});

test("a message that was sent cannot be taken back", () => {
  const outbox = anOutbox(1);
  const [sent] = outbox.take(0);
  outbox.add(outgoing(2));

  expect(outbox.discard(sent!.id)).toBe(false);
  outbox.disconnected();
  expect(outbox.discard(sent!.id)).toBe(false);
  expect(outbox.discard(outgoing(2).id)).toBe(true);
  expect(numbers(outbox.take(0))).toEqual([1]);
});

test("a stopped room sends nothing and is emptied, but for what is on the way", () => {
  const outbox = anOutbox(1);
  const [sent] = outbox.take(0);
  outbox.add(outgoing(2));
  outbox.stop(KITCHEN);

  expect(outbox.take(0)).toEqual([]);
  expect(numbers(outbox.leaveStopped())).toEqual([2]);
  expect(outbox.refused(sent!.id, BUSY, 0)).toBe("stopped");
  // The server waits for that one's repeat, which will not come: only another connection makes it forget.
  expect(outbox.isStuck).toBe(true);
  outbox.disconnected();
  expect(outbox.isStuck).toBe(false);
});

test("silence is noticed", () => {
  const outbox = anOutbox(1);
  outbox.take(0);
  expect(outbox.overdue(30_000)).toBe(false);
  expect(outbox.overdue(31_000)).toBe(true);
});

test("no message overtakes another of its room, and none is lost", () => {
  const rooms = [KITCHEN, GARDEN];
  const fate = fc.constantFrom("ok", "ok", "busy", "rate");
  const step = fc.record({
    room: fc.constantFrom(...rooms),
    fates: fc.array(fate, { minLength: 1, maxLength: 12 }),
    breaks: fc.option(fc.nat({ max: 12 }), { freq: 5 }),
    pause: fc.boolean(),
  });
  // Random refusals, breaks and pauses against a server that follows the protocol.
  fc.assert(
    fc.property(
      fc.array(step, { minLength: 1, maxLength: 12 }),
      fc.uniqueArray(fc.nat({ max: 11 }), { maxLength: 3 }),
      (steps, doomed) => {
        const outbox = new Outbox(() => 0.5);
        const accepted = new Map<RoomId, number[]>(rooms.map((room) => [room, []]));
        const failed = new Set<number>();
        const blocked = new Map<RoomId, MessageId>(); // the server's memory: the refused message that must come first
        let now = 0;

        function serve({ id, room, sentAt }: Outgoing, fate: string): Problem | null {
          if (accepted.get(room)!.includes(sentAt)) return null; // the same id again is answered as the first time
          if (blocked.has(room) && blocked.get(room) !== id) return HELD;
          if (fate === "ok") {
            blocked.delete(room);
            if (doomed.includes(sentAt)) return NO;
            accepted.get(room)!.push(sentAt);
            return null;
          }
          blocked.set(room, id);
          return fate === "busy" ? BUSY : rate(2);
        }

        function go(fates: string[], breaks: number | null): void {
          const batch = outbox.take(now);
          const answers = batch.map((message, n) => [message, serve(message, fates[n % fates.length]!)] as const);
          const arrive = breaks === null ? answers : answers.slice(0, breaks);
          for (const [message, refusal] of arrive) {
            if (refusal === null) outbox.accepted(message.id);
            else if (outbox.refused(message.id, refusal, now) === "failed") failed.add(message.sentAt);
          }
          if (arrive.length < batch.length) {
            outbox.disconnected();
            blocked.clear(); // what the server remembers is the socket's
          }
        }

        for (const [number, { room, fates, breaks, pause }] of steps.entries()) {
          outbox.add(outgoing(number, room));
          go(fates, breaks);
          if (pause) now += 500;
        }
        for (let n = 0; n < 300 && outbox.size > 0; n++, now += 500) go(["ok"], null);

        expect(outbox.size).toBe(0);
        expect([...failed].sort()).toEqual(doomed.filter((number) => number < steps.length).sort());
        for (const room of rooms) {
          const mine = [...steps.entries()].filter(([number, step]) => step.room === room && !doomed.includes(number));
          expect(accepted.get(room)).toEqual(mine.map(([number]) => number));
        }
      },
    ),
  );
});
