/**
 * What was said before this device was: its rooms, then the mailbox over REST, newest first, in pages.
 *
 * `low` and `stored` bound what is here without a gap. Once the newest pages are stored, the device acknowledges up to `stored`
 * and opens its socket: what comes then is live, and older pages go on coming beside it. A short history is here before that as
 * a whole; of a longer one, the device acknowledges what it is going to fetch: the server keeps every entry, and where the
 * fetching stops, it goes on with the next start.
 */

import type { Restoring } from "../messenger";
import { decodeForward, decodePage } from "../protocol/answers";
import type { Entry } from "../protocol/entries";
import { versions } from "../store/keys";
import { storedRange } from "../store/mailbox";
import { getValue, requireDevice, valuesIn } from "../store/values";
import { fetchRooms } from "./catchingup";
import type { Parts } from "./parts";
import type { Identity } from "./ports";
import { PAGE_ENTRIES, type Receiver } from "./receiving";
import { shaped } from "./session";

/** So many entries are here before the device goes live. */
export const FIRST_ENTRIES = 5_000;

/** For so long the keys of a new device are waited for. */
const KEYS_MS = 15_000;

export class Restorer {
  private last: Promise<void> = Promise.resolve();

  /** `me`: whose history it is. */
  constructor(
    private readonly parts: Parts,
    private readonly me: Identity,
    private readonly receiver: Receiver,
  ) {}

  /** Resolved when there is enough to connect: at once, unless the device is new. */
  async first(signal: AbortSignal): Promise<void> {
    if ((await storedRange(this.parts.db)) !== null && (await getValue(this.parts.db, "begun")) === undefined) return;
    await this.keys(signal);
    await this.parts.sealing.restore((state) => this.tell(state));
    await fetchRooms(this.parts, signal);
    const { newest, low } = await this.begin();
    await this.pages(Math.max(0, newest - FIRST_ENTRIES), signal);
    if (newest > 0) await this.parts.session.request("POST", "mailbox/ack", { body: { seq: newest }, repeats: true });
    await this.note((values) => values.delete("begun"));
    if (low <= 1 || (await this.low()) <= 1) this.tell(null);
  }

  /** Signing in goes on while this begins: the keys are here in a moment, unless this device is to have none. */
  private async keys(signal: AbortSignal): Promise<void> {
    const { db, bus, clock } = this.parts;
    const here = new AbortController();
    const silence = bus.listen((news) => {
      if (news.type === "unlocked") here.abort();
    });
    try {
      if ((await versions(db)).length > 0) return;
      this.tell({ step: "keys", done: 0, of: 1 });
      await clock.wait(KEYS_MS, AbortSignal.any([signal, here.signal])).catch(() => undefined);
      signal.throwIfAborted();
    } finally {
      silence();
    }
  }

  /** The rest, beside the live connection. One run at a time; what fails goes on with the next connection. */
  rest(signal: AbortSignal): Promise<void> {
    // The run of an earlier connection may be within a page still, and end only behind it.
    this.last = this.last
      .catch(() => undefined)
      .then(() => this.pages(0, signal))
      .then(() => this.tell(null));
    return this.last;
  }

  private async low(): Promise<number> {
    return (await storedRange(this.parts.db))?.low ?? 1;
  }

  /** Where the history ends and what is live begins; the same after an interruption. */
  private async begin(): Promise<{ newest: number; low: number }> {
    const range = await storedRange(this.parts.db);
    if (range !== null) return { newest: range.stored, low: range.low };
    const answer = await this.parts.session.request("GET", "mailbox?limit=1");
    const newest = shaped(() => decodePage(answer)).lastSeq;
    await this.note((values) => {
      values.put("stored", newest);
      values.put("low", newest + 1);
      values.put("begun", true);
    });
    return { newest, low: newest + 1 };
  }

  /** How far it is; of somebody else, who is signed in by now, nothing is known. */
  private async note(change: (values: ReturnType<typeof valuesIn>) => void): Promise<void> {
    const tx = this.parts.db.transaction("values", "readwrite");
    await requireDevice(tx.store, this.me);
    change(valuesIn(tx.store));
    await tx.done;
  }

  /** Page backwards until everything above `down` is here. */
  private async pages(down: number, signal: AbortSignal): Promise<void> {
    const newest = (await storedRange(this.parts.db))?.stored ?? 0;
    for (let low = await this.low(); low - 1 > down; low = await this.low()) {
      signal.throwIfAborted();
      this.tell({ step: "messages", done: Math.max(0, newest - low + 1), of: newest });
      const after = Math.max(0, low - 1 - PAGE_ENTRIES);
      await this.receiver.history(await this.between(after, low - 1, signal));
      await this.note((values) => values.put("low", after + 1));
    }
  }

  /** The entries behind `after` up to `last`; a page may end early. */
  private async between(after: number, last: number, signal: AbortSignal): Promise<Entry[]> {
    const entries: Entry[] = [];
    for (let from = after; from < last; ) {
      const path = `mailbox?after=${from}&limit=${last - from}`;
      const answer = await this.parts.session.request("GET", path, { signal });
      const page = shaped(() => decodeForward(answer, from));
      entries.push(...page.entries);
      if (page.entries.length === 0) break;
      from += page.entries.length;
    }
    return entries;
  }

  private tell(state: Restoring | null): void {
    this.parts.bus.tell({ type: "restoring", state });
  }
}
