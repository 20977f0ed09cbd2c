/**
 * Gets what opening needs, over REST: epochs with this user's wraps, and the documents of who made and wrote (docs/protocol.md §6.4).
 *
 *     a new device: all epochs of all rooms, once  →  for entries: what of theirs is missing, before they are stored
 *
 * Only what may succeed later delays: no answer, 5xx, 429. Anything else means that there is no key, and the entry is shown so.
 */

import { b64, digest, unb64 } from "../../crypto/encoding";
import { checkRoster, type RosterLine, readRoster, writeLine } from "../../crypto/epochs";
import { CryptoError } from "../../crypto/errors";
import { isObject } from "../../crypto/json";
import type { DeviceId, RoomId, UserId } from "../../protocol/ids";
import { Malformed } from "../../protocol/shape";
import * as store from "../../store/epochs";
import type { EpochRecord, RosterRecord } from "../../store/schema";
import type { Directory } from "../keys/directory";
import type { Parts } from "../keys/parts";
import { tolerantly } from "../keys/refusing";
import { decodeEpochs } from "./answers";
import { CannotOpen, type KeyBook } from "./keybook";
import { changeOf } from "./rules";

const AGAIN_MS = 10_000; // what was not there is asked for again after this time at the earliest
const PAGE = 500; // epochs

type Signer = readonly [UserId, DeviceId];

/** Epochs that entries told of, with the hash of their records (base64url). */
export type Announced = ReadonlyMap<string, string>;
export const placeOf = (room: RoomId, epoch: number) => `${room} ${epoch}`;

export class Fetcher {
  /** Called when an epoch was asked for and there is no key for this user. */
  onLacking: () => void = () => {};
  private readonly asked = new Map<string, number>();

  constructor(
    private readonly parts: Pick<Parts, "db" | "session" | "clock">,
    private readonly book: KeyBook,
    private readonly others: Directory,
  ) {}

  /** Read the keys of all rooms, once in the life of a device: 500 epochs in one request. */
  async restore(tell: (done: number, of: number) => void = () => {}): Promise<void> {
    const { db, session } = this.parts;
    for (;;) {
      const at = await store.restoredTo(db);
      if (at === undefined) return;
      const query = at.after === null ? "" : `&after=${encodeURIComponent(at.after)}`;
      const { rows, next } = await decodeEpochs(await session.request("GET", `e2ee/epoch-keys?limit=${PAGE}${query}`));
      if (next !== null && (typeof next !== "string" || next === at.after))
        throw new Malformed("the pages of keys do not go on");
      const done = at.done + rows.length;
      await store.putRestored(db, rows, next, done);
      tell(done, next === null ? done : done + PAGE);
      await this.devices(rows.map((row) => [row.creator, row.device]));
    }
  }

  /** Those of the epochs that are missing, or had no key for this user when they were last asked for. */
  async epochs(wanted: readonly store.At[], announced: Announced = new Map()): Promise<void> {
    const { db, clock } = this.parts;
    const now = clock.now();
    const isDue = ([room, epoch]: store.At) => {
      const last = this.asked.get(placeOf(room, epoch));
      return last === undefined || Math.abs(now - last) >= AGAIN_MS;
    };
    const missing = (await store.missingEpochs(db, wanted)).filter(isDue);
    const numbers = new Map<RoomId, number[]>();
    for (const [room, epoch] of missing) numbers.set(room, [...(numbers.get(room) ?? []), epoch]);
    for (const [room, some] of numbers) {
      await tolerantly(this.range(room, Math.min(...some), Math.max(...some), announced));
      // Only now: who was cut off in between has not asked.
      for (const epoch of some) this.asked.set(placeOf(room, epoch), now);
    }
    if (missing.length > 0 && (await store.missingEpochs(db, missing)).length > 0) this.onLacking();
  }

  /** Whether there is a key by now. */
  async look(room: RoomId, epoch: number): Promise<void> {
    await tolerantly(this.range(room, epoch, epoch));
  }

  /** Epochs of one room. Rejected with what requests are. */
  async range(room: RoomId, first: number, last: number, announced: Announced = new Map()): Promise<void> {
    const { db, session } = this.parts;
    for (let start: number | null = first; start !== null; ) {
      const answer = await session.request("GET", `rooms/${room}/epochs?from=${start}&to=${last}`);
      const { rows, next } = await decodeEpochs(answer);
      const good: EpochRecord[] = [];
      for (const row of rows) if (row.room === room && (await isAnnounced(row, announced))) good.push(row);
      await store.putEpochs(db, good);
      start = typeof next === "number" && start < next && next <= last ? next : null;
    }
  }

  /**
   * Who made epochs or wrote messages: 200 users' documents in one request, and older ones where need be.
   *
   * If one of these is missing, so may be others' of the same rooms, who will write next: they are asked for as well.
   */
  async devices(wanted: readonly Signer[], rooms: Iterable<RoomId> = []): Promise<void> {
    const missing = await this.unknown(wanted);
    if (missing.length === 0) return;
    const users = new Set([...missing.map(([user]) => user), ...(await this.strangers(rooms))]);
    await tolerantly(this.others.get([...users], true));
    for (const [user, device] of await this.unknown(missing)) await tolerantly(this.others.findDevice(user, device));
  }

  private async unknown(wanted: readonly Signer[]): Promise<readonly Signer[]> {
    const once = [...new Map(wanted.map((signer) => [signer.join(" "), signer])).values()];
    const found = await Promise.all(once.map(([user, device]) => this.others.device(user, device)));
    return once.filter((_, at) => found[at] === null);
  }

  private async strangers(rooms: Iterable<RoomId>): Promise<readonly UserId[]> {
    const found = await Promise.all([...new Set(rooms)].map((room) => this.parts.db.get("rooms", room)));
    const members = new Set(found.flatMap((room) => room?.members.map((member) => member.user) ?? []));
    const known = await Promise.all([...members].map((user) => this.others.known(user)));
    return [...members].filter((_, at) => known[at] === null);
  }

  /** The signed list of an epoch, with what it changed. It is kept only if it is the one that was signed. */
  async roster(room: RoomId, epoch: number): Promise<void> {
    const here = await store.findRoster(this.parts.db, room);
    if (here !== undefined && here.epoch >= epoch) return;
    if (here === undefined) {
      // A new device has none to compare with.
      const base = await this.signedRoster(room, epoch - 1);
      if (base !== null) await store.keepRoster(this.parts.db, toRecord(room, epoch - 1, base), null);
    }
    const roster = await this.signedRoster(room, epoch);
    if (roster !== null) await this.keepRoster(room, epoch, roster);
  }

  private async signedRoster(room: RoomId, epoch: number): Promise<readonly RosterLine[] | null> {
    const { db, session } = this.parts;
    const row = await store.findEpoch(db, room, epoch);
    if (row === undefined) return null;
    await this.devices([[row.creator, row.device]]);
    try {
      const record = await this.book.record(room, epoch);
      const answer = await tolerantly(session.request("GET", `rooms/${room}/epochs/${epoch}/roster`));
      const roster = readRoster(isObject(answer) ? answer.roster : null);
      await checkRoster(record, roster);
      return roster;
    } catch (error) {
      // The epoch is not genuine, or its list is not the one that was signed.
      if (error instanceof CannotOpen || error instanceof CryptoError) return null;
      throw error;
    }
  }

  /** Keep a list that was signed, with what it changed against the newest one before it. */
  async keepRoster(room: RoomId, epoch: number, roster: readonly RosterLine[]): Promise<void> {
    const { db } = this.parts;
    const [before, known] = await Promise.all([store.findRoster(db, room), db.get("rooms", room)]);
    const members = known?.members.map((member) => member.user) ?? null;
    const old = before !== undefined && before.epoch < epoch ? fromRecord(before) : null;
    await store.keepRoster(db, toRecord(room, epoch, roster), changeOf(old, members, roster));
  }
}

export function toRecord(room: RoomId, epoch: number, roster: readonly RosterLine[]): RosterRecord {
  return { room, epoch, lines: roster.map(writeLine) };
}

export function fromRecord({ lines }: RosterRecord): readonly RosterLine[] {
  return lines.map(([user, identity, version]) => ({ user, identity: unb64(identity, 32), version }));
}

async function isAnnounced(row: EpochRecord, announced: Announced): Promise<boolean> {
  const hash = announced.get(placeOf(row.room, row.epoch));
  return hash === undefined || hash === b64(await digest(row.payload));
}
