/** The frames of docs/protocol.md, as this client spells and reads them. */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { decodeForward, decodeRoom } from "../../src/protocol/answers";
import { fromText, toText } from "../../src/protocol/base64url";
import { decodeEntry } from "../../src/protocol/entries";
import { type ClientFrame, decode, encode, readFrame, rejectFrame } from "../../src/protocol/frames";
import { isId, type MessageId, messageId, type RoomId } from "../../src/protocol/ids";
import { decodeProblem, mayRetry } from "../../src/protocol/problems";
import { Malformed } from "../../src/protocol/shape";
import { ALICE, message, messageEntry, room } from "../shapes";

const PAGE = readFileSync(join(__dirname, "../../../docs/protocol.md"), "utf8");
const ROOM = "019ab0c4-0000-7000-8000-000000000001" as RoomId;
const MESSAGE = "019ab0c4-7d3e-7aaa-8bbb-0123456789ab" as MessageId;

function examples(side: string): Record<string, unknown>[] {
  return [...PAGE.matchAll(new RegExp(`^\`\`\`frame ${side}\n(.*?)\n\`\`\`$`, "gms"))].map((found) =>
    JSON.parse(found[1]!),
  );
}

test.each(examples("server").map((example) => [example.type, example]))(
  "the page's example of %s is understood",
  (_, example) => {
    expect(decode(JSON.stringify(example)).type).not.toBe("other");
  },
);

test("every client example of the page is spelled alike", () => {
  const sent = {
    id: MESSAGE,
    room: ROOM,
    sent_at: 1795385284123,
    alg: "chat.e2ee.v1",
    epoch: 0,
    ciphertext: "b3BhcXVl",
  };
  const spelled: ClientFrame[] = [
    { type: "hello", token: "eyJhbGciOi…", client: { name: "letterlock-py", version: "0.1.0" } },
    { type: "send", ref: "17", messages: [{ ...sent, sender: ALICE, delivered: false, read: false }] },
    { type: "ack", seq: 42 },
    readFrame(ROOM, 42),
    rejectFrame(MESSAGE, "019ab0c4-7d3e-7aaa-8bbb-0123456789ac" as MessageId),
    { type: "typing", room: ROOM },
    { type: "ping" },
  ];
  const ours = spelled.map((frame) => JSON.parse(encode(frame)));

  // What the page allows beside the example: a ref, and what the client composed (§3.1).
  for (const frame of ours) {
    if (frame.type === "read" || frame.type === "reject") delete frame.ref;
    for (const composed of frame.messages ?? []) {
      expect([composed.sender, composed.delivered, composed.read]).toEqual([ALICE, false, false]);
      for (const name of ["sender", "delivered", "read"]) delete composed[name];
    }
  }
  expect(ours).toEqual(examples("client"));
});

test("every code that may be repeated is repeated", () => {
  const table = [...PAGE.matchAll(/^\| `(\w+)` \| (\d+) \| ([\w ]+) \|/gm)];
  expect(table.length).toBeGreaterThan(15);
  for (const [, code, status, may] of table) {
    expect([code, mayRetry(decodeProblem({ code, status: Number(status) }))]).toEqual([code, may === "yes"]);
  }
});

test.each([
  "",
  "{",
  "[]",
  "null",
  '{"type": 3}',
  '{"type": "drained"}',
  '{"type": "drained", "seq": "1"}',
  '{"type": "drained", "seq": 1.5}',
  '{"type": "entries", "entries": [{"seq": 1}]}',
  '{"type": "entries", "entries": [{"seq": 1, "kind": "message"}]}',
  '{"type": "welcome"}',
  '{"type": "accepted", "messages": [1]}',
  '{"type": "receipts", "receipts": [[]]}',
  '{"type": "read", "room": "kitchen", "seq": 1}',
  '{"type": "reconnect", "after_ms": 3}',
])("a frame of an unknown shape is refused: %s", (json) => {
  expect(() => decode(json)).toThrow(Malformed);
});

test("one entry of a wrong shape refuses the whole frame", () => {
  const { ciphertext: _, ...broken } = messageEntry(2);
  expect(() => decode(JSON.stringify({ type: "entries", entries: [messageEntry(1), broken] }))).toThrow(Malformed);
});

test("what a newer server adds does no harm", () => {
  expect(decode('{"type": "weather"}')).toEqual({ type: "other", name: "weather" });
  expect(decodeEntry({ seq: 7, kind: "weather" })).toEqual({ seq: 7, kind: "hidden" });
  expect(decodeEntry({ ...messageEntry(7), mood: "?" })).toEqual(messageEntry(7));
});

test("a page of the mailbox has no gap and goes on", () => {
  const page = (seqs: number[], next: number | null) => ({
    entries: seqs.map((seq) => ({ seq, kind: "hidden" })),
    last_seq: 9,
    next,
  });
  expect(decodeForward(page([4, 5], 5), 3).entries).toHaveLength(2);
  expect(() => decodeForward(page([5], 5), 3)).toThrow(Malformed);
  expect(() => decodeForward(page([4, 6], 6), 3)).toThrow(Malformed);
  expect(() => decodeForward(page([], 3), 3)).toThrow(Malformed);
});

test("a room without an epoch has epoch 0", () => {
  const given = {
    id: room(1),
    kind: "group",
    members_version: 1,
    epoch: null,
    history: "joined",
    created_at: 5,
    members: [],
  };
  expect(decodeRoom(given)).toMatchObject({ epoch: 0, muted: null });
  expect(() => decodeRoom({ ...given, kind: "channel" })).toThrow(Malformed);
});

describe("bytes", () => {
  test("survive the wire", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(fromText(toText(bytes))).toEqual(bytes);
        expect(toText(bytes)).toBe(Buffer.from(bytes).toString("base64url"));
      }),
    );
  });

  test.each(["YQ==", "YR", "a", "Y Q", "+/+/", "é", "YQ\n"])("have one spelling: %j", (spelled) => {
    expect(() => fromText(spelled)).toThrow(Malformed);
  });
});

test("message ids are version 7 and carry their time", () => {
  fc.assert(
    fc.property(fc.nat({ max: 2 ** 48 - 1 }), fc.uint8Array({ minLength: 10, maxLength: 10 }), (ms, random) => {
      const made = messageId(ms, random);
      expect(isId(made)).toBe(true);
      expect(made[14]).toBe("7");
      expect("89ab").toContain(made[19]);
      expect(Number.parseInt(made.slice(0, 8) + made.slice(9, 13), 16)).toBe(ms);
    }),
  );
});

test("a message of the tests is one of the protocol", () => {
  expect(message(5)).toSatisfy(isId);
});
