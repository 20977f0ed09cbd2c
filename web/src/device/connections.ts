/** What the user has with others, as signals; and what the user presses. The tab with the socket does the rest (device/syncing.ts). */

import { batch, computed, type ReadonlySignal, type Signal, signal } from "@preact/signals-core";

import { type ConnectionAction, type ConnectionSettings, type Question, Refusal, type Relation } from "../messenger";
import { isAbout } from "../protocol/changes";
import type { UserId } from "../protocol/ids";
import { decodeSettings, type Settings } from "../protocol/relations";
import { applySettings, changeOf, pressed, progressOf, settle } from "../store/connections";
import type { ChangeRecord, RelationRecord } from "../store/schema";
import { type Values, valuesIn } from "../store/values";
import type { Parts } from "./parts";
import type { People } from "./people";
import type { Keys } from "./ports";
import { shaped } from "./session";
import { Soon } from "./soon";

const byName = new Intl.Collator("en").compare;

export class Relations {
  readonly list: ReadonlySignal<readonly Relation[]>;
  readonly settings: Signal<ConnectionSettings | null> = signal(null);
  readonly questions: ReadonlySignal<readonly Question[]>;
  readonly consistency: Signal<string | null> = signal(null);
  private readonly records: Signal<readonly RelationRecord[]> = signal([]);
  private readonly changes: Signal<readonly ChangeRecord[]> = signal([]);
  private readonly byUser = computed(() => new Map(this.records.value.map((record) => [record.user, record])));
  private readonly soon = new Soon(() => this.load());

  /** `onChange`: who may be written to may have changed. */
  constructor(
    private readonly parts: Pick<Parts, "db" | "bus" | "session">,
    private readonly keys: Pick<Keys, "verified">,
    private readonly people: People,
    private readonly onChange: () => void,
  ) {
    this.list = computed(() => {
      void this.people.version; // names may come later than what they are shown with
      const changes = this.changes.value;
      const verified = this.keys.verified.value;
      const relations = this.records.value.map((record) =>
        this.relationOf(record, verified, waitingFor(record, changes)),
      );
      const strangers = changes.flatMap((change) => this.stranger(change));
      return [...relations, ...strangers].sort((one, other) => byName(one.username, other.username));
    });
    this.questions = computed(() => {
      void this.people.version;
      return this.changes.value.flatMap((change) => this.questionOf(change));
    });
  }

  of(user: UserId): RelationRecord | undefined {
    return this.byUser.peek().get(user);
  }

  /** The changes about a user that wait for an answer, in order. */
  pressedAbout(user: UserId): ChangeRecord[] {
    const username = this.of(user)?.username ?? "";
    return this.changes.peek().filter((change) => isAbout(changeOf(change), { user, username }));
  }

  touch(): void {
    this.soon.mark();
  }

  /** Shows what is stored at one moment, all of it at once. */
  async load(): Promise<void> {
    const tx = this.parts.db.transaction(["relations", "changes", "values"]);
    const values = tx.objectStore("values");
    const [records, changes, consistency, kept] = await Promise.all([
      tx.objectStore("relations").getAll(),
      tx.objectStore("changes").getAll(),
      values.get("consistency") as Promise<Values["consistency"] | undefined>,
      values.get("settings") as Promise<Values["settings"] | undefined>,
    ]);
    await this.people.learnAll(records);
    batch(() => {
      this.records.value = records;
      this.changes.value = changes;
      this.consistency.value = consistency ?? null;
      this.settings.value = kept === undefined ? null : settingsOf(kept.settings);
    });
    this.onChange();
    await this.people.find(changes.flatMap(({ user }) => user ?? []));
  }

  /** Queued in the store at once, offline too. */
  async press(action: ConnectionAction, who: { user: UserId } | { username: string }): Promise<void> {
    await pressed(this.parts.db, action, who);
    await this.load();
    this.parts.bus.tell({ type: "connections" });
  }

  async change(change: Partial<ConnectionSettings>): Promise<void> {
    const { whoMayOpen, whoMayAdd, strangers } = change;
    const body = {
      ...(whoMayOpen !== undefined && { who_may_open: whoMayOpen }),
      ...(whoMayAdd !== undefined && { who_may_add: whoMayAdd }),
      ...(strangers !== undefined && { strangers }),
    };
    const answer = await this.parts.session.request("PATCH", "connections/settings", { body });
    const settings = shaped(() => decodeSettings(answer));
    const { heard } = await progressOf(this.parts.db);
    const tx = this.parts.db.transaction("values", "readwrite");
    await applySettings(valuesIn(tx.store), settings, heard);
    await tx.done;
    await this.load();
    this.parts.bus.tell({ type: "connections" });
  }

  /** The user's answer to a question; `wait` is one to a lag alone, `confirm` to a conflict. */
  async answer(id: string, what: "confirm" | "drop" | "wait"): Promise<void> {
    await settle(this.parts.db, Number(id), (change) => {
      const { question } = change;
      if (question == null) return change; // it was answered in another tab
      if (what === "drop") return null;
      if (question.kind === "conflict") {
        return what === "confirm" ? { ...change, baseVersion: question.version, question: null } : change;
      }
      if (what !== "wait") return change;
      const waitsFor = question.devices.map((device) => device.id);
      return { ...change, baseVersion: question.version ?? change.baseVersion, question: null, waitsFor };
    });
    this.parts.bus.tell({ type: "connections" });
  }

  /** Under `restrict` a block is lifted with a connection only: nobody else knows who has stored it. */
  requireUnblock(online: boolean): void {
    if (!online && this.consistency.peek() !== "confirm") throw new Refusal("offline");
  }

  /** Somebody with whom there is nothing yet but what was pressed; who was named only is shown once the server has answered. */
  private stranger(change: ChangeRecord): Relation[] {
    const { user, action } = change;
    if (action === "note" || user === null || this.byUser.value.has(user)) return [];
    const verified = this.keys.verified.value.has(user);
    const blank = { user, username: this.people.name(user), state: "none", blocked: false, blockedBy: false } as const;
    return [{ ...blank, verified, waiting: action }];
  }

  /** As it is shown: under the one name that nobody else is shown under. */
  private relationOf(
    { user, state, blocked, blockedBy }: RelationRecord,
    verified: ReadonlySet<UserId>,
    waiting: ConnectionAction | null,
  ): Relation {
    const username = this.people.name(user);
    return { user, username, state, blocked, blockedBy, verified: verified.has(user), waiting };
  }

  private questionOf(change: ChangeRecord): Question[] {
    const { question, action } = change;
    if (question == null || action === "note") return [];
    const id = String(change.order);
    const known = this.records.value.find((record) => isAbout(changeOf(change), record));
    const username = known === undefined ? (change.username ?? "") : this.people.name(known.user);
    switch (question.kind) {
      case "conflict": {
        const now = this.relationOf(question.now, this.keys.verified.value, action);
        const { changedAt, changedByDevice } = question;
        return [{ kind: "conflict", id, action, username: now.username, now, changedByDevice, changedAt }];
      }
      case "lag": {
        const devices = question.devices.map(({ name, lastSeenAt }) => ({ name, lastSeenAt }));
        return [{ kind: "lag", id, username, devices }];
      }
    }
  }
}

function settingsOf(settings: Settings): ConnectionSettings {
  return { whoMayOpen: settings.who_may_open, whoMayAdd: settings.who_may_add, strangers: settings.strangers };
}

/** The first change about somebody that has no answer. */
function waitingFor(record: RelationRecord, changes: readonly ChangeRecord[]): ConnectionAction | null {
  const change = changes.find((change) => change.action !== "note" && isAbout(changeOf(change), record));
  return change === undefined || change.action === "note" ? null : change.action;
}
