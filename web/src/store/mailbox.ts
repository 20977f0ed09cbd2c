/**
 * What has arrived: entries by seq, and what they imply (rooms, unread counts, marks, contacts, the outbox), in one transaction.
 * So whatever is acknowledged afterwards is whole.
 */

import type { Notice } from "../messenger";
import { NOTHING, stored as progressAfter } from "../protocol/book";
import type { ConnectionEntry, Entry, KeysEntry, MessageEntry, RejectionEntry } from "../protocol/entries";
import type { DeviceId, MessageId, RoomId, UserId } from "../protocol/ids";
import type { Mark } from "../protocol/late";
import { applyRelation, applySettings } from "./connections";
import { type Db, type Writing, whole } from "./db";
import { previewOf, unknownRoom, withChange, withMessage } from "./rooms";
import type { EntryRecord, RoomRecord } from "./schema";
import { getValue, requireDevice, valuesIn } from "./values";
import { wordsOf } from "./words";

const NAMES = ["entries", "rooms", "marks", "refusals", "outbox", "relations", "people", "values"] as const;
type Tx = Writing<[...typeof NAMES]>;

/** A body that was opened, or why not; in the order of the messages among the entries. */
export interface Body {
  readonly text: string | null;
  readonly problem: EntryRecord["problem"] & (string | null);
}

export interface Batch {
  readonly entries: readonly Entry[];
  readonly bodies: ReadonlyMap<MessageId, Body>;
  readonly late: ReadonlyMap<MessageId, MessageId>;
  readonly marks: readonly Mark[];
  readonly me: UserId;
  readonly device: DeviceId;
  /** From behind what is stored: live, or caught up. Otherwise (`history`) it is older than everything here, or fills a hole. */
  readonly history: boolean;
}

/** What a batch changed, for those who are to be told. */
export interface Changed {
  readonly rooms: ReadonlySet<RoomId>;
  /** Rooms whose members have to be asked for. */
  readonly outdated: ReadonlySet<RoomId>;
  /** This device's own messages that came back: they are accepted. */
  readonly accepted: readonly MessageEntry[];
  /** Of the user's connections something is new; a block among it. */
  readonly connections: boolean;
  readonly block: boolean;
  /** The server stopped a message of this user's by a block. */
  readonly stopped: boolean;
  readonly notices: boolean;
  /** Entries that were stored before are others now, or some came in between. */
  readonly rewritten: boolean;
}

/** Everything up to here is stored, without a gap from `low` on; nothing is yet: 0 and 1. */
export async function storedRange(db: Db): Promise<{ stored: number; low: number } | null> {
  const [stored, low] = await Promise.all([getValue(db, "stored"), getValue(db, "low")]);
  return stored === undefined ? null : { stored, low: low ?? 1 };
}

export function marksIn(db: Db): Promise<Mark[]> {
  return db.getAll("marks");
}

/** (late message, later message) that the server has not been told, or has not confirmed. */
export function refusalsIn(db: Db): Promise<{ message: MessageId; later: MessageId }[]> {
  return db.getAll("refusals");
}

export function refusalTold(db: Db, message: MessageId): Promise<void> {
  return db.delete("refusals", message);
}

/** Store what arrived. */
export async function storeBatch(db: Db, batch: Batch): Promise<Changed> {
  const tx = db.transaction(NAMES, "readwrite");
  const keeper = new BatchKeeper(tx as Tx, batch);
  return whole(tx, () => keeper.keep());
}

class BatchKeeper {
  private readonly rooms = new Map<RoomId, RoomRecord>();
  private readonly outdated = new Set<RoomId>();
  private readonly accepted: MessageEntry[] = [];
  private readonly seen = new Set<MessageId>();
  private connections = false;
  private block = false;
  private stopped = false;
  private notices = false;
  private rewritten = false;

  constructor(
    private readonly tx: Tx,
    private readonly batch: Batch,
  ) {}

  async keep(): Promise<Changed> {
    const { entries, history, me, device } = this.batch;
    // The user may have signed out while these were being opened: then nothing of them may stay.
    await requireDevice(this.tx.objectStore("values"), { user: me, device });
    // What is stored may come again, whoever is to blame: it stays as it is (docs/protocol.md §4.4).
    const present = await this.presentAmong(entries);
    for (const entry of entries) {
      if (present.has(entry.seq)) continue;
      present.add(entry.seq);
      await this.entry(entry);
    }
    for (const room of this.rooms.values()) this.tx.objectStore("rooms").put(room);
    await this.marks();
    const last = entries.at(-1);
    if (!history && last !== undefined) await this.storedUpTo(last.seq);
    await this.tx.done;
    return {
      rooms: new Set(this.rooms.keys()),
      outdated: this.outdated,
      accepted: this.accepted,
      connections: this.connections,
      block: this.block,
      stopped: this.stopped,
      notices: this.notices,
      rewritten: this.rewritten || this.batch.history,
    };
  }

  private async presentAmong(entries: readonly Entry[]): Promise<Set<number>> {
    const seqs = entries.map((entry) => entry.seq);
    if (seqs.length === 0) return new Set();
    return new Set(await this.entries.getAllKeys(IDBKeyRange.bound(Math.min(...seqs), Math.max(...seqs))));
  }

  private async storedUpTo(seq: number): Promise<void> {
    const values = valuesIn(this.tx.objectStore("values"));
    if (seq > ((await values.get("stored")) ?? 0)) values.put("stored", seq);
  }

  private get entries() {
    return this.tx.objectStore("entries");
  }

  private async entry(entry: Entry): Promise<void> {
    switch (entry.kind) {
      case "message":
        return this.message(entry);
      case "rejection":
        return this.rejection(entry);
      case "room":
        return this.roomChange(entry);
      case "epoch":
        return this.epoch(entry);
      case "connection":
        return this.connection(entry);
      case "keys":
        return this.keys(entry);
      case "hidden":
        this.put(entry, null);
        return;
      default:
        entry satisfies never;
    }
  }

  private put(entry: Entry, room: RoomId | null, more: Partial<EntryRecord> = {}): EntryRecord {
    const { seq, kind, ...data } = entry;
    const record: EntryRecord = { seq, kind, room, data, ...more };
    this.entries.put(record);
    return record;
  }

  private async room(id: RoomId): Promise<RoomRecord> {
    const known = this.rooms.get(id);
    if (known !== undefined) return known;
    const stored = await this.tx.objectStore("rooms").get(id);
    const room = stored ?? unknownRoom(id);
    this.rooms.set(id, room);
    if (room.outdated) this.outdated.add(id);
    return room;
  }

  private async message(entry: MessageEntry): Promise<void> {
    const { me, device, bodies, late } = this.batch;
    // No honest server says a message twice; said again, it is hidden: each is shown once (docs/protocol.md §6.6).
    if (this.seen.has(entry.id) || (await this.entries.index("message").getKey(entry.id)) !== undefined) {
      this.put({ kind: "hidden", seq: entry.seq }, null);
      return;
    }
    this.seen.add(entry.id);
    const later = late.get(entry.id);
    if (later !== undefined) this.tx.objectStore("refusals").put({ message: entry.id, later });
    const refused = later !== undefined ? "late" : await this.refusedBefore(entry);
    const { text, problem } = bodies.get(entry.id) ?? { text: null, problem: "locked" as const };
    const { seq, kind, ciphertext, ...data } = entry;
    const words = text === null ? [] : wordsOf(text);
    const record: EntryRecord = {
      seq,
      kind,
      room: entry.room,
      data: problem === null ? data : { ...data, ciphertext },
      message: entry.id,
      text,
      problem,
      refused,
      ...(entry.sender !== me && refused === null && { unread: 1 }),
      ...(words.length > 0 && { words }),
    };
    this.entries.put(record);
    this.rooms.set(entry.room, withMessage(await this.room(entry.room), entry, record, me));
    if (entry.sender !== me) return;
    if (entry.device === device) this.accepted.push(entry);
    // Also of the device that this browser was before it was signed out: that may have sent it.
    const order = await this.tx.objectStore("outbox").index("id").getKey(entry.id);
    if (order !== undefined) this.tx.objectStore("outbox").delete(order);
  }

  /** A rejection can be here before its message: from another device of this user, or in a history that is read backwards. */
  private async refusedBefore(entry: MessageEntry): Promise<"late" | "blocked" | null> {
    const found = await this.entries.index("refuses").get(entry.id);
    return found === undefined ? null : this.reasonOf(found.data as unknown as RejectionEntry);
  }

  /** Refused by this user, or what this user wrote was refused. */
  private reasonOf(rejection: RejectionEntry): "late" | "blocked" | null {
    const concerns = rejection.by === this.batch.me || rejection.sender === this.batch.me;
    if (!concerns) return null;
    return rejection.reason === "blocked" ? "blocked" : "late";
  }

  private async rejection(entry: RejectionEntry): Promise<void> {
    this.put(entry, null, { refuses: entry.message });
    if (entry.reason === "blocked" && entry.sender === this.batch.me) this.stopped = true;
    const refused = this.reasonOf(entry);
    const found = await this.entries.index("message").get(entry.message);
    if (refused === null || found === undefined || found.refused) return;
    const { unread, ...rest } = found;
    const record: EntryRecord = { ...rest, refused };
    this.entries.put(record);
    this.rewritten = true;
    const room = await this.room(entry.room);
    const wasUnread = unread === 1 && found.seq > room.readSeq && room.unread > 0;
    this.rooms.set(room.id, {
      ...room,
      unread: wasUnread ? room.unread - 1 : room.unread,
      preview: room.preview?.seq === found.seq ? previewOf(record) : room.preview,
    });
  }

  private async roomChange(entry: Entry & { kind: "room" }): Promise<void> {
    this.put(entry, entry.room);
    const room = withChange(await this.room(entry.room), entry, this.batch.me);
    this.rooms.set(room.id, room);
    if (room.outdated) this.outdated.add(room.id);
    else this.outdated.delete(room.id);
  }

  private async epoch(entry: Entry & { kind: "epoch" }): Promise<void> {
    this.put(entry, entry.room);
    const room = await this.room(entry.room);
    if (entry.epoch > room.epoch) this.rooms.set(room.id, { ...room, epoch: entry.epoch });
  }

  private async connection(entry: ConnectionEntry): Promise<void> {
    this.put(entry, null);
    const { connection, settings, version } = entry;
    const values = valuesIn(this.tx.objectStore("values"));
    if (connection !== undefined) {
      const { isNew, block } = await applyRelation(
        this.tx.objectStore("relations"),
        this.tx.objectStore("people"),
        connection,
      );
      this.connections ||= isNew;
      this.block ||= block;
    }
    if (settings !== undefined) this.connections = (await applySettings(values, settings, version)) || this.connections;
    // A copy that began without the old history claims nothing by an old entry: it pages from the beginning.
    const before = (await values.get("progress")) ?? NOTHING;
    const after = progressAfter(before, version);
    if (after.version !== before.version || after.heard !== before.heard) {
      values.put("progress", after);
      this.connections = true;
    }
  }

  private async keys(entry: KeysEntry): Promise<void> {
    // A new identity stands in the conversation with that user.
    const room = entry.change === "identity" ? await this.roomWith(entry.user) : null;
    this.put(entry, room);
    if (room !== null) await this.room(room);
    if (entry.change !== "vault_read" || entry.device === this.batch.device || this.batch.history) return;
    const values = valuesIn(this.tx.objectStore("values"));
    const notice: Notice = { kind: "vault-opened", id: `vault-${entry.seq}`, device: entry.device, deviceName: null };
    const notices = (await values.get("notices")) ?? [];
    // Whoever looks after the keys may have learned the device's name, and told of it already.
    if (!notices.some(({ id }) => id === notice.id)) values.put("notices", [...notices, notice]);
    this.notices = true;
  }

  private async roomWith(user: UserId): Promise<RoomId | null> {
    const rooms = await this.tx.objectStore("rooms").getAll();
    return rooms.find((room) => room.peer === user)?.id ?? null;
  }

  private async marks(): Promise<void> {
    const marks = this.tx.objectStore("marks");
    for (const mark of this.batch.marks) {
      const known = await marks.get([mark.room, mark.device]);
      if (known === undefined || mark.sentAt > known.sentAt) marks.put(mark);
    }
  }
}
