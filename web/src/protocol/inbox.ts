/**
 * What arrives on one connection: in order, without gaps, each entry once, acknowledged when it is stored.
 *
 * The caller stores what `received` hands back, in one transaction, then says `storedUpTo`, and sends the acknowledgement that
 * `ackDue` names. So an acknowledgement always means: it is in the local store.
 */

import type { Entry } from "./entries";
import type { Welcome } from "./frames";
import type { MessageId, UserId } from "./ids";
import type { Marks } from "./late";

export const ACK_DELAY_MS = 50;

/** The store belongs to another mailbox than the socket; nothing was changed. */
export class MailboxDiverged extends Error {}

/** Entries to be stored, with the late ones among them: message → the later message that proves it. */
export interface Arrival {
  readonly entries: readonly Entry[];
  readonly late: ReadonlyMap<MessageId, MessageId>;
  /** An entry is missing before the next one: what was sent is lost, so connect again and resume (docs/protocol.md §4.4). */
  readonly gap: boolean;
}

/** The receiving half of one connection. Knows no socket, no store, and time only as a parameter (ms). */
export class Inbox {
  live = false;
  private next: number; // the next seq that the server sends on this connection
  private acked: number;
  private window = 1;
  private unackedSince: number | null = null;

  constructor(
    readonly me: UserId,
    public stored: number,
    private readonly marks: Marks,
  ) {
    this.next = stored + 1;
    this.acked = stored;
  }

  /**
   * Start from the device's cursor. True when the store lacks entries up to it, which REST has to supply: it can be behind the
   * cursor when the machine lost its power after an acknowledgement.
   */
  welcomed(welcome: Welcome): boolean {
    if (welcome.user !== this.me) throw new MailboxDiverged("the socket is another user's");
    if (welcome.last_seq < this.stored) {
      throw new MailboxDiverged(`${this.stored} entries are stored, but the mailbox has only ${welcome.last_seq}`);
    }
    this.next = welcome.acknowledged + 1;
    this.acked = welcome.acknowledged;
    this.window = Math.max(1, welcome.window);
    return welcome.acknowledged > this.stored;
  }

  /** Entries that REST supplied: never refused as late, because they are not live. */
  backfilled(entries: readonly Entry[]): Arrival {
    return this.take(
      entries.filter((entry) => entry.seq > this.stored),
      false,
    );
  }

  /** Entries of a frame: doubles are dropped, those up to the first gap are handed back for storing. */
  received(entries: readonly Entry[], now: number): Arrival {
    const taken: Entry[] = [];
    let gap = false;
    for (const entry of entries) {
      if (entry.seq > this.next) {
        gap = true;
        break;
      }
      if (entry.seq === this.next) {
        this.next += 1;
        if (entry.seq > this.stored) taken.push(entry);
      }
    }
    if (entries.length > 0) this.unackedSince ??= now;
    return this.take(taken, gap);
  }

  private take(entries: readonly Entry[], gap: boolean): Arrival {
    const late = new Map<MessageId, MessageId>();
    for (const entry of entries) {
      if (entry.kind !== "message") continue;
      const later = this.marks.advance(entry);
      // What this user sent from elsewhere is not refused: nobody asks oneself to send again.
      if (later !== null && this.live && entry.sender !== this.me) late.set(entry.id, later);
    }
    return { entries, late, gap };
  }

  /** The caller has committed everything up to `seq`. */
  storedUpTo(seq: number): void {
    this.stored = Math.max(this.stored, seq);
  }

  /** What comes now is live. */
  drained(): void {
    this.live = true;
  }

  /** The seq to acknowledge now: after 50 ms, or at once when a quarter of the window is waiting. */
  ackDue(now: number): number | null {
    const seq = this.ackable;
    if (seq <= this.acked) {
      if (this.next - 1 <= this.acked) this.unackedSince = null; // only doubles came
      return null;
    }
    if (!this.urgent && now < this.ackAt()) return null;
    this.acked = seq;
    this.unackedSince = null;
    return seq;
  }

  /** Whether a quarter of the window waits for an acknowledgement. */
  get urgent(): boolean {
    return this.ackable - this.acked >= this.window / 4;
  }

  /** When `ackDue` will have something at the latest; infinity when it waits for the store. */
  ackAt(): number {
    if (this.unackedSince === null || this.ackable <= this.acked) return Number.POSITIVE_INFINITY;
    return this.unackedSince + ACK_DELAY_MS;
  }

  /** Never beyond what was sent on this connection. */
  private get ackable(): number {
    return Math.min(this.stored, this.next - 1);
  }
}
