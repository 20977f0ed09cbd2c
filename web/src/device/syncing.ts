/**
 * Keeping the user's connections in step with the server, over REST (docs/protocol.md §5.2, §5.3); the tab with the socket does it.
 *
 *     in step:  page through what is missing  →  report what is stored
 *     changes:  what the user pressed, in order per person  →  made | a question to the user | given up
 */

import { Refusal } from "../messenger";
import { decodeDevices, decodeDiscloses } from "../protocol/answers";
import { Backoff } from "../protocol/backoff";
import { isBehind, Reports, type Run } from "../protocol/book";
import { type Change, changeFields, conflictOf, decodeChanged, laggingOf, targetOf } from "../protocol/changes";
import type { DeviceId } from "../protocol/ids";
import { mayRetry, type Problem } from "../protocol/problems";
import { decodeRelationsPage } from "../protocol/relations";
import {
  applyPage,
  askAbout,
  changeMade,
  changeOf,
  changesIn,
  type News,
  progressOf,
  relationRecord,
  settle,
} from "../store/connections";
import { addNotice } from "../store/notices";
import type { ChangeRecord } from "../store/schema";
import { getValue, putValue } from "../store/values";
import { Wake } from "./clock";
import { log, type Parts } from "./parts";
import type { Identity } from "./ports";
import { shaped } from "./session";

/** How often lifting a block is tried while other devices lag: nobody tells this one when they have stored it. */
const LAG_MS = 2_000;
const LAG_MOST_MS = 60_000;

export class Syncer {
  readonly awake = new Wake();
  private readonly reports: Reports;
  private wanted = true;
  private knowsLimits = false;
  /** Until when a change waits for lagging devices (monotonic), and how often it has. */
  private readonly lagging = new Map<number, { until: number; backoff: Backoff }>();

  /** `told`: what the server has been told to be here. `onNews`: who may be written to may have changed. */
  constructor(
    private readonly parts: Parts,
    private readonly identity: Identity,
    told: number,
    private readonly onNews: () => void,
  ) {
    this.reports = new Reports(told);
  }

  /** Look on the server for what is new, even if no entry says that something is. */
  want(): void {
    this.wanted = true;
    this.reports.stored(this.parts.clock.monotonic(), true);
    this.awake.set();
  }

  /** Something is stored that the server should hear of. */
  stored(block: boolean): void {
    this.reports.stored(this.parts.clock.monotonic(), block);
    this.awake.set();
  }

  /** Go on for as long as there is a connection. */
  async run(signal: AbortSignal): Promise<void> {
    let backoff = new Backoff();
    while (!signal.aborted) {
      let wait: number;
      try {
        wait = await this.step(signal);
        backoff = new Backoff();
      } catch (error) {
        if (signal.aborted || (error instanceof Refusal && error.code === "signed_out")) return;
        log("connections are not in step", error);
        const after = error instanceof Refusal ? error.problem?.retry_after : undefined;
        await this.parts.clock.wait(backoff.delay(this.parts.clock.chance(), after), signal).catch(() => undefined);
        backoff = backoff.failed();
        continue;
      }
      await this.awake.wait(this.parts.clock, wait, signal).catch(() => undefined);
    }
  }

  /** Do what is due; in how many ms more will be. */
  private async step(signal: AbortSignal): Promise<number> {
    const { clock, db } = this.parts;
    if (this.wanted || isBehind(await progressOf(db))) await this.page(signal);
    const changesIn = await this.changes(signal);
    const dueAt = this.reports.dueAt((await progressOf(db)).version);
    if (dueAt <= clock.monotonic()) {
      await this.report();
      return 0;
    }
    return Math.max(0, Math.min(dueAt - clock.monotonic(), changesIn));
  }

  private async page(signal: AbortSignal): Promise<void> {
    const { session, db } = this.parts;
    this.wanted = false;
    try {
      if (!this.knowsLimits) {
        const answer = await session.request("GET", "limits", { signal });
        const discloses = shaped(() => decodeDiscloses(answer));
        if (discloses !== null) await putValue(db, "discloses", discloses);
        this.knowsLimits = true;
      }
      let run: Run | null = { since: (await progressOf(db)).version, newest: 0 };
      while (run !== null) {
        const since: number = run.since;
        const answer = await session.request("GET", `connections?since=${since}`, { signal });
        const page = shaped(() => decodeRelationsPage(answer));
        const { next, news }: { next: Run | null; news: News } = await applyPage(db, run, since, page, this.identity);
        this.tell(news, true);
        if (next !== null && next.since <= since) throw new Refusal("offline"); // a broken server: the pages do not go on
        run = next;
      }
    } catch (error) {
      this.wanted = true;
      throw error;
    }
  }

  private tell(news: News, always = false): void {
    if (!news.isNew && !always) return;
    this.reports.stored(this.parts.clock.monotonic(), news.block);
    this.parts.bus.tell({ type: "connections" });
    this.onNews();
  }

  private async report(): Promise<void> {
    const { db, session } = this.parts;
    const { version } = await progressOf(db);
    if (version <= this.reports.told) return;
    this.reports.begins();
    // What is claimed here must not be lost with the power: enforcement goes by it.
    const tx = db.transaction("values", "readwrite", { durability: "strict" });
    await tx.store.put(await tx.store.get("progress"), "progress");
    await tx.done;
    try {
      await session.request("POST", "connections/synced", { body: { version }, repeats: true });
    } catch (error) {
      this.reports.failed(this.parts.clock.monotonic());
      throw error;
    }
    this.reports.arrived(version);
    await putValue(db, "reported", version);
  }

  // Changes.

  /** Send what may go; in how many ms more may. */
  private async changes(signal: AbortSignal): Promise<number> {
    for (let change = await this.nextChange(); change !== null; change = await this.nextChange()) {
      signal.throwIfAborted();
      await this.send(change);
    }
    const untils = [...this.lagging.values()].map(({ until }) => until);
    return Math.min(Number.POSITIVE_INFINITY, ...untils) - this.parts.clock.monotonic();
  }

  /** The first whose turn it is: a change that waits for an answer holds up the later ones about the same user, and no others. */
  private async nextChange(): Promise<ChangeRecord | null> {
    const now = this.parts.clock.monotonic();
    const held = new Set<string>();
    const records = await changesIn(this.parts.db);
    const orders = new Set(records.map((record) => record.order!));
    for (const order of this.lagging.keys()) if (!orders.has(order)) this.lagging.delete(order);
    for (const record of records) {
      const target = targetOf(changeOf(record));
      const waits = record.question != null || (this.lagging.get(record.order!)?.until ?? 0) > now;
      if (!waits && !held.has(target)) return record;
      held.add(target);
    }
    return null;
  }

  private async send(record: ChangeRecord): Promise<void> {
    const { session, db } = this.parts;
    const change = changeOf(record);
    let answer: unknown;
    try {
      answer = await session.request("POST", "connections", { body: changeFields(change), repeats: true });
    } catch (error) {
      const refusal = error instanceof Refusal ? error.problem : null;
      if (refusal === null || mayRetry(refusal) || refusal.status === 401) throw error;
      await this.refused(record, change, refusal);
      return;
    }
    const { relation, version } = shaped(() => decodeChanged(answer));
    this.lagging.delete(change.order);
    this.tell(await changeMade(db, change, relation, version, this.identity), true);
  }

  private async refused(record: ChangeRecord, change: Change, refusal: Problem): Promise<void> {
    switch (refusal.code) {
      case "connection_changed": {
        const conflict = shaped(() => conflictOf(refusal));
        const { version, changedBy, changedAt } = conflict;
        const now = relationRecord(conflict.connection);
        const changedByDevice = changedBy === null ? null : await this.nameOf(changedBy);
        const question = { kind: "conflict", now, version, changedByDevice, changedAt } as const;
        this.tell(
          await askAbout(
            this.parts.db,
            change.order,
            question,
            { relation: conflict.connection, version },
            this.identity,
          ),
        );
        break;
      }
      case "devices_lag":
        await this.lag(record, refusal);
        break;
      default:
        await this.giveUp(change, refusal);
    }
    this.parts.bus.tell({ type: "questions" });
  }

  private async nameOf(device: DeviceId): Promise<string | null> {
    const answer = await this.parts.session.request("GET", "devices").catch(() => null);
    if (answer === null) return null;
    return shaped(() => decodeDevices(answer)).find(({ id }) => id === device)?.name ?? null;
  }

  private async lag(record: ChangeRecord, refusal: Problem): Promise<void> {
    const { db, clock } = this.parts;
    const order = record.order!;
    const devices = shaped(() => laggingOf(refusal));
    const ids = devices.map((device) => device.id);
    let version: number | null = null;
    if (ids.includes(this.identity.device)) {
      // This device did not know of the block when the button was pressed. It does now, and so may its user.
      await this.page(new AbortController().signal);
      await this.report();
      version = (await progressOf(db)).version;
    }
    const waitsFor = record.waitsFor ?? null;
    // Asked again only when others lag than the time before.
    const isKnown = waitsFor !== null && waitsFor.length === ids.length && waitsFor.every((id) => ids.includes(id));
    if (!isKnown || version !== null) {
      await askAbout(db, order, { kind: "lag", devices, version }, null, this.identity);
      return;
    }
    const backoff = this.lagging.get(order)?.backoff ?? new Backoff();
    const pause = Math.min(LAG_MS * 2 ** Math.min(backoff.failures, 10), LAG_MOST_MS);
    const delay = Math.max(pause, (refusal.retry_after ?? 0) * 1000);
    this.lagging.set(order, { until: clock.monotonic() + delay, backoff: backoff.failed() });
  }

  private async giveUp(change: Change, problem: Problem): Promise<void> {
    const { db, bus } = this.parts;
    await settle(db, change.order, () => null);
    this.lagging.delete(change.order);
    if (change.action !== "note") {
      const relation = change.user === null ? undefined : await db.get("relations", change.user);
      const person = change.user === null ? undefined : await db.get("people", change.user);
      const username = change.username ?? relation?.username ?? person?.username ?? "";
      const id = `change-${change.order}`;
      await addNotice(db, { kind: "change-failed", id, username, action: change.action, problem });
      bus.tell({ type: "notices" });
    }
    // A block that waited closed the room.
    bus.tell({ type: "connections" });
    this.onNews();
  }
}

/** What the server has been told to be here. */
export async function reportedVersion(parts: Pick<Parts, "db">): Promise<number> {
  return (await getValue(parts.db, "reported")) ?? 0;
}
