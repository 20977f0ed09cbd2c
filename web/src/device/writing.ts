/** What the user does in a room, in whichever tab: into the store at once; the tab with the socket is told. */

import { Refusal } from "../messenger";
import { blockedProblem } from "../protocol/changes";
import type { MessageId, RoomId } from "../protocol/ids";
import { isFull } from "../store/db";
import { findUnsent, markResent, removeUnsent, write } from "../store/outbox";
import { changeRoom, readUpTo } from "../store/rooms";
import { findMessage } from "../store/windows";
import { closedBy } from "./gate";
import { log, type Parts } from "./parts";
import type { Keys } from "./ports";

/** What a message's payload takes at most (docs/protocol.md §6.6), of which this much is not the text. */
const MOST_BYTES = 32_640 - 160;
const DRAFT_MS = 300;
const READ_MS = 100;
const TYPING_MS = 1_000;

export class Writing {
  private readonly drafts = new Map<RoomId, string>();
  private readonly reads = new Map<RoomId, number>();
  private readonly typed = new Map<RoomId, number>();
  private readonly pending = new Map<string, { timer: ReturnType<typeof setTimeout>; task: () => Promise<void> }>();

  constructor(
    private readonly parts: Parts,
    private readonly keys: Pick<Keys, "held">,
  ) {}

  /** Into the outbox; sent as soon as that is possible. */
  async send(room: RoomId, text: string): Promise<MessageId> {
    if (text.trim() === "") throw new Refusal("empty");
    if (new TextEncoder().encode(JSON.stringify(text)).length > MOST_BYTES) throw new Refusal("too_large");
    await this.checkOpen(room);
    const record = await stored(() => write(this.parts.db, room, text, this.parts.clock.now()));
    this.parts.bus.tell({ type: "outbox", room });
    return record.id;
  }

  private async checkOpen(room: RoomId): Promise<void> {
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
    const unsent = await findUnsent(db, id);
    const sent = unsent === undefined ? await findMessage(db, id) : undefined;
    const room = unsent?.room ?? sent?.room;
    const text = unsent?.text ?? sent?.text;
    if (room == null || text == null || sent?.resent) throw new Refusal("not_found");
    const again = await this.send(room, text);
    if (unsent !== undefined) {
      await removeUnsent(db, id);
      bus.tell({ type: "outbox", room });
    } else {
      await markResent(db, id);
      bus.tell({ type: "stored", rooms: [room], upTo: 0, rewritten: true });
    }
    return again;
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
    return this.drafts.get(room) ?? (await this.parts.db.get("rooms", room))?.draft ?? "";
  }

  keepDraft(room: RoomId, text: string): void {
    this.drafts.set(room, text);
    this.later(`draft ${room}`, DRAFT_MS, async () => {
      const draft = this.drafts.get(room) ?? "";
      await changeRoom(this.parts.db, room, (record) => ({ ...record, draft }));
      if (this.drafts.get(room) === draft) this.drafts.delete(room);
    });
  }

  /** What comes again within the time is done once. */
  private later(name: string, ms: number, task: () => Promise<void>): void {
    if (this.pending.has(name)) return;
    const careful = (): Promise<void> => task().catch((error) => log(`${name.split(" ")[0]} is not kept`, error));
    const timer = setTimeout(() => {
      this.pending.delete(name);
      void careful();
    }, ms);
    this.pending.set(name, { timer, task: careful });
  }

  /** Before the page goes: what else would be kept in a moment. */
  async keepNow(): Promise<void> {
    const all = [...this.pending.values()];
    this.pending.clear();
    for (const { timer } of all) clearTimeout(timer);
    await Promise.all(all.map(({ task }) => task()));
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
