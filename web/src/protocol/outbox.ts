/**
 * What leaves: each room's messages strictly in order, everything repeated until it is accepted or refused for good.
 *
 * A room is a *lane*. Several of its messages may be on the way at once (over one socket the server keeps their order). As soon
 * as one is refused for the time being, the lane sends nothing until all that is on the way is answered; then it starts again
 * from the first that is left, after a back-off. The server on its side refuses the later ones (`earlier_send_refused`), so
 * none overtakes.
 *
 * A lane can be *stopped*: one of the two people of its room blocks the other. Nothing of it is sent or repeated then, and what
 * waits in it leaves the outbox (`leaveStopped`); what is on the way is still answered.
 *
 * A message can wait *unsealed*, because its room's epoch is not at hand. Neither it nor what is behind it goes before that.
 * And one under another epoch waits for the answers to those before it: if the server has outdated theirs, it must not overtake
 * them. Times in ms.
 *
 * A message whose id has a time that the server does not take needs another id. It gets one only if it has been sent no other time:
 * what was sent before may be stored under the first one, and would be there twice.
 */

import { Backoff } from "./backoff";
import { FRAME_BYTES, FRAME_MESSAGES } from "./frames";
import type { MessageId, RoomId } from "./ids";
import { EVERYTHING, mayRetry, type Problem } from "./problems";

export const IN_FLIGHT = 400;
export const ANSWER_MS = 30_000;

/** A message as this device composed it. Without `sealed` it cannot go yet. `sentAt` orders what one device writes. */
export interface Outgoing {
  readonly id: MessageId;
  readonly room: RoomId;
  readonly sentAt: number;
  readonly sealed: { readonly alg: string; readonly epoch: number; readonly ciphertext: string } | null;
}

/** What a refusal means for the message. */
export type Verdict =
  | "repeat" // it stays in the outbox and goes again
  | "reseal" // it has to be sealed for another epoch first, under the same id
  | "accepted" // it had been accepted, in an earlier form
  | "renew" // it needs another id, and no server has it under this one
  | "failed" // it will never be accepted
  | "stopped"; // it would go again, but its room is stopped

interface Queued {
  message: Outgoing;
  sentAt: number | null; // the last time; null: never
  wasSent: boolean; // before the last time, by whomever: the server may have it
  turnedAway: boolean; // on this connection, for the time being: the server waits for its repeat
}

class Lane {
  waiting: Queued[] = [];
  readonly onTheWay = new Map<MessageId, Queued>();
  backoff = new Backoff();
  notBefore = 0;
  settling = false; // something came back: wait for the answers to the rest

  putBack(items: readonly Queued[]): void {
    this.waiting = [...items, ...this.waiting].sort((one, other) => one.message.sentAt - other.message.sentAt);
  }

  get isReady(): boolean {
    const first = this.waiting[0];
    if (first === undefined || this.settling || first.message.sealed === null) return false;
    // A lane has one epoch on the way at a time, so any of them tells it.
    const ahead = this.onTheWay.values().next().value;
    return ahead === undefined || ahead.message.sealed?.epoch === first.message.sealed.epoch;
  }
}

/** The sending policy. `now` is a monotonic clock; `chance` gives random numbers in [0, 1). */
export class Outbox {
  /** The server waits for the repeat of a message that will not go again: only a new connection makes it forget that. */
  isStuck = false;
  private readonly lanes = new Map<RoomId, Lane>();
  private readonly roomOf = new Map<MessageId, RoomId>();
  private readonly stopped = new Set<RoomId>();
  private inFlight = 0;
  private window = IN_FLIGHT; // how many may be on the way: halved by each refusal of too much, and grown again
  private backoff = new Backoff();
  private notBefore = 0; // for all lanes

  constructor(private readonly chance: () => number = Math.random) {}

  get size(): number {
    return this.roomOf.size;
  }

  has(message: MessageId): boolean {
    return this.roomOf.has(message);
  }

  /** Queue a message, in its place: `sentAt` grows in the order in which the user wrote. `wasSent`: an earlier tab may have sent it. */
  add(message: Outgoing, wasSent = false): void {
    const lane = this.lanes.get(message.room) ?? new Lane();
    this.lanes.set(message.room, lane);
    const item = { message, sentAt: null, wasSent, turnedAway: false };
    const last = lane.waiting.at(-1);
    if (last !== undefined && last.message.sentAt > message.sentAt) lane.putBack([item]);
    else lane.waiting.push(item);
    this.roomOf.set(message.id, message.room);
  }

  /** The messages of the next frame: at most 100, and what fits in 64 KiB. Empty when nothing may go. */
  take(now: number): Outgoing[] {
    const taken: Outgoing[] = [];
    if (now < this.notBefore) return taken;
    let left = FRAME_BYTES - 200;
    const ready = [...this.lanes].filter(
      ([room, lane]) => lane.isReady && lane.notBefore <= now && !this.stopped.has(room),
    );
    for (const [room, lane] of ready) {
      while (lane.isReady && taken.length < FRAME_MESSAGES && this.inFlight < this.window) {
        const item = lane.waiting[0]!;
        const size = sizeOf(item.message);
        if (taken.length > 0 && size > left) return taken;
        lane.waiting.shift();
        item.wasSent ||= item.sentAt !== null;
        item.sentAt = now;
        lane.onTheWay.set(item.message.id, item);
        this.inFlight += 1;
        left -= size;
        taken.push(item.message);
      }
      if (taken.length === FRAME_MESSAGES || this.inFlight >= this.window) break;
      // The next frame begins with another room: a long queue in one does not hold up the others.
      this.lanes.delete(room);
      this.lanes.set(room, lane);
    }
    return taken;
  }

  /** The server has it. False when it was not (or no longer) in the outbox. */
  accepted(message: MessageId): boolean {
    const lane = this.leave(message);
    if (lane === null) return false;
    lane.backoff = new Backoff();
    this.backoff = new Backoff();
    this.window = Math.min(IN_FLIGHT, this.window + 1);
    return true;
  }

  /** The server refused a message that is on the way; decides what becomes of it. */
  refused(message: MessageId, problem: Problem, now: number): Verdict {
    const room = this.roomOf.get(message);
    const lane = room === undefined ? undefined : this.lanes.get(room);
    const item = lane?.onTheWay.get(message);
    if (room === undefined || lane === undefined || item === undefined) {
      return "repeat"; // an answer to an earlier attempt, whose repeat has its own answer coming
    }
    const stale = problem.code === "epoch_stale";
    if (problem.code === "id_conflict" && "accepted_at" in problem) {
      this.leave(message);
      return "accepted";
    }
    if (isOutOfTime(problem) && !item.wasSent) {
      this.leave(message);
      return this.stopped.has(room) ? "stopped" : "renew";
    }
    if (!stale && !mayRetry(problem)) {
      this.leave(message);
      return "failed";
    }
    if (this.stopped.has(room)) {
      this.isStuck ||= !stale;
      this.leave(message);
      return "stopped";
    }
    lane.onTheWay.delete(message);
    item.turnedAway = !stale;
    this.inFlight -= 1;
    lane.putBack([item]);
    if (!lane.settling) this.hold(lane, problem, now);
    lane.settling = lane.onTheWay.size > 0;
    return stale ? "reseal" : "repeat";
  }

  private hold(lane: Lane, problem: Problem, now: number): void {
    if (EVERYTHING.has(problem.code)) {
      this.notBefore = now + this.backoff.delay(this.chance(), problem.retry_after);
      this.backoff = this.backoff.failed();
      this.window = Math.max(FRAME_MESSAGES, Math.floor(this.window / 2));
    } else if (problem.code !== "epoch_stale" || lane.backoff.failures > 0) {
      lane.notBefore = now + lane.backoff.delay(this.chance(), problem.retry_after);
    }
    lane.backoff = lane.backoff.failed();
  }

  private leave(message: MessageId): Lane | null {
    const room = this.roomOf.get(message);
    const lane = room === undefined ? undefined : this.lanes.get(room);
    if (room === undefined || lane === undefined) return null;
    this.roomOf.delete(message);
    if (lane.onTheWay.delete(message)) this.inFlight -= 1;
    else lane.waiting = lane.waiting.filter((item) => item.message.id !== message);
    lane.settling &&= lane.onTheWay.size > 0;
    if (lane.waiting.length === 0 && lane.onTheWay.size === 0) this.lanes.delete(room);
    return lane;
  }

  /**
   * Give up a message that was never sent. False otherwise: one that was may have been accepted, and the server may be waiting
   * for its repeat before it takes the next.
   */
  discard(message: MessageId): boolean {
    const room = this.roomOf.get(message);
    const items = room === undefined ? [] : this.lanes.get(room)!.waiting;
    if (!items.some((item) => item.message.id === message && item.sentAt === null)) return false;
    this.leave(message);
    return true;
  }

  /** The rooms that something waits for, or is on the way to. */
  rooms(): RoomId[] {
    return [...this.lanes.keys()];
  }

  /** Send nothing more in this room; or, without `on`, go on. */
  stop(room: RoomId, on = true): void {
    if (on) this.stopped.add(room);
    else this.stopped.delete(room);
  }

  /** Take out what waits in stopped rooms, in order; whatever was sent already may have been accepted. */
  leaveStopped(): Outgoing[] {
    const leaving = [...this.stopped].flatMap((room) => this.lanes.get(room)?.waiting ?? []);
    return this.takeOut(leaving);
  }

  /** Take out what waits unsealed in a room, in order: its epoch cannot be had. */
  giveUp(room: RoomId): Outgoing[] {
    return this.takeOut((this.lanes.get(room)?.waiting ?? []).filter((item) => item.message.sealed === null));
  }

  private takeOut(leaving: readonly Queued[]): Outgoing[] {
    for (const item of leaving) {
      this.isStuck ||= item.turnedAway;
      this.leave(item.message.id);
    }
    return leaving.map((item) => item.message).sort((one, other) => one.sentAt - other.sentAt);
  }

  /** The messages of a room that wait for its epoch. */
  unsealedIn(room: RoomId): Outgoing[] {
    return this.waitingIn(room).filter((message) => message.sealed === null);
  }

  /** The messages of a room that are not on the way. */
  waitingIn(room: RoomId): Outgoing[] {
    return (this.lanes.get(room)?.waiting ?? []).map((item) => item.message);
  }

  /** The same messages, sealed or unsealed anew; each keeps its id and its place. What has left meanwhile stays away. */
  replace(room: RoomId, messages: readonly Outgoing[]): void {
    const fresh = new Map(messages.map((message) => [message.id, message]));
    for (const item of this.lanes.get(room)?.waiting ?? []) item.message = fresh.get(item.message.id) ?? item.message;
  }

  /** The connection is gone: what was on the way goes again, first, on the next one. */
  disconnected(): void {
    for (const lane of this.lanes.values()) {
      lane.putBack([...lane.onTheWay.values()]);
      lane.onTheWay.clear();
      lane.settling = false;
      for (const item of lane.waiting) item.turnedAway = false;
    }
    this.inFlight = 0;
    this.isStuck = false;
  }

  /** When `take` will have something without any further event; infinity when it waits for answers. */
  nextAt(now: number): number {
    if (this.inFlight >= this.window) return Number.POSITIVE_INFINITY;
    let first = Number.POSITIVE_INFINITY;
    for (const [room, lane] of this.lanes) {
      if (lane.isReady && !this.stopped.has(room))
        first = Math.min(first, Math.max(lane.notBefore, this.notBefore, now));
    }
    return first;
  }

  /** Whether something has been on the way for 30 s without an answer: then the connection is not to be trusted. */
  overdue(now: number): boolean {
    for (const lane of this.lanes.values()) {
      const first = lane.onTheWay.values().next().value;
      if (first?.sentAt != null && now - first.sentAt > ANSWER_MS) return true;
    }
    return false;
  }
}

/**
 * The id's time is too far from the server's: it waited for long, or the clock is wrong. That is looked at before what is stored is,
 * so it does not say that the message is not stored.
 */
function isOutOfTime(problem: Problem): boolean {
  return problem.code === "invalid" && problem.field === "id" && Number.isSafeInteger(problem.server_time);
}

/** At most this many bytes of a frame. */
function sizeOf(message: Outgoing): number {
  return (message.sealed?.ciphertext.length ?? 0) + 500;
}
