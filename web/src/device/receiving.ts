/**
 * From the wire to the store.
 *
 *     a frame's entries | inbox: order, doubles, gaps, late ones | keys that they tell of | opened | one transaction | the others are told
 *
 * and after that they may be acknowledged. One tab does it at a time: the one that has the socket.
 */

import { decodeForward } from "../protocol/answers";
import type { Entry, MessageEntry } from "../protocol/entries";
import type { Receipt } from "../protocol/frames";
import type { MessageId, RoomId } from "../protocol/ids";
import { type Arrival, Inbox } from "../protocol/inbox";
import { type Mark, Marks } from "../protocol/late";
import { type Body, type Changed, marksIn, storeBatch, storedRange } from "../store/mailbox";
import { applyReceipts } from "../store/receipts";
import { changeRoom, readUpTo } from "../store/rooms";
import type { Parts } from "./parts";
import type { Identity, KeyEntry, SealedMessage } from "./ports";
import { shaped } from "./session";

export const PAGE_ENTRIES = 500;
export const ALG = "chat.e2ee.v1";

/** The server skipped an entry: only a new connection can resume from what is stored. */
export class Gap extends Error {}

/** What a batch of entries means for the other parts. */
export interface Hears {
  stored(changed: Changed, entries: readonly Entry[]): void;
}

export class Receiver {
  private marks: Marks | null = null;

  /** `me`: who asks, and whose all of it is. If somebody else is signed in by the time it is here, it is kept for nobody. */
  constructor(
    private readonly parts: Parts,
    private readonly me: Identity,
    private readonly hears: Hears,
  ) {}

  /** The state for a new connection, from what is stored; null when nothing is: a new device reads its history first. */
  async begin(): Promise<Inbox | null> {
    const range = await storedRange(this.parts.db);
    this.marks = new Marks(await marksIn(this.parts.db));
    return range === null ? null : new Inbox(this.me.user, range.stored, this.marks);
  }

  /** Entries of the socket; the late ones among them, with what proves it. Rejected with `Gap` after storing what came before. */
  async take(inbox: Inbox, entries: readonly Entry[]): Promise<ReadonlyMap<MessageId, MessageId>> {
    const arrival = inbox.received(entries, this.parts.clock.monotonic());
    await this.keep(inbox, arrival);
    if (arrival.gap) throw new Gap(`${inbox.stored + 1} is missing`);
    return arrival.late;
  }

  /** Over REST, from what is stored up to a seq: the store had lost what it had acknowledged. */
  async backfill(inbox: Inbox, upTo: number, signal: AbortSignal): Promise<void> {
    while (inbox.stored < upTo) {
      const path = `mailbox?after=${inbox.stored}&limit=${PAGE_ENTRIES}`;
      const answer = await this.parts.session.request("GET", path, { signal });
      const page = shaped(() => decodeForward(answer, inbox.stored));
      await this.keep(inbox, inbox.backfilled(page.entries));
      if (page.next === null) return;
    }
  }

  private async keep(inbox: Inbox, arrival: Arrival): Promise<void> {
    const last = arrival.entries.at(-1);
    if (last === undefined) return;
    const heard = arrival.entries.filter(concernsKeys);
    if (heard.length > 0) await this.parts.sealing.heard(heard as unknown as KeyEntry[]);
    await this.store(arrival.entries, arrival.late, false, last.seq);
    inbox.storedUpTo(last.seq);
  }

  /** Entries from before what is stored, of the mailbox or of one room: nothing of them is late, unread by them, or news. */
  async history(entries: readonly Entry[]): Promise<void> {
    const marks = this.marks ?? new Marks(await marksIn(this.parts.db));
    for (const entry of entries) if (entry.kind === "message") marks.advance(entry);
    await this.store(entries, new Map(), true, 0, marks);
  }

  private async store(
    entries: readonly Entry[],
    late: ReadonlyMap<MessageId, MessageId>,
    history: boolean,
    upTo: number,
    marks = this.marks,
  ): Promise<void> {
    const { db, bus } = this.parts;
    const messages = entries.filter((entry) => entry.kind === "message");
    const bodies = await this.opened(messages);
    const changed = await storeBatch(db, {
      entries,
      bodies,
      late,
      marks: touched(marks, messages),
      me: this.me.user,
      device: this.me.device,
      history,
    });
    this.hears.stored(changed, entries);
    bus.tell({ type: "stored", rooms: [...changed.rooms], upTo, rewritten: changed.rewritten });
    if (changed.notices) bus.tell({ type: "notices" });
  }

  private async opened(messages: readonly MessageEntry[]): Promise<Map<MessageId, Body>> {
    const bodies = new Map<MessageId, Body>();
    const sealed = messages.filter((entry) => entry.alg === ALG);
    const opened = sealed.length === 0 ? [] : await this.parts.sealing.open(sealed.map(sealedMessage), true);
    for (const entry of messages) bodies.set(entry.id, { text: null, problem: "not_verified" });
    sealed.forEach((entry, at) => {
      const body = opened[at]!;
      // Of a type that this version does not know there is nothing to show.
      if (body.problem === null && body.type !== "text") return;
      bodies.set(entry.id, { text: body.text, problem: body.problem });
    });
    return bodies;
  }

  /** How far others are. */
  async receipts(receipts: readonly Receipt[]): Promise<void> {
    const rooms = await applyReceipts(this.parts.db, receipts);
    if (rooms.size > 0) this.parts.bus.tell({ type: "receipts", rooms: [...rooms] });
  }

  /** The user has muted a room on another device, or does so no more. */
  async mutedElsewhere(room: RoomId, muted: boolean): Promise<void> {
    const changed = await changeRoom(this.parts.db, room, (record) => ({ ...record, muted }));
    if (changed !== null) this.parts.bus.tell({ type: "stored", rooms: [room], upTo: 0 });
  }

  /** The user has read a room on another device. */
  async readElsewhere(room: RoomId, seq: number): Promise<void> {
    if (await readUpTo(this.parts.db, room, seq, true)) this.parts.bus.tell({ type: "stored", rooms: [room], upTo: 0 });
  }
}

function concernsKeys(entry: Entry): boolean {
  return entry.kind === "epoch" || entry.kind === "keys" || entry.kind === "room";
}

function touched(marks: Marks | null, messages: readonly MessageEntry[]): Mark[] {
  const found = new Set<Mark>();
  for (const entry of messages) {
    const mark = marks?.of(entry);
    if (mark) found.add(mark);
  }
  return [...found];
}

/** A message as the sealing takes it. */
export function sealedMessage(entry: MessageEntry): SealedMessage {
  return {
    seq: entry.seq,
    id: entry.id,
    room: entry.room,
    sender: entry.sender,
    device: entry.device,
    sentAt: entry.sent_at,
    acceptedAt: entry.accepted_at,
    alg: ALG,
    epoch: entry.epoch,
    ciphertext: entry.ciphertext,
  };
}
