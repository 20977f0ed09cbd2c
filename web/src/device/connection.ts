/**
 * One life of the socket (docs/protocol.md §4.4): hello → welcome → entries … drained → live, until it breaks.
 *
 * One loop reads and one writes. Whoever wants something written puts it where the writer looks, and wakes it.
 */

import type { Connection as ConnectionState } from "../messenger";
import { Backoff } from "../protocol/backoff";
import type { Entry } from "../protocol/entries";
import { type ClientFrame, READ_REF, REJECT_REF, readFrame, rejectFrame, type ServerFrame } from "../protocol/frames";
import type { MessageId, RoomId } from "../protocol/ids";
import { ACK_DELAY_MS, type Inbox } from "../protocol/inbox";
import { mayRetry, type Problem } from "../protocol/problems";
import { refusalsIn, refusalTold } from "../store/mailbox";
import { readUpTo } from "../store/rooms";
import { type Socket, SocketClosed } from "../transport/socket";
import { log, type Parts } from "./parts";
import type { Receiver } from "./receiving";
import type { Sender } from "./sending";
import { isSeen } from "./soon";

const CLIENT = { name: "letterlock-web", version: "0.1.0" };
/** Browsers do not show the server's pings: after so long a silence this device asks by a `ping` of its own. */
const PING_MS = 20_000;
const PONG_MS = 30_000;
/** A page that was asleep has so long to take what came meanwhile, before it counts as silence. */
const AWAKE_MS = 1_000;
/** Entries that are stored together, when more frames than one have come. */
const BATCH = 256;
/** More than this is not put into a network that takes nothing. */
const BACKLOG = 256_000;
const REFS = 1_000;

/** Something on the way has had no answer for too long, or the server waits for what will not come. */
export class Stalled extends Error {}

export interface Life {
  entered(state: ConnectionState): void;
  /** Everything up to now is here. */
  live(): void;
  /** The server wants this device elsewhere: at `url`, or where it assigns it (null), within `afterMs`. */
  moved(url: string | null, afterMs: number): void;
}

export class Connection {
  private readonly control: ClientFrame[] = [];
  private readonly sent = new Map<string, readonly MessageId[]>(); // ref → messages of a `send` without a full answer
  private refs = 0;
  /** The server has said who this is. `welcomed`: and what the store lacked is here, so this device may speak. */
  private greeted = false;
  private welcomed = false;
  private heardAt = 0;
  private pingedAt = Number.NEGATIVE_INFINITY;
  private readsTold: { room: RoomId; seq: number }[] = [];
  private catchUp = { from: 0, to: 0 };
  private readonly over = new AbortController();
  /** Resolved when it is over. */
  readonly ended = new Promise<void>((resolve) => {
    this.over.signal.addEventListener("abort", () => resolve(), { once: true });
  });

  constructor(
    private readonly socket: Socket,
    private readonly inbox: Inbox,
    private readonly parts: Parts,
    private readonly sender: Sender,
    private readonly receiver: Receiver,
    private readonly life: Life,
  ) {}

  /** Speak until the connection ends. Rejected with the reason: `SocketClosed`, `Gap`, `Malformed`, `MailboxDiverged`, …. */
  async run(token: string, signal: AbortSignal): Promise<never> {
    const ends = AbortSignal.any([signal, this.over.signal]);
    this.hear();
    // Not when it is read: what came before it may take long to be stored.
    this.socket.onheard = () => this.hear();
    this.socket.send({ type: "hello", token, client: CLIENT });
    const stop = (): void => this.socket.close();
    signal.addEventListener("abort", stop);
    const reading = this.read();
    try {
      // The first to see the end tells the reason.
      return await Promise.race([reading, this.write(ends)]);
    } finally {
      signal.removeEventListener("abort", stop);
      this.over.abort();
      this.socket.close();
      // The next connection begins from what is stored: not before what came on this one is.
      await reading.catch(() => undefined);
      await this.sender.disconnected();
    }
  }

  get isOpen(): boolean {
    return this.welcomed && !this.over.signal.aborted;
  }

  /** There is no network any more: nobody has to wait until that shows. */
  drop(): void {
    this.socket.close();
  }

  /** Send a frame that is not a message. */
  put(frame: ClientFrame): void {
    this.control.push(frame);
    this.sender.wake.set();
  }

  // Reading.

  private async read(): Promise<never> {
    for (;;) {
      const frames = await this.socket.receive();
      for (let at = 0; at < frames.length; ) {
        const entries: Entry[] = [];
        for (let frame = frames[at]; frame?.type === "entries" && entries.length < BATCH; frame = frames[++at]) {
          entries.push(...frame.entries);
        }
        if (entries.length > 0) await this.entries(entries);
        else await this.handle(frames[at++]!);
        this.over.signal.throwIfAborted();
      }
    }
  }

  private hear(): void {
    this.heardAt = this.parts.clock.monotonic();
  }

  private async entries(entries: readonly Entry[]): Promise<void> {
    const late = await this.receiver.take(this.inbox, entries);
    for (const [message, later] of late) this.put(rejectFrame(message, later));
    if (!this.inbox.live) this.tellCatchUp();
    this.sender.wake.set(); // there is something to acknowledge, now or in 50 ms
  }

  private async handle(frame: ServerFrame): Promise<void> {
    switch (frame.type) {
      case "entries":
        return this.entries(frame.entries);
      case "accepted":
        return this.sender.answered(frame.messages);
      case "receipts":
        return this.receiver.receipts(frame.receipts);
      case "read":
        return this.receiver.readElsewhere(frame.room, frame.seq);
      case "typing":
        this.parts.bus.tell({ type: "typing", room: frame.room, user: frame.user });
        return;
      case "welcome":
        this.greeted = true;
        this.catchUp = { from: frame.acknowledged, to: frame.last_seq };
        if (this.inbox.welcomed(frame)) await this.receiver.backfill(this.inbox, frame.acknowledged, this.over.signal);
        return this.begin();
      case "drained":
        return this.drained();
      case "muted":
        return this.receiver.mutedElsewhere(frame.room, frame.muted);
      case "rejected":
        return refusalTold(this.parts.db, frame.message);
      case "error":
        return this.problem(frame.ref ?? "", frame.problem);
      case "reconnect":
        this.life.moved(frame.url, frame.afterMs);
        return;
      case "pong":
      case "other":
        return;
      default:
        frame satisfies never;
    }
  }

  /** After the welcome: say again what an earlier connection may have lost. */
  private async begin(): Promise<void> {
    const rooms = await this.parts.db.getAll("rooms");
    this.readsTold = rooms
      .filter((room) => room.readSeq > room.readTold)
      .map((room) => ({ room: room.id, seq: room.readSeq }));
    for (const { room, seq } of this.readsTold) this.control.push(readFrame(room, seq));
    for (const { message, later } of await refusalsIn(this.parts.db)) this.control.push(rejectFrame(message, later));
    this.welcomed = true;
    this.tellCatchUp();
    this.sender.connected();
    this.sender.wake.set();
  }

  private tellCatchUp(): void {
    const { from, to } = this.catchUp;
    this.life.entered({ state: "catching-up", done: Math.max(0, this.inbox.stored - from), of: to - from });
  }

  private async drained(): Promise<void> {
    this.inbox.drained();
    for (const { room, seq } of this.readsTold) await readUpTo(this.parts.db, room, seq, true);
    this.life.entered({ state: "live" });
    this.life.live();
  }

  private async problem(ref: string, problem: Problem): Promise<void> {
    if (ref.startsWith(REJECT_REF)) {
      // The server judges; a claim that it does not accept is not made again.
      if (!mayRetry(problem)) await refusalTold(this.parts.db, ref.slice(REJECT_REF.length) as MessageId);
    } else if (ref.startsWith(READ_REF)) {
      if (mayRetry(problem)) this.readAgain(ref.slice(READ_REF.length) as RoomId, problem);
    } else if (problem.id !== undefined) {
      await this.sender.refused(problem.id as MessageId, problem);
    } else if (this.sent.has(ref)) {
      // The frame as a whole was refused: all its messages were.
      const messages = this.sent.get(ref)!;
      this.sent.delete(ref);
      for (const message of messages) await this.sender.refused(message, problem);
    } else {
      log("the server refused a frame", problem.code);
    }
  }

  /** Tell a read position later: on this connection, or else on the next, because it does not count as told. */
  private readAgain(room: RoomId, problem: Problem): void {
    const delay = new Backoff(1).delay(this.parts.clock.chance(), problem.retry_after);
    this.parts.clock
      .wait(delay, this.over.signal)
      .then(() => this.tellRead(room))
      .catch(() => undefined); // the connection is gone
  }

  /** The user has read a room, in some tab. */
  async tellRead(room: RoomId): Promise<void> {
    const known = await this.parts.db.get("rooms", room);
    if (known !== undefined && this.isOpen) this.put(readFrame(room, known.readSeq));
  }

  // Writing.

  private async write(signal: AbortSignal): Promise<never> {
    for (;;) {
      const now = this.parts.clock.monotonic();
      for (const frame of this.due(now)) this.socket.send(frame);
      if (this.sender.outbox.overdue(now)) throw new Stalled("a send has had no answer for too long");
      if (this.sender.outbox.isStuck)
        throw new Stalled("the server waits for a message that is not to be sent any more");
      if (this.isSilent(now)) {
        await this.parts.clock.wait(AWAKE_MS, signal);
        if (this.isSilent(this.parts.clock.monotonic())) throw new SocketClosed(null);
      }
      await this.sender.wake.wait(this.parts.clock, this.patience(now), signal);
    }
  }

  /** Asked, and not answered. (Not: nothing heard for so long, because a tab that is not seen may sleep that long itself.) */
  private isSilent(now: number): boolean {
    // The first thing that is asked is the hello, and nothing else may be said before its answer.
    if (!this.greeted) return now - this.heardAt > PONG_MS;
    return this.pingedAt > this.heardAt && now - this.pingedAt > PONG_MS;
  }

  private *due(now: number): Generator<ClientFrame> {
    if (!this.welcomed) return;
    // The timers of a tab that is not seen come late: what is to be acknowledged does not wait for them.
    const seq = this.inbox.ackDue(isSeen() ? now : now + ACK_DELAY_MS);
    if (seq !== null) yield { type: "ack", seq };
    yield* this.control.splice(0);
    while (this.socket.backlog < BACKLOG) {
      const messages = this.sender.take(now);
      if (messages.length === 0) break;
      const ref = String(++this.refs);
      this.sent.set(
        ref,
        messages.map((message) => message.id),
      );
      // Old refs need not be kept: answers come in order.
      if (this.sent.size > REFS) this.sent.delete(this.sent.keys().next().value!);
      yield { type: "send", ref, messages };
    }
    if (this.pingedAt <= this.heardAt && now - this.heardAt >= PING_MS) {
      this.pingedAt = now;
      yield { type: "ping" };
    }
  }

  private patience(now: number): number {
    const sends = this.welcomed ? this.sender.outbox.nextAt(now) : Number.POSITIVE_INFINITY;
    // A network that takes nothing is looked at again.
    const next = sends <= now && this.socket.backlog >= BACKLOG ? now + 50 : sends;
    return Math.max(0, Math.min(this.inbox.ackAt(), next, now + PING_MS / 4) - now);
  }
}
