/** The list of rooms and each one's details, as signals: built from the store, only where something has changed. */

import { type ReadonlySignal, type Signal, signal } from "@preact/signals-core";

import type { Member, Preview, RoomDetail, RoomLine } from "../messenger";
import { whoBlocks } from "../protocol/changes";
import type { RoomId, UserId } from "../protocol/ids";
import { outboxIn } from "../store/outbox";
import { reachedIn } from "../store/receipts";
import type { OutboxRecord, RoomRecord } from "../store/schema";
import type { Relations } from "./connections";
import type { Parts } from "./parts";
import type { People } from "./people";
import type { Identity, Keys, News } from "./ports";
import { RoomReach, ticksOf } from "./reach";
import { Soon } from "./soon";

/** For so long somebody counts as writing after having said so. */
const TYPING_MS = 6_000;

export class Rooms {
  readonly lines: Signal<readonly RoomLine[]> = signal([]);
  private readonly records = new Map<RoomId, RoomRecord>();
  private readonly details = new Map<RoomId, Signal<RoomDetail | null>>();
  private readonly readers = new Map<RoomId, { epoch: number; users: ReadonlySet<UserId> | null }>();
  private readonly writers = new Map<RoomId, Map<UserId, ReturnType<typeof setTimeout>>>();
  private readonly dirty = new Set<RoomId>();
  private allDirty = false;
  private readonly soon = new Soon(() => this.flush());

  constructor(
    private readonly parts: Pick<Parts, "db" | "sealing">,
    private readonly keys: Pick<Keys, "verified" | "held">,
    private readonly people: People,
    private readonly relations: Relations,
    private readonly me: () => Identity | null,
  ) {}

  detail(id: RoomId): ReadonlySignal<RoomDetail | null> {
    const known = this.details.get(id);
    if (known !== undefined) return known;
    const detail: Signal<RoomDetail | null> = signal(null);
    this.details.set(id, detail);
    this.touch(id);
    return detail;
  }

  hear(news: News): void {
    switch (news.type) {
      case "stored":
      case "receipts":
        for (const room of news.rooms) {
          if (news.type === "stored" || this.records.get(room)?.preview?.sender === this.me()?.user) this.touch(room);
        }
        break;
      case "outbox":
        this.touch(news.room);
        break;
      case "typing":
        this.typing(news.room, news.user);
        break;
      case "unlocked":
        this.readers.clear();
        this.touchAll();
        break;
      case "rooms":
      case "account":
        this.touchAll();
        break;
      default:
    }
  }

  /** Somebody is verified, held, blocked, …: every line may be another one. */
  touchAll(): void {
    this.allDirty = true;
    this.soon.mark();
  }

  private touch(room: RoomId): void {
    this.dirty.add(room);
    this.soon.mark();
  }

  private typing(room: RoomId, user: UserId): void {
    const writers = this.writers.get(room) ?? new Map<UserId, ReturnType<typeof setTimeout>>();
    this.writers.set(room, writers);
    clearTimeout(writers.get(user));
    writers.set(
      user,
      setTimeout(() => {
        writers.delete(user);
        this.touch(room);
      }, TYPING_MS),
    );
    this.touch(room);
  }

  /** Whoever's message has come writes no more. */
  private stopTyping(room: RoomId, user: UserId): void {
    const writers = this.writers.get(room);
    clearTimeout(writers?.get(user));
    writers?.delete(user);
  }

  /** Forget everything that is shown: nobody is signed in. */
  clear(): void {
    this.records.clear();
    this.readers.clear();
    for (const detail of this.details.values()) detail.value = null;
    this.lines.value = [];
  }

  async flush(): Promise<void> {
    const me = this.me();
    const all = this.allDirty;
    const dirty = new Set(this.dirty);
    this.dirty.clear();
    this.allDirty = false;
    if (me === null) {
      this.clear();
      return;
    }
    const records = all ? await this.parts.db.getAll("rooms") : await this.read(dirty);
    const unsent = lastOf(await outboxIn(this.parts.db));
    const shown = new Map(this.lines.value.map((line) => [line.id, line]));
    const fresh: RoomLine[] = [];
    for (const record of records) {
      const before = this.records.get(record.id);
      if (before?.preview?.seq !== record.preview?.seq && record.preview)
        this.stopTyping(record.id, record.preview.sender);
      this.records.set(record.id, record);
      fresh.push(sameOr(shown.get(record.id), await this.line(record, me, unsent.get(record.id) ?? null)));
    }
    const changed = new Set(fresh.map((line) => line.id));
    const kept = all ? [] : this.lines.value.filter((line) => !changed.has(line.id));
    const listed = fresh.filter((line) => this.isListed(this.records.get(line.id)!)).sort(newestFirst);
    const lines = merged(kept, listed);
    const before = this.lines.value;
    const isSame = lines.length === before.length && lines.every((line, at) => line === before[at]);
    if (!isSame) this.lines.value = lines;
    for (const line of fresh) await this.showDetail(line, me);
  }

  private async read(ids: ReadonlySet<RoomId>): Promise<RoomRecord[]> {
    const tx = this.parts.db.transaction("rooms");
    const found = await Promise.all([...ids].map((id) => tx.store.get(id)));
    return found.filter((room) => room !== undefined);
  }

  /** A room of which there is nothing to show, and in which the user is not, is none. */
  private isListed(record: RoomRecord): boolean {
    return record.lastSeq > 0 || record.members.length > 0 || record.peer !== null;
  }

  private async line(record: RoomRecord, me: Identity, unsent: OutboxRecord | null): Promise<RoomLine> {
    await this.people.learnAll(record.members);
    if (record.preview) await this.people.find([record.preview.sender]);
    if (record.peer !== null) await this.people.find([record.peer]);
    const others = record.members.filter(({ user }) => user !== me.user).map(({ user }) => this.people.name(user));
    if (others.length === 0 && record.peer !== null) others.push(this.people.name(record.peer));
    const writers = this.writers.get(record.id);
    const waits = unsent !== null && (unsent.sentAt > record.lastAt || !unsent.accepted);
    return {
      id: record.id,
      kind: record.kind,
      peer: record.peer,
      others: others.sort(),
      unread: record.unread,
      muted: record.muted,
      preview: waits ? unsentPreview(unsent, me) : await this.preview(record, me),
      at: waits ? Math.max(record.lastAt, unsent.sentAt) : record.lastAt,
      typing: writers === undefined ? [] : [...writers.keys()].map((user) => this.people.name(user)),
      closed: this.closed(record, me),
    };
  }

  private async preview(record: RoomRecord, me: Identity): Promise<Preview | null> {
    const { preview, lastAt } = record;
    if (preview === null) return null;
    const { seq, sender, device, text, delivered, read } = preview;
    const mine = sender === me.user;
    const by = this.people.name(sender);
    if (!mine) return { mine, by, text, ticks: null };
    const receipts = read ? [] : await reachedIn(this.parts.db, record.id);
    const reach = new RoomReach(record, me.user, receipts).of({ seq, device, acceptedAt: lastAt, delivered, read });
    return { mine, by, text, ticks: ticksOf(reach) };
  }

  /** Why nothing can be written in a room. */
  private closed(record: RoomRecord, me: Identity): RoomLine["closed"] {
    if (record.kind === "direct" && record.peer !== null) {
      const by = whoBlocks(this.relations.of(record.peer), this.relations.pressedAbout(record.peer));
      if (by !== null) return by === "you" ? "blocked-by-you" : "blocked-by-peer";
    }
    if (!record.outdated && !record.members.some(({ user }) => user === me.user)) return "left";
    const held = this.keys.held.peek();
    return held.size > 0 && record.members.some(({ user }) => held.has(user)) ? "unverified" : null;
  }

  private async showDetail(line: RoomLine, me: Identity): Promise<void> {
    const detail = this.details.get(line.id);
    const record = this.records.get(line.id);
    if (detail === undefined || record === undefined) return;
    const readers = await this.readersOf(record);
    const verified = this.keys.verified.peek();
    const held = this.keys.held.peek();
    const member = (user: UserId, role: Member["role"], reads: boolean): Member => ({
      user,
      username: this.people.name(user),
      role,
      reads,
      verified: verified.has(user),
      held: held.has(user),
    });
    const members = record.members.map(({ user, role }) => member(user, role, readers?.has(user) ?? false));
    // Whoever reads, and is no member by what the server tells, is shown as well.
    for (const user of readers ?? []) {
      if (!record.members.some((one) => one.user === user)) members.push(member(user, null, true));
    }
    const myRole = record.members.find(({ user }) => user === me.user)?.role ?? null;
    const { history, createdAt } = record;
    detail.value = sameOr(detail.value ?? undefined, { ...line, members, myRole, history, createdAt });
  }

  private async readersOf(record: RoomRecord): Promise<ReadonlySet<UserId> | null> {
    const known = this.readers.get(record.id);
    if (known !== undefined && known.epoch === record.epoch && known.users !== null) return known.users;
    const readers = await this.parts.sealing.readers(record.id).catch(() => null);
    const users = readers === null ? null : new Set(readers);
    if (users !== null) await this.people.find(users);
    this.readers.set(record.id, { epoch: record.epoch, users });
    return users;
  }
}

function unsentPreview(record: OutboxRecord, me: Identity): Preview {
  const ticks = record.failed !== null ? "failed" : record.accepted ? "sent" : "waiting";
  return { mine: true, by: me.username, text: record.text.slice(0, 200), ticks };
}

/** The newest of each room. */
function lastOf(records: readonly OutboxRecord[]): Map<RoomId, OutboxRecord> {
  return new Map(records.map((record) => [record.room, record]));
}

/** What says the same stays the same object, so that nothing is drawn anew. */
function sameOr<Shown>(before: Shown | undefined, now: Shown): Shown {
  return before !== undefined && JSON.stringify(before) === JSON.stringify(now) ? before : now;
}

function newestFirst(one: RoomLine, other: RoomLine): number {
  return other.at - one.at || (one.id < other.id ? -1 : 1);
}

/** Two sorted lists as one. */
function merged(kept: readonly RoomLine[], fresh: readonly RoomLine[]): RoomLine[] {
  const lines: RoomLine[] = [];
  let at = 0;
  for (const line of fresh) {
    while (at < kept.length && newestFirst(kept[at]!, line) < 0) lines.push(kept[at++]!);
    lines.push(line);
  }
  return lines.concat(kept.slice(at));
}
