/**
 * Keys of earlier epochs for who came later, in rooms whose history is for all (docs/protocol.md §6.4).
 *
 *     an `added` entry, or the server names somebody who wants  →  kept in the store  →  wrapped, oldest first  →  uploaded
 *
 * The newest epoch goes last: as long as it is missing the server names the user as wanting, so a giver that dies half-way is
 * followed by another. Whoever added gives at once, the others' devices look after a while whether that happened. A device that
 * cannot open all of them (its user has begun again with new keys) lets the others go first.
 *
 * The server only reminds: it can have nobody given keys whom this device does not show as a member, nor in a room whose history
 * is not for all as far as this device was told first.
 */

import { wrap, writeWrap } from "../../crypto/epochs";
import type { UserKeys } from "../../crypto/userkeys";
import { Refusal } from "../../messenger";
import { decodeRoom } from "../../protocol/answers";
import type { RoomEntry } from "../../protocol/entries";
import type { RoomId, UserId } from "../../protocol/ids";
import { Malformed } from "../../protocol/shape";
import * as store from "../../store/epochs";
import { keepRoom } from "../../store/rooms";
import type { PlaceRecord } from "../../store/schema";
import type { Directory } from "../keys/directory";
import type { Parts } from "../keys/parts";
import { isForNow, isSignedOut } from "../keys/refusing";
import type { RoomState } from "./answers";
import type { Fetcher } from "./fetching";
import { CannotOpen, type KeyBook } from "./keybook";
import type { Maker } from "./making";

const PAGE = 500; // wraps in one request
const LOOK_MS = [5_000, 60_000] as const; // when the devices that did not add somebody look, at random
const OTHERS_MS = 2 * LOOK_MS[1]; // for so long another device may give more than this one has
const LATER_MS = 600_000; // when somebody has no keys yet
/** When it is tried again: the member's keys are asked for anew, or this device is first to be listed (its vault is locked). */
const AGAIN_MS: ReadonlyMap<string, number> = new Map([
  ["userkeys_changed", 1_000],
  ["device_not_listed", LATER_MS],
]);
/** ms between looking for keys that were given to this user. */
export const LOOKS = [1_000, 2_000, 4_000, 8_000, 15_000, 30_000, 60_000] as const;

type Given = Pick<Parts, "db" | "session" | "clock" | "bus">;

function isForAll(place: PlaceRecord | null): boolean {
  return place?.kind === "group" && place.history === "all";
}

/** What is to be given, kept in the store until the server has it. */
export class Shares {
  constructor(
    private readonly parts: Given,
    private readonly others: Directory,
    private readonly book: KeyBook,
    private readonly fetcher: Fetcher,
    private readonly maker: Maker,
  ) {}

  /** Somebody was added. Whether the room's history is for all is asked later, where it is not known. */
  async joined(entry: RoomEntry): Promise<void> {
    const { db, session, clock } = this.parts;
    const place = await this.maker.knownPlace(entry.room);
    if (place !== null && !isForAll(place)) return;
    const { user: me } = await session.identity();
    const [least, most] = LOOK_MS;
    const delay = entry.by === me ? 0 : least + clock.chance() * (most - least);
    const { room, members_version: told } = entry;
    for (const user of entry.users) {
      if (user !== me) await store.wantShare(db, { room, user, dueAt: clock.now() + delay, told });
    }
  }

  /** The server names members who want the newest epoch's key. */
  async seen(room: RoomId, state: RoomState): Promise<void> {
    if (state.epoch === 0 || !isForAll(await this.maker.knownPlace(room))) return;
    const { db, session, clock } = this.parts;
    const { user: me } = await session.identity();
    for (const user of state.wanting) {
      if (user !== me) await store.wantShare(db, { room, user, dueAt: clock.now(), told: 0 });
    }
  }

  /** Give what is due; in how many ms there is more. Rejected with what may go later. */
  async step(): Promise<number> {
    const { db, clock } = this.parts;
    for (const share of await store.shares(db)) {
      if (share.dueAt > clock.now()) break;
      try {
        await this.give(share);
      } catch (error) {
        const isOver = error instanceof Refusal && !isForNow(error) && !isSignedOut(error);
        // What is said of one room in no known shape, or against what was said first, does not hold up the others.
        if (!isOver && !(error instanceof Malformed)) throw error;
        await store.settleShare(db, share.room, share.user);
      }
    }
    const [next] = await store.shares(db);
    return next === undefined ? Number.POSITIVE_INFINITY : Math.max(0, next.dueAt - clock.now());
  }

  private async give(share: store.Share): Promise<void> {
    const { room, user } = share;
    const { db, session, clock } = this.parts;
    const state = await this.maker.state(room);
    if (state.epoch === 0 || !state.wanting.includes(user) || !(await this.isShown(share)))
      return store.settleShare(db, room, user);
    const document = (await this.others.get([user], true)).get(user);
    if (document === undefined || (await this.others.heldNow()).has(user))
      return store.postponeShare(db, { ...share, dueAt: clock.now() + LATER_MS });
    await this.fetcher.range(room, 1, state.epoch);
    const wraps = await this.wraps(room, document);
    const othersUntil = share.othersUntil ?? clock.now() + OTHERS_MS;
    if (wraps.length < state.epoch && othersUntil > clock.now())
      return store.postponeShare(db, { ...share, dueAt: othersUntil, othersUntil });
    try {
      for (let start = 0; start < wraps.length; start += PAGE) {
        const body = { user, wraps: wraps.slice(start, start + PAGE) };
        await session.request("POST", `rooms/${room}/epochs/wraps`, { body, repeats: true });
      }
    } catch (error) {
      const pause = error instanceof Refusal ? AGAIN_MS.get(error.code) : undefined;
      if (pause === undefined) throw error;
      return store.postponeShare(db, { ...share, dueAt: clock.now() + pause });
    }
    return store.settleShare(db, room, user);
  }

  /** Whether the user is a member as this device shows it, of a room whose history is for all. */
  private async isShown({ room, user, told }: store.Share): Promise<boolean> {
    const { db, session, clock, bus } = this.parts;
    let known = await db.get("rooms", room);
    // The entry that told of the user may not be in the store yet.
    if (known === undefined || known.outdated || known.membersVersion < told) {
      const answer = decodeRoom(await session.request("GET", `rooms/${room}`));
      known = await keepRoom(db, answer, (await session.identity()).user, clock.now());
      bus.tell({ type: "stored", rooms: [room], upTo: 0 });
    }
    return isForAll(await this.maker.knownPlace(room)) && known.members.some((member) => member.user === user);
  }

  /** Every epoch of the room that this device can open, for one user; oldest first. */
  private async wraps(room: RoomId, { user, encryption }: UserKeys): Promise<readonly object[]> {
    const rows = await store.wrappedEpochs(this.parts.db, room);
    const wraps = await Promise.all(
      rows.map(async (row) => {
        try {
          const secret = (await this.book.secret(row)).reveal();
          const sealed = await wrap(secret, room, row.epoch, user, encryption);
          return { epoch: row.epoch, ...writeWrap(encryption.version, sealed) };
        } catch (error) {
          if (error instanceof CannotOpen) return null;
          throw error;
        }
      }),
    );
    return wraps.filter((one) => one !== null);
  }
}

/** Keys of epochs that this user has none of yet: nobody tells when somebody has given them. `onFound`: some are there. */
export class Looks {
  private readonly next = new Map<string, { at: number; looks: number }>();

  constructor(
    private readonly parts: Given,
    private readonly fetcher: Fetcher,
    private readonly maker: Maker,
    private readonly onFound: () => void,
  ) {}

  /** Begin anew with short pauses: the device is online again, or there is something new to look for. */
  again(): void {
    this.next.clear();
  }

  /** Look for what is due; in how many ms there is more. Rejected with what may go later. */
  async step(): Promise<number> {
    const { db, clock } = this.parts;
    let isFound = false;
    let soonest = Number.POSITIVE_INFINITY;
    for (const [room, epoch] of await store.lackingEpochs(db)) {
      if (!(await this.mayCome(room))) continue;
      const name = `${room} ${epoch}`;
      const next = this.next.get(name) ?? { at: clock.now() + LOOKS[0], looks: 0 };
      this.next.set(name, next);
      if (next.at <= clock.now() && next.looks < LOOKS.length) {
        await this.fetcher.look(room, epoch);
        const pause = LOOKS[Math.min(next.looks + 1, LOOKS.length - 1)] as number;
        Object.assign(next, { at: clock.now() + pause, looks: next.looks + 1 });
        if ((await store.missingEpochs(db, [[room, epoch]])).length === 0) {
          isFound = true;
          continue;
        }
      }
      if (next.looks < LOOKS.length) soonest = Math.min(soonest, next.at - clock.now());
    }
    if (isFound) this.onFound();
    return Math.max(0, soonest);
  }

  private async mayCome(room: RoomId): Promise<boolean> {
    const place = await this.maker.knownPlace(room);
    return place === null || isForAll(place);
  }
}

/** Entries about membership by which a user leaves. */
export function leavers(entry: RoomEntry): readonly UserId[] {
  return entry.change === "removed" || entry.change === "left" ? entry.users : [];
}
