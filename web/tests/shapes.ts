/** Entries and messages for the tests, and ids that are told apart at a glance. */

import type { MessageEntry } from "../src/protocol/entries";
import type { Welcome } from "../src/protocol/frames";
import type { DeviceId, MessageId, RoomId, UserId } from "../src/protocol/ids";
import type { Outgoing } from "../src/protocol/outbox";

function uuid<Id>(kind: number, number: number): Id {
  const tail = number.toString(16).padStart(12, "0");
  return `019ab0c4-000${kind}-7000-8000-${tail}` as Id;
}

export const user = (number: number): UserId => uuid(1, number);
export const device = (number: number): DeviceId => uuid(2, number);
export const room = (number: number): RoomId => uuid(3, number);
export const message = (number: number): MessageId => uuid(4, number);

export const ALICE = user(0xa);
export const BOB = user(0xb);
export const CAROL = user(0xc);
export const MALLORY = user(0xe);
export const PHONE = device(0xa1); // alice's
export const LAPTOP = device(0xa2); // alice's
export const BOBS = device(0xb1);
export const KITCHEN = room(1);
export const GARDEN = room(2);

export function messageEntry(seq: number, more: Partial<MessageEntry> = {}): MessageEntry {
  return {
    kind: "message",
    seq,
    id: message(seq),
    room: KITCHEN,
    sender: ALICE,
    device: PHONE,
    recipient: null,
    sent_at: seq,
    accepted_at: seq,
    alg: "chat.e2ee.v1",
    epoch: 1,
    ciphertext: "b3BhcXVl",
    delivered: false,
    read: false,
    ...more,
  };
}

export function outgoing(number: number, where = KITCHEN, size = 5): Outgoing {
  const sealed = { alg: "chat.e2ee.v1", epoch: 0, ciphertext: "x".repeat(Math.ceil((size * 4) / 3)) };
  return { id: message(number), room: where, sentAt: number, sealed };
}

export function welcome(more: Partial<Welcome> = {}): Welcome {
  return {
    type: "welcome",
    user: BOB,
    device: BOBS,
    host: "web-1",
    acknowledged: 0,
    last_seq: 0,
    window: 512,
    ...more,
  };
}
