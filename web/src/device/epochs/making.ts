/**
 * Having an epoch to seal under: the newest one if it is good, else a new one (docs/protocol.md §6.4).
 *
 *     how does the room stand?  →  get the newest  →  may it be sealed under?  →  done
 *                                                     └ no: members and their keys  →  make the next  →  upload
 *                                                           409: somebody was faster, or members or keys have changed  →  again
 */

import { digest } from "../../crypto/encoding";
import * as crypto from "../../crypto/epochs";
import type { UserKeys } from "../../crypto/userkeys";
import { Refusal } from "../../messenger";
import { decodeRoom, peerOf, type Room } from "../../protocol/answers";
import type { RoomId, UserId } from "../../protocol/ids";
import * as store from "../../store/epochs";
import { placeOf } from "../../store/rooms";
import type { PlaceRecord } from "../../store/schema";
import type { Directory } from "../keys/directory";
import type { Keyring } from "../keys/keyring";
import { nowS, type Parts } from "../keys/parts";
import { decodeState, type RoomState } from "./answers";
import type { Fetcher } from "./fetching";
import type { KeyBook } from "./keybook";

const ATTEMPTS = 5; // in a row; then the caller backs off
const AGAIN: ReadonlySet<string> = new Set(["epoch_exists", "members_changed", "userkeys_changed"]);
// What others or the user have to do first; whoever waits is woken by the entries or the news that tell of it.
const WAITS: ReadonlySet<string> = new Set(["keys_missing", "device_not_listed"]);

/** Nothing can be sealed now: keys are missing, this device's or a member's. Something else has to happen first. */
export function notYet(): Refusal {
  return new Refusal("keys_missing");
}

/** Gets or makes epochs. `usable`: under which epoch of a room may be sealed, from the store. */
export class Maker {
  constructor(
    private readonly parts: Pick<Parts, "db" | "session" | "clock">,
    private readonly own: Keyring,
    private readonly others: Directory,
    private readonly book: KeyBook,
    private readonly fetcher: Fetcher,
    private readonly usable: (room: RoomId) => Promise<number | null>,
  ) {}

  /** Have an epoch to seal under; the room's state, if it had to be asked for. Rejected with what requests are, and `notYet`. */
  async prepare(room: RoomId): Promise<RoomState | null> {
    await this.fetcher.restore();
    let state: RoomState | null = null;
    for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
      if ((await this.usable(room)) !== null) return state;
      state = await this.state(room);
      await this.getNewest(room, state);
      if (!state.stale && (await this.usable(room)) !== null) return state;
      try {
        await this.make(room, state.epoch);
      } catch (error) {
        if (error instanceof Refusal && WAITS.has(error.code)) throw notYet();
        if (!(error instanceof Refusal && AGAIN.has(error.code))) throw error;
      }
    }
    if ((await this.usable(room)) !== null) return state;
    throw refused("unavailable", 503, "the room's members or keys change too fast, or disagree");
  }

  /** How the server says that the room stands. Rejected with `epoch_rolled_back` behind what is known here. */
  async state(room: RoomId): Promise<RoomState> {
    const { db, session } = this.parts;
    const state = decodeState(await session.request("GET", `rooms/${room}/e2ee`));
    const newest = await store.newestEpoch(db, room);
    if (newest !== null && state.epoch < newest.epoch)
      throw refused("epoch_rolled_back", 409, `the server names epoch ${state.epoch}, after ${newest.epoch}`);
    return state;
  }

  private async getNewest(room: RoomId, state: RoomState): Promise<void> {
    if (state.epoch === 0) return;
    const { db } = this.parts;
    await this.place(room);
    const newest = await store.newestEpoch(db, room);
    if (newest === null || newest.epoch < state.epoch || newest.key === null)
      await this.fetcher.range(room, state.epoch, state.epoch);
    const row = await store.findEpoch(db, room, state.epoch);
    if (row === undefined) throw notYet(); // the server does not hand out the epoch that it names
    await this.fetcher.devices([[row.creator, row.device]]);
    await this.fetcher.roster(room, state.epoch);
    if (state.stale) await store.outdate(db, room, state.epoch);
  }

  /**
   * With whom a direct room is, and for whom a group's history is, decides who may read there: it is learned once, and never
   * again. Null without asking for it.
   */
  async knownPlace(room: RoomId): Promise<PlaceRecord | null> {
    const { db } = this.parts;
    const pinned = await store.findPlace(db, room);
    if (pinned !== undefined) return pinned;
    const told = await db.get("rooms", room);
    const place = told === undefined ? null : placeOf(told);
    return place === null ? null : store.pinPlace(db, place);
  }

  private async place(room: RoomId): Promise<PlaceRecord> {
    const known = await this.knownPlace(room);
    return known ?? this.pin(decodeRoom(await this.parts.session.request("GET", `rooms/${room}`)));
  }

  private async pin(room: Room): Promise<PlaceRecord> {
    const peer = peerOf(room, (await this.parts.session.identity()).user);
    const place = { room: room.id, kind: room.kind, peer, history: room.history };
    // A direct room of one, or of three, is none; what it is, is still to be learned.
    return place.kind === "direct" && peer === null ? place : store.pinPlace(this.parts.db, place);
  }

  private async make(room: RoomId, current: number): Promise<void> {
    const { db, session } = this.parts;
    const now = decodeRoom(await session.request("GET", `rooms/${room}`));
    if ((await this.knownPlace(room)) === null) await this.pin(now);
    const members = now.members.map((member) => member.user);
    const documents = await this.others.get(members, true);
    await this.checkReaders(room, now, documents);
    const before = await store.findEpoch(db, room, current);
    if (current > 0 && before === undefined) throw notYet(); // the epoch before is not here
    const prev = before === undefined ? new Uint8Array(0) : await digest(before.payload);
    const made = await this.create(room, current + 1, prev, [...documents.values()]);
    try {
      const body = crypto.upload(made, now.membersVersion);
      await session.request("POST", `rooms/${room}/epochs`, { body, repeats: true });
    } catch (error) {
      if (error instanceof Refusal && error.code === "userkeys_changed")
        await this.others.get(usersOf(error, members), true);
      throw error;
    }
    await this.book.made(made);
    await this.fetcher.keepRoster(room, current + 1, made.roster);
  }

  private async checkReaders(room: RoomId, now: Room, documents: ReadonlyMap<UserId, UserKeys>): Promise<void> {
    const me = (await this.parts.session.identity()).user;
    const held = await this.others.heldNow();
    if (now.members.some(({ user }) => held.has(user))) throw new Refusal("identity_changed");
    if (!documents.has(me)) throw notYet();
    const place = await this.place(room);
    const peer = peerOf(now, me);
    const isSame = place.kind === now.kind && (place.kind === "group" || (peer !== null && peer === place.peer));
    if (!isSame) throw refused("invalid", 409, "a direct room stays one, with the same two people");
    if (peer !== null && !documents.has(peer)) throw notYet();
  }

  private async create(room: RoomId, epoch: number, prev: Uint8Array<ArrayBuffer>, members: readonly UserKeys[]) {
    const { user: creator, device } = await this.parts.session.identity();
    const signer = (await this.own.own()).signing.privateKey;
    return crypto.create({ room, epoch, prev, creator, device, signer, members, nowS: nowS(this.parts.clock) });
  }
}

/** Something that this device itself refuses, in the form of the server's refusals. */
export function refused(code: string, status: number, detail: string): Refusal {
  return new Refusal(code, { status, code, title: detail, detail });
}

/** Whom the server names, of those who are concerned. */
function usersOf(refusal: Refusal, members: readonly UserId[]): UserId[] {
  const users = refusal.problem?.users;
  return Array.isArray(users) ? members.filter((user) => users.includes(user)) : [];
}
