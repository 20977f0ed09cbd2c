/** Rooms, as calls: open, and change who is in them. What the server answers is kept. */

import { Refusal } from "../messenger";
import { decodeRoom, decodeUser, peerOf } from "../protocol/answers";
import type { RoomId, UserId } from "../protocol/ids";
import { Malformed } from "../protocol/shape";
import { keepName } from "../store/people";
import { changeRoom, forgetMembership, keepRoom } from "../store/rooms";
import type { Parts } from "./parts";
import type { People } from "./people";
import { shaped } from "./session";

export class RoomCalls {
  constructor(
    private readonly parts: Parts,
    private readonly people: People,
  ) {}

  /** By exact user name; null when there is none, or none that this user may see. */
  async findUser(username: string): Promise<{ user: UserId; username: string } | null> {
    const name = username.trim().toLowerCase();
    if (!/^[a-z0-9][a-z0-9._-]{2,31}$/.test(name)) return null;
    try {
      const answer = await this.parts.session.request("GET", `users/${encodeURIComponent(name)}`);
      const found = shaped(() => decodeUser(answer));
      const tx = this.parts.db.transaction("people", "readwrite");
      await keepName(tx.store, found);
      await tx.done;
      await this.people.learnAll([found]);
      return { user: found.user, username: this.people.name(found.user) };
    } catch (error) {
      if (error instanceof Refusal && error.code === "not_found") return null;
      throw error;
    }
  }

  /** The one room with this user; made if need be. Known ones are opened offline, too. */
  async openDirect(peer: UserId): Promise<RoomId> {
    const known = (await this.parts.db.getAll("rooms")).find((room) => room.kind === "direct" && room.peer === peer);
    if (known !== undefined) return known.id;
    const me = (await this.parts.session.identity()).user;
    const answer = await this.parts.session.request("POST", "rooms", { body: { kind: "direct", peer }, repeats: true });
    const room = shaped(() => decodeRoom(answer));
    if (peerOf(room, me) !== peer) throw new Refusal("not_verified");
    return this.keep(answer);
  }

  async createGroup(members: readonly UserId[], history: "joined" | "all"): Promise<RoomId> {
    const me = (await this.parts.session.identity()).user;
    const body = { kind: "group", members, ...(history === "all" && { history }) };
    const answer = await this.parts.session.request("POST", "rooms", { body });
    const room = shaped(() => decodeRoom(answer));
    const asked = new Set<UserId>([me, ...members]);
    // A group with somebody whom nobody asked for, or whose history is for others, is not written to.
    const isAsked = room.kind === "group" && room.history === history;
    if (!isAsked || room.members.some(({ user }) => !asked.has(user))) throw new Refusal("not_verified");
    return this.keep(answer);
  }

  async addMembers(room: RoomId, users: readonly UserId[]): Promise<void> {
    await this.keep(
      await this.parts.session.request("POST", `rooms/${room}/members`, { body: { users }, repeats: true }),
    );
  }

  async removeMember(room: RoomId, user: UserId): Promise<void> {
    await this.parts.session.request("DELETE", `rooms/${room}/members/${user}`);
  }

  async setRole(room: RoomId, user: UserId, role: "admin" | "member"): Promise<void> {
    await this.keep(await this.parts.session.request("PATCH", `rooms/${room}/members/${user}`, { body: { role } }));
  }

  async handOver(room: RoomId, user: UserId): Promise<void> {
    await this.keep(await this.parts.session.request("POST", `rooms/${room}/owner`, { body: { user }, repeats: true }));
  }

  async leave(room: RoomId): Promise<void> {
    await this.parts.session.request("POST", `rooms/${room}/leave`, { body: {} });
    await forgetMembership(this.parts.db, room, (await this.parts.session.identity()).user);
    this.tell(room);
  }

  async mute(room: RoomId, on: boolean): Promise<void> {
    if (on) await this.parts.session.request("PUT", `rooms/${room}/mute`, { body: {} });
    else await this.parts.session.request("DELETE", `rooms/${room}/mute`);
    await changeRoom(this.parts.db, room, (record) => ({ ...record, muted: on }));
    this.tell(room);
  }

  private async keep(answer: unknown): Promise<RoomId> {
    const { user } = await this.parts.session.identity();
    const room = shaped(() => decodeRoom(answer));
    try {
      await keepRoom(this.parts.db, room, user, this.parts.clock.now());
    } catch (error) {
      if (error instanceof Malformed) throw new Refusal("not_verified");
      throw error;
    }
    this.tell(room.id);
    return room.id;
  }

  private tell(room: RoomId): void {
    this.parts.bus.tell({ type: "stored", rooms: [room], upTo: 0 });
  }
}
