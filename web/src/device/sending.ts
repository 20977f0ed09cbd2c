/**
 * From the user's hand to the server's commit.
 *
 *     any tab: the store's outbox  |  the tab with the socket: sealed, in the outbox of protocol/, on the way | answers | the store forgets
 *
 * What cannot be sealed yet, because the room's epoch is not at hand, waits in its place.
 */

import { Refusal } from "../messenger";
import type { Accepted } from "../protocol/answers";
import { Backoff } from "../protocol/backoff";
import { blockedProblem } from "../protocol/changes";
import type { WireMessage } from "../protocol/frames";
import type { MessageId, RoomId } from "../protocol/ids";
import { Outbox, type Outgoing } from "../protocol/outbox";
import { mayRetry, type Problem, problem } from "../protocol/problems";
import {
  failMessage,
  findUnsent,
  markAccepted,
  markLeaving,
  outboxIn,
  outboxOf,
  removeUnsent,
  renew,
} from "../store/outbox";
import type { OutboxRecord } from "../store/schema";
import { Wake } from "./clock";
import { closedBy } from "./gate";
import { log, type Parts } from "./parts";
import type { Identity } from "./ports";

const AT_ONCE = 100; // messages sealed together
/** Why nothing can be sealed now, but later: not the message's fault. */
const LATER: ReadonlySet<string> = new Set(["offline", "signed_out", "suspended", "keys_missing", "device_not_listed"]);

export class Sender {
  readonly outbox: Outbox;
  /** Whoever carries looks again. */
  readonly wake = new Wake();
  private readonly texts = new Map<MessageId, OutboxRecord>();
  private readonly sealing = new Set<RoomId>();
  /** Counted up by whatever outdates what is sealed: what was being sealed meanwhile is sealed anew. */
  private readonly generations = new Map<RoomId, number>();
  private readonly waits = new Map<RoomId, ReturnType<typeof setTimeout>>();
  /** Apart from the timers: it outlasts each attempt, until one succeeds or there is a reason to begin anew. */
  private readonly backoffs = new Map<RoomId, Backoff>();
  private online = false;
  private ended = false;

  constructor(
    private readonly parts: Parts,
    private readonly identity: Identity,
  ) {
    this.outbox = new Outbox(parts.clock.chance);
  }

  /** Take up what waits in the store. */
  async load(): Promise<void> {
    for (const record of await outboxIn(this.parts.db)) this.add(record);
    await this.recheck();
  }

  /** Something was written, or discarded, in a room. */
  async look(room: RoomId): Promise<void> {
    const records = await outboxOf(this.parts.db, room);
    const closed = await closedBy(this.parts.db, room);
    this.outbox.stop(room, closed !== null);
    for (const record of records) this.add(record);
    const kept = new Set(records.map((record) => record.id));
    for (const { id } of this.outbox.waitingIn(room))
      if (!kept.has(id) && this.outbox.discard(id)) this.texts.delete(id);
    await this.dropStopped();
    this.seal(room);
  }

  private add(record: OutboxRecord): void {
    if (record.failed !== null || record.accepted || this.outbox.has(record.id) || this.texts.has(record.id)) return;
    this.texts.set(record.id, record);
    const { id, room, sentAt, fresh } = record;
    this.outbox.add({ id, room, sentAt, sealed: null }, !fresh);
  }

  /** There is a connection now. */
  connected(): void {
    this.online = true;
    this.sealNow();
  }

  /** Keys have come: what waits for them need not wait for its timer. */
  unlocked(): void {
    this.sealNow();
  }

  private sealNow(): void {
    this.unwaitAll();
    for (const room of this.outbox.rooms()) this.seal(room);
  }

  /** The connection is gone: what was on the way goes again, unless a block came meanwhile. */
  async disconnected(): Promise<void> {
    this.online = false;
    this.outbox.disconnected();
    await this.dropStopped();
  }

  /** Another tab goes on. */
  end(): void {
    this.ended = true;
    this.unwaitAll();
  }

  // Sealing.

  private seal(room: RoomId): void {
    if (!this.online || this.ended || this.sealing.has(room) || this.waits.has(room)) return;
    if (this.outbox.unsealedIn(room).length === 0) return;
    this.sealing.add(room);
    this.sealAll(room)
      .then(() => this.backoffs.delete(room))
      .catch((error) => this.notSealed(room, error))
      .catch((error) => log("what could not be sealed is not noted", error))
      .finally(() => {
        this.sealing.delete(room);
        this.seal(room);
      });
  }

  private async sealAll(room: RoomId): Promise<void> {
    while (this.online) {
      const waiting = this.outbox.unsealedIn(room).slice(0, AT_ONCE);
      if (waiting.length === 0) return;
      const generation = this.generations.get(room);
      const drafts = waiting.map(({ id, sentAt }) => ({ id, room, sentAt, text: this.texts.get(id)!.text }));
      const sealed = await this.parts.sealing.seal(drafts);
      await this.leaving(waiting);
      if (generation !== this.generations.get(room)) continue;
      this.outbox.replace(
        room,
        waiting.map((message, at) => ({ ...message, sealed: sealed[at]! })),
      );
      this.wake.set();
    }
  }

  /** Noted before they go, because whoever finds them in the store after this tab cannot know whether they did. */
  private async leaving(messages: readonly Outgoing[]): Promise<void> {
    const fresh = messages.map(({ id }) => this.texts.get(id)).filter((record) => record?.fresh) as OutboxRecord[];
    if (fresh.length === 0) return;
    await markLeaving(
      this.parts.db,
      fresh.map(({ id }) => id),
    );
    for (const { fresh: _, ...record } of fresh) if (this.texts.has(record.id)) this.texts.set(record.id, record);
  }

  private async notSealed(room: RoomId, error: unknown): Promise<void> {
    const refusal = error instanceof Refusal ? error : null;
    if (refusal === null) log("sealing failed", error);
    const goes = refusal === null || LATER.has(refusal.code) || (refusal.problem !== null && mayRetry(refusal.problem));
    if (!goes) {
      const reason = refusal.problem ?? problem(refusal.code, 0);
      const isNoted = await this.failAll(this.outbox.giveUp(room), async () => reason);
      this.wake.set();
      if (isNoted) {
        this.backoffs.delete(room);
        return;
      }
    }
    const backoff = (this.backoffs.get(room) ?? new Backoff()).failed();
    this.backoffs.set(room, backoff);
    const timer = setTimeout(
      () => {
        this.waits.delete(room);
        this.seal(room);
      },
      backoff.delay(this.parts.clock.chance(), refusal?.problem?.retry_after),
    );
    this.waits.set(room, timer);
  }

  private unwaitAll(): void {
    for (const timer of this.waits.values()) clearTimeout(timer);
    this.waits.clear();
    this.backoffs.clear();
  }

  private unwait(room: RoomId): void {
    clearTimeout(this.waits.get(room));
    this.waits.delete(room);
    this.backoffs.delete(room);
  }

  /** The room may have another epoch, or its members other keys: what is not on the way is sealed anew. */
  reseal(room: RoomId): void {
    this.generations.set(room, (this.generations.get(room) ?? 0) + 1);
    const waiting = this.outbox.waitingIn(room);
    this.outbox.replace(
      room,
      waiting.map((message) => ({ ...message, sealed: null })),
    );
    this.unwait(room);
    this.seal(room);
  }

  // On the way.

  /** What may go now, as it stands in a frame. */
  take(now: number): WireMessage[] {
    return this.outbox.take(now).map(({ id, room, sentAt, sealed }) => ({
      id,
      room,
      sender: this.identity.user,
      sent_at: sentAt,
      alg: sealed!.alg,
      epoch: sealed!.epoch,
      ciphertext: sealed!.ciphertext,
      delivered: false,
      read: false,
    }));
  }

  /** The server has committed these. They stay in the store until their entries are there: so they never vanish in between. */
  async answered(answers: readonly Pick<Accepted, "id">[]): Promise<void> {
    for (const { id } of answers) this.outbox.accepted(id);
    this.wake.set();
    const rooms = await markAccepted(
      this.parts.db,
      answers.map(({ id }) => id),
    );
    for (const room of rooms) this.parts.bus.tell({ type: "outbox", room, settled: true });
  }

  /** Own messages came back through the mailbox, and the store has them: if an answer was lost, this is it. */
  arrived(ids: Iterable<MessageId>): void {
    for (const id of ids) {
      this.outbox.accepted(id);
      const room = this.texts.get(id)?.room;
      this.texts.delete(id);
      if (room !== undefined) this.parts.bus.tell({ type: "outbox", room, settled: true });
    }
    this.wake.set();
  }

  /** The server did not take one of these, for now or for good. */
  async refused(id: MessageId, refusal: Problem): Promise<void> {
    const record = this.texts.get(id);
    if (record === undefined) return;
    const verdict = this.outbox.refused(id, refusal, this.parts.clock.monotonic());
    switch (verdict) {
      case "repeat":
        break;
      case "accepted":
        await this.answered([{ id }]);
        break;
      case "failed":
        await this.fail(record, refusal);
        break;
      case "renew":
        await this.renew(record, refusal.server_time as number);
        break;
      case "stopped":
        await this.fail(record, this.stoppedBy(record.room));
        break;
      case "reseal":
        this.parts.sealing.stale(record.room, this.epochOf(record), refusal);
        this.reseal(record.room);
        break;
      default:
        verdict satisfies never;
    }
    this.wake.set();
  }

  /** Under which epoch a message that waits (again) is sealed. */
  private epochOf({ room, id }: OutboxRecord): number {
    return this.outbox.waitingIn(room).find((message) => message.id === id)?.sealed?.epoch ?? 0;
  }

  /** Give a message another id and time. It goes behind what waits in its room, which would be late behind that time. */
  private async renew(record: OutboxRecord, serverTime: number): Promise<void> {
    const { id, room } = record;
    this.texts.set(id, { ...record, fresh: true }); // no server has it
    const renewed = await this.settled(id, () => renew(this.parts.db, id, serverTime));
    if (renewed !== null) this.add(renewed);
    this.parts.bus.tell({ type: "outbox", room, settled: true });
    this.seal(room);
  }

  private async fail(message: Outgoing | OutboxRecord, reason: Problem | Promise<Problem>): Promise<void> {
    await this.settled(message.id, async () => failMessage(this.parts.db, message.id, await reason));
    this.parts.bus.tell({ type: "outbox", room: message.room, settled: true });
  }

  /** Whether all of that is noted; if not, it is tried again when there is a reason to look. */
  private async failAll(messages: readonly Outgoing[], reason: (room: RoomId) => Promise<Problem>): Promise<boolean> {
    let isNoted = true;
    for (const message of messages) {
      await this.fail(message, reason(message.room)).catch((error) => {
        isNoted = false;
        log("that a message failed is not noted", error);
      });
    }
    return isNoted;
  }

  /** Note what becomes of a message that has left the outbox. As long as the store does not have that, it waits as before. */
  private async settled<Result>(id: MessageId, note: () => Promise<Result>): Promise<Result> {
    const record = this.texts.get(id);
    this.texts.delete(id);
    try {
      return await note();
    } catch (error) {
      if (record !== undefined) this.add(record);
      throw error;
    }
  }

  /** Somebody may be blocked now, or no longer: what is not to be sent stops here, and is kept with the reason. */
  async recheck(): Promise<void> {
    for (const room of this.outbox.rooms()) this.outbox.stop(room, (await closedBy(this.parts.db, room)) !== null);
    await this.dropStopped();
    this.wake.set();
  }

  private async dropStopped(): Promise<void> {
    await this.failAll(this.outbox.leaveStopped(), (room) => this.stoppedBy(room));
  }

  private async stoppedBy(room: RoomId): Promise<Problem> {
    return blockedProblem((await closedBy(this.parts.db, room)) ?? "you");
  }
}

/** Give a message up that has failed or was never sent. False when there is none of that id. */
export async function discard(parts: Pick<Parts, "db" | "bus">, id: MessageId): Promise<boolean> {
  const record = await findUnsent(parts.db, id);
  if (record === undefined || !(await removeUnsent(parts.db, id))) return false;
  parts.bus.tell({ type: "outbox", room: record.room });
  return true;
}
