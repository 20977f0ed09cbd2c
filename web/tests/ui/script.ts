/** The scripted messenger, as its author sees it: rooms, people and what they say, in memory. */

import { batch, type Signal, signal } from "@preact/signals-core";

import type {
  Account,
  Connection,
  ConnectionSettings,
  DeviceLine,
  Member,
  Notice,
  Question,
  Relation,
  Restoring,
  RoomDetail,
  RoomLine,
  Row,
} from "../../src/messenger";
import { Refusal } from "../../src/messenger";
import type { DeviceId, MessageId, RoomId, UserId } from "../../src/protocol/ids";

export const KEY = "EsTb 3kq9 ZwYn 7LpD mQ4v Xc2H g8Rt UfJ5 aN6s Wd1P Vy9K hB3e";

/** Ids that say in tests whose they are: the number is the last digits. */
export function id<Kind extends string>(number: number): Kind {
  return `01a20000-0000-7000-8000-${number.toString(16).padStart(12, "0")}` as Kind;
}

export type MessageRow = Extract<Row, { kind: "message" }>;
export type SystemRow = Extract<Row, { kind: "system" }>;

interface FakeRoom {
  readonly detail: Signal<RoomDetail | null>;
  readonly rows: Signal<readonly Row[]>;
  unreadFrom: number | null;
}

export const ALICE: Account = {
  user: id<UserId>(1),
  username: "alice",
  device: id<DeviceId>(11),
  deviceName: "Firefox on Linux",
  readReceipts: true,
};

/** What the script says: who is there, and what happens. */
export class Script {
  readonly account = signal<Account | null | undefined>(ALICE);
  readonly connection = signal<Connection>({ state: "live" });
  readonly newBuild = signal(false);
  readonly restoring = signal<Restoring | null>(null);
  readonly notices = signal<readonly Notice[]>([]);
  readonly recoveryKey = signal<string | null>(null);
  readonly rooms = signal<readonly RoomLine[]>([]);
  readonly relations = signal<readonly Relation[]>([]);
  readonly settings = signal<ConnectionSettings | null>({
    whoMayOpen: "anyone",
    whoMayAdd: "contacts",
    strangers: "requests",
  });
  readonly canUnblock = signal(true);
  readonly questions = signal<readonly Question[]>([]);
  readonly push = signal<"unsupported" | "off" | "on" | "denied">("off");

  /** What was asked for, in order: the method's name and what it was given. */
  readonly asked: unknown[][] = [];
  /** The next call of this method is refused with this. */
  readonly refusals = new Map<string, Refusal>();
  /** Calls that are never answered. */
  private readonly held = new Set<string>();
  readonly users = new Map<string, UserId>([["alice", ALICE.user]]);
  deviceLines: readonly DeviceLine[] = [];
  /** How many rows a window shows at first, and how many more with each page. */
  pageSize = 60;
  protected readonly known = new Map<RoomId, FakeRoom>();
  protected readonly drafts = new Map<RoomId, string>();
  protected readonly verified = new Set<UserId>();
  private seq = 0;
  private made = 1_000;

  constructor(protected readonly clock: () => number = Date.now) {}

  // --- authoring ----------------------------------------------------------------------------------------------------------

  user(username: string): UserId {
    const known = this.users.get(username) ?? id<UserId>(this.users.size + 1);
    this.users.set(username, known);
    return known;
  }

  member(username: string, role: Member["role"] = "member", more: Partial<Member> = {}): Member {
    return { user: this.user(username), username, role, reads: true, verified: false, held: false, ...more };
  }

  /** A room with alice and these; the first of a group's others is no owner unless they are said to be. */
  addRoom(given: Partial<RoomDetail> & { readonly members: readonly Member[] }): RoomId {
    this.made += 1;
    const others = given.members.filter((one) => one.user !== ALICE.user);
    const room: RoomDetail = {
      id: id<RoomId>(this.made),
      kind: others.length > 1 ? "group" : "direct",
      peer: others.length > 1 ? null : (others[0]?.user ?? null),
      others: others.map((one) => one.username).sort(),
      unread: 0,
      muted: false,
      preview: null,
      at: this.clock(),
      typing: [],
      closed: null,
      myRole: given.members.find((one) => one.user === ALICE.user)?.role ?? "member",
      history: "joined",
      createdAt: this.clock(),
      ...given,
    };
    this.known.set(room.id, {
      detail: signal<RoomDetail | null>(room),
      rows: signal<readonly Row[]>([]),
      unreadFrom: null,
    });
    this.sort();
    return room.id;
  }

  change(room: RoomId, what: Partial<RoomDetail>): void {
    const { detail } = this.get(room);
    if (detail.value !== null) detail.value = { ...detail.value, ...what };
    this.sort();
  }

  rowsOf(room: RoomId): readonly Row[] {
    return this.get(room).rows.peek();
  }

  /** Somebody's message has come. */
  say(room: RoomId, by: string, text: string | null, more: Partial<MessageRow> = {}): MessageRow {
    this.made += 1;
    const mine = by === ALICE.username;
    const messageId = id<MessageId>(this.made);
    const row: MessageRow = {
      kind: "message",
      key: messageId,
      id: messageId,
      seq: more.seq === undefined ? ++this.seq : more.seq,
      sender: this.user(by),
      by,
      mine,
      at: this.clock(),
      text,
      problem: text === null ? "not_verified" : null,
      ticks: mine ? "read" : null,
      reached: null,
      refused: null,
      ...more,
    };
    this.append(room, [row]);
    return row;
  }

  system(room: RoomId, change: SystemRow["change"], at: number | null = this.clock()): void {
    this.seq += 1;
    this.append(room, [{ kind: "system", key: `system:${this.seq}`, seq: this.seq, at, change }]);
  }

  append(room: RoomId, added: readonly Row[]): void {
    const { rows, detail } = this.get(room);
    const last = added.at(-1);
    batch(() => {
      rows.value = [...rows.peek(), ...added];
      if (last?.kind !== "message" || detail.value === null) return;
      const unread = added.filter((row) => row.kind === "message" && !row.mine).length;
      this.change(room, {
        at: last.at,
        preview: { mine: last.mine, by: last.by, text: last.text, ticks: last.ticks },
        unread: detail.value.unread + (last.mine ? 0 : unread),
      });
    });
  }

  alter(room: RoomId, key: string, what: Partial<MessageRow>): void {
    const { rows } = this.get(room);
    rows.value = rows.peek().map((row) => (row.key === key && row.kind === "message" ? { ...row, ...what } : row));
  }

  /** From here on it is unread, and the marker stands here when the room is opened. */
  unread(room: RoomId, from: number): void {
    this.get(room).unreadFrom = from;
    const rows = this.rowsOf(room).filter((row) => row.kind === "message" && !row.mine && (row.seq ?? 0) >= from);
    this.change(room, { unread: rows.length });
  }

  relate(username: string, state: Relation["state"], more: Partial<Relation> = {}): Relation {
    const relation: Relation = {
      user: this.user(username),
      username,
      state,
      blocked: false,
      blockedBy: false,
      verified: false,
      waiting: null,
      ...more,
    };
    const others = this.relations.peek().filter((one) => one.user !== relation.user);
    this.relations.value = [...others, relation].sort((one, other) => one.username.localeCompare(other.username));
    return relation;
  }

  relationTo(username: string): Relation {
    return this.relations.peek().find((one) => one.username === username) ?? this.relate(username, "none");
  }

  /** The next call of this method waits for ever. */
  hold(name: string): void {
    this.held.add(name);
  }

  protected get(room: RoomId): FakeRoom {
    const found = this.known.get(room);
    if (found === undefined) throw new Refusal("not_found");
    return found;
  }

  private sort(): void {
    const lines = [...this.known.values()].flatMap(({ detail }) =>
      detail.peek() === null ? [] : [detail.peek() as RoomLine],
    );
    this.rooms.value = lines.sort((one, other) => other.at - one.at);
  }

  protected async done(name: string, ...given: unknown[]): Promise<void> {
    this.asked.push([name, ...given]);
    if (this.held.delete(name)) await new Promise(() => undefined);
    const refusal = this.refusals.get(name);
    if (refusal === undefined) return;
    this.refusals.delete(name);
    throw refusal;
  }
}
