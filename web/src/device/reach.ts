/** How far own messages have come: ticks, out of the receipts of a room. */

import type { Ticks } from "../messenger";
import type { DeviceId, UserId } from "../protocol/ids";
import type { Reached } from "../store/receipts";
import type { RoomRecord } from "../store/schema";

export interface Reach {
  readonly delivered: number;
  readonly read: number;
  readonly of: number;
}

interface Sent {
  readonly seq: number;
  readonly device: DeviceId;
  readonly acceptedAt: number;
  /** As the history told: every other recipient has it, has read it. */
  readonly delivered: boolean;
  readonly read: boolean;
}

/** Per sending device, where each present member stands; built once per change of receipts, asked once per row. */
export class RoomReach {
  private readonly delivered = new Map<DeviceId, number[]>();
  private readonly read = new Map<DeviceId, number[]>();
  private readonly joined: number[];
  /** A receipt names a message that is not here yet. */
  readonly isAhead: boolean;

  constructor(room: Pick<RoomRecord, "members">, me: UserId, receipts: readonly Reached[]) {
    const others = new Map(
      room.members.filter(({ user }) => user !== me).map(({ user, joinedAt }) => [user, joinedAt]),
    );
    this.joined = [...others.values()].sort(ascending);
    this.isAhead = receipts.some(({ isAhead }) => isAhead);
    for (const { user, device, delivered, read } of receipts) {
      if (!others.has(user)) continue;
      push(this.delivered, device, delivered);
      push(this.read, device, read);
    }
    for (const seqs of [...this.delivered.values(), ...this.read.values()]) seqs.sort(ascending);
  }

  /** Of those who were there when it was sent. */
  of(sent: Sent): Reach {
    const of = this.joined.length === 0 ? 1 : below(this.joined, sent.acceptedAt + 1);
    const read = sent.read ? of : Math.min(of, from(this.read.get(sent.device), sent.seq));
    const delivered = sent.delivered ? of : Math.min(of, from(this.delivered.get(sent.device), sent.seq));
    return { delivered: Math.max(delivered, read), read, of };
  }
}

export function ticksOf({ delivered, read, of }: Reach): Ticks {
  if (of > 0 && read >= of) return "read";
  return of > 0 && delivered >= of ? "delivered" : "sent";
}

function ascending(one: number, other: number): number {
  // Not their difference: a message that is not here yet counts as infinitely new.
  return one < other ? -1 : one > other ? 1 : 0;
}

function push(lists: Map<DeviceId, number[]>, device: DeviceId, seq: number): void {
  const list = lists.get(device);
  if (list === undefined) lists.set(device, [seq]);
  else list.push(seq);
}

/** How many of these ascending numbers are below a bound. */
function below(numbers: readonly number[], bound: number): number {
  let low = 0;
  let high = numbers.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (numbers[middle]! < bound) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** How many reach a seq. */
function from(numbers: readonly number[] | undefined, seq: number): number {
  return numbers === undefined ? 0 : numbers.length - below(numbers, seq);
}
