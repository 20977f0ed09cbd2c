/** What the user does in a room, in whichever tab: into the store at once; the tab with the socket is told. */

import { Refusal } from "../messenger";
import { blockedProblem } from "../protocol/changes";
import type { MessageId, RoomId } from "../protocol/ids";
import { isFull } from "../store/db";
import { draftOf, keepDraft, putDraftDown } from "../store/drafts";
import { findRefused, write, writeAgain } from "../store/outbox";
import { readUpTo } from "../store/rooms";
import { closedBy } from "./gate";
import { log, type Parts } from "./parts";
import type { Keys } from "./ports";

/** What a message's payload takes at most (docs/protocol.md §6.6), of which this much is not the text. */
const MOST_BYTES = 32_640 - 160;
const DRAFT_MS = 300; // without another letter
const DRAFT_MOST_MS = 2_000;
const READ_MS = 100;
const TYPING_MS = 1_000;

/** What is done in a moment, and no later than `by`. */
interface Pending {
  readonly timer: ReturnType<typeof setTimeout>;
  readonly by: number;
  readonly task: () => Promise<void>;
}

export class Writing {
  private readonly drafts = new Map<RoomId, string>();
  private readonly reads = new Map<RoomId, number>();
  private readonly typed = new Map<RoomId, number>();
  private readonly pending = new Map<string, Pending>();

  constructor(
    private readonly parts: Parts,
    private readonly keys: Pick<Keys, "held">,
  ) {}

  /** Into the outbox; sent as soon as that is possible. */
  async send(room: RoomId, text: string): Promise<MessageId> {
    await this.check(room, text);
    const record = await stored(() => write(this.parts.db, room, text, this.parts.clock.now()));
    this.parts.bus.tell({ type: "outbox", room });
    return record.id;
  }

  private async check(room: RoomId, text: string): Promise<void> {
    if (text.trim() === "") throw new Refusal("empty");
    if (new TextEncoder().encode(JSON.stringify(text)).length > MOST_BYTES) throw new Refusal("too_large");
    const by = await closedBy(this.parts.db, room);
    if (by !== null) throw new Refusal("blocked", blockedProblem(by));
    const { user: me } = await this.parts.session.identity();
    const known = await this.parts.db.get("rooms", room);
    if (known === undefined) return;
    if (!known.outdated && !known.members.some(({ user }) => user === me)) throw new Refusal("forbidden");
    const held = this.keys.held.peek();
    if (known.members.some(({ user }) => held.has(user))) throw new Refusal("identity_changed");
  }

  /** A refused or failed message once more, under a new id. */
  async sendAgain(id: MessageId): Promise<MessageId> {
    const { db, bus } = this.parts;
    const refused = await findRefused(db, id);
    if (refused === null) throw new Refusal("not_found");
    const { room, text } = refused;
    await this.check(room, text);
    const again = await stored(() => writeAgain(db, id, this.parts.clock.now()));
    if (again === null) throw new Refusal("not_found");
    bus.tell({ type: "outbox", room });
    bus.tell({ type: "stored", rooms: [room], upTo: 0, rewritten: true });
    return again.id;
  }

  /** The user has seen everything up to here. */
  markRead(room: RoomId, seq: number): void {
    this.reads.set(room, Math.max(seq, this.reads.get(room) ?? 0));
    this.later(`read ${room}`, READ_MS, async () => {
      const upTo = this.reads.get(room) ?? 0;
      this.reads.delete(room);
      if (!(await readUpTo(this.parts.db, room, upTo, false))) return;
      this.parts.bus.tell({ type: "stored", rooms: [room], upTo: 0 });
      this.parts.bus.tell({ type: "read", room });
    });
  }

  typing(room: RoomId): void {
    const now = this.parts.clock.monotonic();
    if (now - (this.typed.get(room) ?? Number.NEGATIVE_INFINITY) < TYPING_MS) return;
    this.typed.set(room, now);
    this.parts.bus.tell({ type: "writing", room });
  }

  async draft(room: RoomId): Promise<string> {
    return this.drafts.get(room) ?? draftOf(this.parts.db, room);
  }

  keepDraft(room: RoomId, text: string): void {
    this.drafts.set(room, text);
    const keep = async (): Promise<void> => {
      const draft = this.drafts.get(room) ?? "";
      await keepDraft(this.parts.db, room, draft);
      if (this.drafts.get(room) === draft) this.drafts.delete(room);
    };
    this.later(`draft ${room}`, DRAFT_MS, keep, DRAFT_MOST_MS);
  }

  /** What comes again within the time is done once; with `most`, after the last time, but no later than that. */
  private later(name: string, ms: number, task: () => Promise<void>, most = 0): void {
    const now = this.parts.clock.monotonic();
    const waiting = this.pending.get(name);
    if (waiting !== undefined && most === 0) return;
    clearTimeout(waiting?.timer);
    const by = waiting?.by ?? now + Math.max(ms, most);
    const careful = (): Promise<void> => this.careful(name.split(" ")[0]!, task);
    const done = (): void => {
      this.pending.delete(name);
      void careful();
    };
    this.pending.set(name, { timer: setTimeout(done, Math.min(ms, by - now)), by, task: careful });
  }

  /** Before the page goes, and when it is hidden: what else would be kept in a moment. */
  async keepNow(): Promise<void> {
    const all = [...this.pending.values()];
    this.pending.clear();
    for (const { timer } of all) clearTimeout(timer);
    const drafts = [...this.drafts].map(([room, text]) =>
      this.careful("draft", () => putDraftDown(this.parts.db, room, text)),
    );
    await Promise.all([...drafts, ...all.map(({ task }) => task())]);
  }

  private careful(what: string, task: () => Promise<void>): Promise<void> {
    return task().catch((error) => log(`a ${what} is not kept`, error));
  }
}

/** What the disk has no place for is refused by a name. */
async function stored<Result>(task: () => Promise<Result>): Promise<Result> {
  try {
    return await task();
  } catch (error) {
    if (isFull(error)) throw new Refusal("storage_full");
    throw error;
  }
}
