/**
 * A window on a conversation. It holds some hundred rows, whatever the room has: older ones come from the store, and what this
 * device does not have yet from the server. New entries are added at its end; only what has changed is read again.
 */

import { type Signal, signal } from "@preact/signals-core";

import { type Timeline as Contract, Refusal, type Row } from "../messenger";
import { decodeBackward } from "../protocol/answers";
import type { RoomId } from "../protocol/ids";
import { mayRetry } from "../protocol/problems";
import { storedRange } from "../store/mailbox";
import { outboxOf } from "../store/outbox";
import { reachedIn } from "../store/receipts";
import { firstUnread, unknownRoom } from "../store/rooms";
import type { EntryRecord, OutboxRecord, RoomRecord } from "../store/schema";
import { hasBefore, rowsBefore, rowsBetween, rowsFrom } from "../store/windows";
import { closedBy } from "./gate";
import { log, type Parts } from "./parts";
import type { People } from "./people";
import type { Identity, News, ReadersChange } from "./ports";
import { RoomReach } from "./reach";
import type { Receiver } from "./receiving";
import { type Context, rowOf, unsentRow, usersOf } from "./rows";
import { shaped } from "./session";
import { Soon } from "./soon";

export const WINDOW = 100;
const SMALL = 100; // members
/** What has grown beyond this gives up the rows at its other end. */
const MOST = 1_000;

/** What a row was made of. */
interface Shown {
  readonly record: EntryRecord;
  readonly reach: RoomReach;
  readonly row: Row | null;
}

export class RoomTimeline implements Contract {
  readonly rows: Signal<readonly Row[]> = signal([]);
  readonly hasOlder = signal(false);
  readonly hasNewer = signal(false);
  unreadFrom: number | null = null;
  private records: EntryRecord[] = [];
  private unsent: readonly OutboxRecord[] = [];
  private room: RoomRecord;
  private reach: RoomReach;
  private shown = new Map<number, Shown>();
  private readonly readers = new Map<number, ReadersChange | null>();
  private isClosed = false;
  /** What all rows depend on, when they were built. */
  private basis = "";
  private atServersEnd = false;
  /** How far down the server was asked: its page may have had nothing that is shown. */
  private askedTo = Number.POSITIVE_INFINITY;
  private readonly silence: () => void;
  private closed = false;
  /** What has changed since the rows were built. */
  private due = { tail: false, all: false, unsent: false, reach: false, room: false };
  private readonly soon = new Soon(() => this.refresh());
  /** Moving the window and refreshing it go one after the other. */
  private turn: Promise<unknown> = Promise.resolve();

  private constructor(
    private readonly parts: Parts,
    private readonly receiver: Receiver,
    private readonly people: People,
    private readonly me: Identity,
    private readonly id: RoomId,
  ) {
    this.room = unknownRoom(id);
    this.reach = new RoomReach(this.room, me.user, []);
    this.silence = parts.bus.listen((news) => this.hear(news));
  }

  /** A window on the newest rows of a room. */
  static async open(parts: Parts, receiver: Receiver, people: People, me: Identity, id: RoomId): Promise<RoomTimeline> {
    const timeline = new RoomTimeline(parts, receiver, people, me, id);
    await timeline.inTurn(() => timeline.begin());
    return timeline;
  }

  private async begin(): Promise<void> {
    const { db } = this.parts;
    this.room = (await db.get("rooms", this.id)) ?? this.room;
    this.unreadFrom = await firstUnread(db, this.room);
    this.unsent = await outboxOf(db, this.id);
    this.isClosed = (await closedBy(db, this.id)) !== null;
    this.records = await rowsBefore(db, this.id, Number.POSITIVE_INFINITY, WINDOW);
    // The ticks of a large group take a look at every member; its rows do not wait for that.
    const { members } = this.room;
    if (members.length <= SMALL) this.reach = new RoomReach(this.room, this.me.user, await reachedIn(db, this.id));
    await this.show();
    if (members.length <= SMALL) return;
    this.due.reach = true;
    this.soon.mark();
  }

  close(): void {
    this.closed = true;
    this.silence();
  }

  // Moving.

  older(): Promise<void> {
    return this.inTurn(async () => {
      const first = this.records[0]?.seq ?? Number.POSITIVE_INFINITY;
      let older = await rowsBefore(this.parts.db, this.id, first, WINDOW);
      if (older.length < WINDOW) {
        const more = this.fetchBefore(older[0]?.seq ?? first).catch((error) => {
          if (older.length === 0) throw error;
          return false; // what is here is shown; the rest is asked for again
        });
        if (await more) older = await rowsBefore(this.parts.db, this.id, first, WINDOW);
      }
      this.records = [...older, ...this.records];
      if (this.records.length > MOST) {
        this.records = this.records.slice(0, MOST);
        this.hasNewer.value = true;
      }
      await this.show();
    });
  }

  newer(): Promise<void> {
    return this.inTurn(async () => {
      const last = this.records.at(-1)?.seq ?? 0;
      const newer = await rowsFrom(this.parts.db, this.id, last + 1, WINDOW);
      this.hasNewer.value = newer.length === WINDOW;
      this.append(newer);
      await this.show();
    });
  }

  around(seq: number): Promise<void> {
    return this.inTurn(async () => {
      const before = await rowsBefore(this.parts.db, this.id, seq, WINDOW / 2);
      const from = await rowsFrom(this.parts.db, this.id, seq, WINDOW / 2);
      this.records = [...before, ...from];
      this.hasNewer.value = from.length === WINDOW / 2;
      await this.show();
    });
  }

  newest(): Promise<void> {
    return this.inTurn(async () => {
      this.records = await rowsBefore(this.parts.db, this.id, Number.POSITIVE_INFINITY, WINDOW);
      this.hasNewer.value = false;
      await this.show();
    });
  }

  private inTurn(task: () => Promise<void>): Promise<void> {
    const done = this.turn.then(() => (this.closed ? undefined : task()));
    this.turn = done.catch(() => undefined);
    return done;
  }

  /** Rows that this device does not have yet, a page further down with each call. Whether there were any. Rejected with what may go later. */
  private async fetchBefore(before: number): Promise<boolean> {
    const { db, session } = this.parts;
    const range = await storedRange(db);
    if (this.atServersEnd || range === null || range.low <= 1) return false;
    // What is newer than what is stored comes through the socket, and is news then.
    const below = Math.min(before, this.askedTo, range.stored + 1);
    try {
      const answer = await session.request("GET", `rooms/${this.id}/messages?limit=${WINDOW}&before=${below}`);
      const page = shaped(() => decodeBackward(answer, below));
      await this.receiver.history([...page.entries].reverse());
      this.askedTo = page.next ?? this.askedTo;
      this.atServersEnd = page.next === null;
      return page.entries.length > 0;
    } catch (error) {
      const isForGood = error instanceof Refusal && error.problem !== null && !mayRetry(error.problem);
      if (!isForGood) throw error;
      this.atServersEnd = true;
      return false;
    }
  }

  private async lacksHistory(): Promise<boolean> {
    return ((await storedRange(this.parts.db))?.low ?? 1) > 1;
  }

  // What is new.

  private hear(news: News): void {
    switch (news.type) {
      case "stored":
        if (!news.rooms.includes(this.id)) return;
        this.due.tail = true;
        this.due.room = true;
        this.due.unsent = true;
        this.due.all ||= news.rewritten === true;
        break;
      case "outbox":
        if (news.room !== this.id) return;
        this.due.unsent = true;
        break;
      case "receipts":
        if (!news.rooms.includes(this.id)) return;
        this.due.reach = true;
        break;
      case "unlocked":
        this.readers.clear();
        this.due.all = true;
        break;
      case "connections":
      case "rooms":
        this.due.room = true;
        break;
      default:
        return;
    }
    this.soon.mark();
  }

  private refresh(): Promise<void> {
    return this.inTurn(async () => {
      const { db } = this.parts;
      const due = this.due;
      this.due = { tail: false, all: false, unsent: false, reach: false, room: false };
      if (due.room) {
        const before = this.room.membersVersion;
        this.room = (await db.get("rooms", this.id)) ?? this.room;
        due.reach ||= this.room.membersVersion !== before || this.reach.isAhead;
        this.isClosed = (await closedBy(db, this.id)) !== null;
      }
      if (due.reach) this.reach = new RoomReach(this.room, this.me.user, await reachedIn(db, this.id));
      if (due.all) await this.readAgain();
      if (due.tail) await this.readOn();
      if (due.unsent) this.unsent = await outboxOf(db, this.id);
      await this.show();
    });
  }

  private async readAgain(): Promise<void> {
    const [first, last] = [this.records[0], this.records.at(-1)];
    if (first !== undefined && last !== undefined) {
      this.records = await rowsBetween(this.parts.db, this.id, first.seq, last.seq);
    }
  }

  private async readOn(): Promise<void> {
    if (this.hasNewer.peek()) return;
    const last = this.records.at(-1)?.seq ?? 0;
    for (let from = last + 1; ; ) {
      const newer = await rowsFrom(this.parts.db, this.id, from, WINDOW);
      this.append(newer);
      if (newer.length < WINDOW) return;
      from = newer.at(-1)!.seq + 1;
    }
  }

  private append(newer: readonly EntryRecord[]): void {
    if (newer.length > 0) this.records = [...this.records, ...newer];
    if (this.records.length > MOST) this.records = this.records.slice(-MOST);
  }

  // Showing.

  private async show(): Promise<void> {
    await this.know();
    const { db } = this.parts;
    const context: Context = {
      me: this.me.user,
      username: this.me.username,
      isGroup: this.room.kind === "group",
      isClosed: this.isClosed,
      reach: this.reach,
      name: (user) => this.people.name(user),
      readers: (record) => this.readers.get(record.seq) ?? null,
    };
    const basis = `${this.people.version} ${this.isClosed} ${this.room.kind}`;
    const before = basis === this.basis ? this.shown : new Map<number, Shown>();
    this.basis = basis;
    const shown = new Map<number, Shown>();
    const rows: Row[] = [];
    for (const record of this.records) {
      const next = this.rowFor(record, before.get(record.seq), context);
      shown.set(record.seq, next);
      if (next.row !== null) rows.push(next.row);
    }
    this.shown = shown;
    if (!this.hasNewer.peek()) {
      const here = new Set(rows.map((row) => row.key));
      rows.push(...this.unsent.filter(({ id }) => !here.has(id)).map((record) => unsentRow(record, context)));
    }
    const first = this.records[0]?.seq ?? Number.POSITIVE_INFINITY;
    this.hasOlder.value = (await hasBefore(db, this.id, first)) || (!this.atServersEnd && (await this.lacksHistory()));
    const old = this.rows.peek();
    const isSame = rows.length === old.length && rows.every((row, at) => row === old[at]);
    if (!this.closed && !isSame) this.rows.value = rows;
  }

  /** The same row again is the same object, so that nothing is drawn anew. */
  private rowFor(record: EntryRecord, before: Shown | undefined, context: Context): Shown {
    const { reach } = this;
    if (before?.record === record) {
      const isOwn = before.row?.kind === "message" && before.row.mine;
      if (before.reach === reach || (!isOwn && record.kind === "message")) return before;
    }
    const row = rowOf(record, context);
    const isSame = before?.row != null && row !== null && JSON.stringify(before.row) === JSON.stringify(row);
    return { record, reach, row: isSame ? before.row : row };
  }

  /** Names and changes of readers that the rows need. */
  private async know(): Promise<void> {
    for (const record of this.records) {
      if (record.kind !== "epoch" || this.readers.has(record.seq)) continue;
      const epoch = Number(record.data.epoch);
      const change = await this.parts.sealing.change(this.id, epoch).catch((error) => {
        log("the readers of an epoch are not known", error);
        return null;
      });
      this.readers.set(record.seq, change);
    }
    await this.people.learnAll(this.room.members);
    const users = this.records.flatMap((record) => usersOf(record, this.readers.get(record.seq) ?? null));
    await this.people.find(users);
  }
}
