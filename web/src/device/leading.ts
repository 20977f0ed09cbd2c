/**
 * What one tab does for all: it has the socket, sends what is in the outbox, keeps connections, rooms and keys in step. It goes
 * by the store, and is woken by what the tabs tell each other; when it closes, the next one goes on from the store.
 */

import { Refusal } from "../messenger";
import { decodeRoom } from "../protocol/answers";
import { Backoff } from "../protocol/backoff";
import type { Entry } from "../protocol/entries";
import type { RoomId } from "../protocol/ids";
import { mayRetry } from "../protocol/problems";
import { Malformed } from "../protocol/shape";
import type { Changed } from "../store/mailbox";
import { forgetMembership, keepRoom } from "../store/rooms";
import { fetchLaggingReceipts, fetchReads, fetchRooms } from "./catchingup";
import { Wake } from "./clock";
import { Keeper } from "./keeper";
import { log, type Parts } from "./parts";
import type { Identity, News } from "./ports";
import { Receiver } from "./receiving";
import { Restorer } from "./restoring";
import { Sender } from "./sending";
import { reportedVersion, Syncer } from "./syncing";

const TYPING_MS = 3_000;

export class Leader {
  private readonly sender: Sender;
  private readonly syncer: Syncer;
  private readonly receiver: Receiver;
  private readonly restorer: Restorer;
  private readonly keeper: Keeper;
  private readonly outdated = new Set<RoomId>();
  private readonly roomsDue = new Wake();
  private readonly typed = new Map<RoomId, number>();

  /** `told`: what the server has been told to be here of the connections. */
  private constructor(
    private readonly parts: Parts,
    private readonly identity: Identity,
    told: number,
    private readonly signal: AbortSignal,
  ) {
    this.sender = new Sender(parts, identity);
    this.syncer = new Syncer(parts, identity, told, () => this.later(this.sender.recheck()));
    this.receiver = new Receiver(parts, identity, { stored: (changed, entries) => this.stored(changed, entries) });
    this.restorer = new Restorer(parts, identity, this.receiver);
    this.keeper = new Keeper(parts, this.sender, this.receiver, {
      restore: (stop) => this.restorer.first(stop),
      live: () => this.live(),
    });
  }

  /** Lead until `signal` ends it. */
  static async run(parts: Parts, signal: AbortSignal): Promise<void> {
    const identity = await parts.session.identity();
    await new Leader(parts, identity, await reportedVersion(parts), signal).lead();
  }

  private async lead(): Promise<void> {
    const silence = this.parts.bus.listen((news) => this.hear(news));
    const online = (): void => this.keeper.hurry();
    const offline = (): void => this.keeper.connection?.drop();
    globalThis.addEventListener?.("online", online);
    globalThis.addEventListener?.("offline", offline);
    try {
      await this.sender.load();
      for (const room of await this.parts.db.getAll("rooms")) if (room.outdated) this.outdated.add(room.id);
      await this.keeper.run(this.signal);
    } finally {
      silence();
      globalThis.removeEventListener?.("online", online);
      globalThis.removeEventListener?.("offline", offline);
      this.sender.end();
    }
  }

  private hear(news: News): void {
    switch (news.type) {
      case "outbox":
        if (!news.settled) this.later(this.sender.look(news.room));
        break;
      case "connections":
        this.syncer.awake.set();
        this.later(this.sender.recheck());
        break;
      case "unlocked":
        this.sender.unlocked();
        break;
      case "questions":
        this.syncer.awake.set();
        break;
      case "read":
        this.later(this.keeper.connection?.tellRead(news.room));
        break;
      case "writing":
        this.writing(news.room);
        break;
      case "hurry":
        this.keeper.hurry();
        break;
      default: // what other parts hear
    }
  }

  private later(task: Promise<unknown> | undefined): void {
    task?.catch((error) => {
      if (!this.signal.aborted && (error as Error | null)?.name !== "AbortError") log("not done", error);
    });
  }

  /** The user is writing. At most one frame in 3 s goes out, and none without a connection. */
  private writing(room: RoomId): void {
    const now = this.parts.clock.monotonic();
    if (!this.keeper.connection?.isOpen || now - (this.typed.get(room) ?? Number.NEGATIVE_INFINITY) < TYPING_MS) return;
    this.typed.set(room, now);
    this.keeper.connection.put({ type: "typing", room });
  }

  /** A batch of entries is in the store. */
  private stored(changed: Changed, entries: readonly Entry[]): void {
    this.sender.arrived(changed.accepted.map((entry) => entry.id));
    if (changed.connections) {
      this.syncer.stored(changed.block);
      this.parts.bus.tell({ type: "connections" });
    }
    if (changed.stopped) this.syncer.want();
    for (const room of changed.outdated) this.outdated.add(room);
    if (changed.outdated.size > 0) this.roomsDue.set();
    for (const room of this.rekeyed(entries)) this.sender.reseal(room);
  }

  /** The rooms in which what waits may have to be sealed anew. */
  private rekeyed(entries: readonly Entry[]): Set<RoomId> {
    const rooms = new Set<RoomId>();
    for (const entry of entries) {
      const isLess = entry.kind === "room" && (entry.change === "removed" || entry.change === "left");
      if (entry.kind === "epoch" || isLess) rooms.add(entry.room);
      if (entry.kind === "keys" && entry.change !== "vault_read") {
        for (const room of this.sender.outbox.rooms()) rooms.add(room);
      }
    }
    return rooms;
  }

  /** Everything up to now is here: what else is to be done, beside the connection, until it ends. */
  private live(): void {
    const over = new AbortController();
    const signal = AbortSignal.any([this.signal, over.signal]);
    const connection = this.keeper.connection;
    this.syncer.want();
    this.later(this.syncer.run(signal));
    this.later(this.keepRooms(signal));
    this.later(this.restorer.rest(signal));
    this.later(this.parts.sealing.upkeep());
    this.later(fetchRooms(this.parts, signal));
    this.later(fetchReads(this.parts, this.identity, signal));
    this.later(fetchLaggingReceipts(this.parts, this.identity, signal));
    connection?.ended.then(() => over.abort());
  }

  /** Ask for rooms whose members are others than those that are known. */
  private async keepRooms(signal: AbortSignal): Promise<void> {
    let backoff = new Backoff();
    this.roomsDue.set();
    while (!signal.aborted) {
      await this.roomsDue.wait(this.parts.clock, Number.POSITIVE_INFINITY, signal);
      for (const room of [...this.outdated]) {
        this.outdated.delete(room);
        try {
          await this.askFor(room, signal);
          backoff = new Backoff();
        } catch (error) {
          this.outdated.add(room);
          log("a room is not read", error);
          await this.parts.clock.wait(backoff.delay(this.parts.clock.chance()), signal);
          backoff = backoff.failed();
          this.roomsDue.set();
        }
      }
    }
  }

  private async askFor(room: RoomId, signal: AbortSignal): Promise<void> {
    const { db, session, bus, clock } = this.parts;
    try {
      const answer = await session.request("GET", `rooms/${room}`, { signal });
      await keepRoom(db, decodeRoom(answer), this.identity.user, clock.now());
    } catch (error) {
      if (error instanceof Malformed) log("a room is not taken", error);
      else if (!(error instanceof Refusal) || error.problem === null || mayRetry(error.problem)) throw error;
      else if (error.code === "not_found") await forgetMembership(db, room, this.identity.user);
    }
    bus.tell({ type: "stored", rooms: [room], upTo: 0 });
    this.later(this.sender.look(room));
  }
}
