/**
 * A `Messenger` that does what it is told: for the screens' tests and for looking at the screens. It keeps rooms in memory, seals
 * nothing and has no server; what it was asked for is in `asked`.
 */

import { type Signal, signal } from "@preact/signals-core";

import type {
  ConnectionAction,
  ConnectionSettings,
  DeviceLine,
  Hit,
  Messenger,
  RoomDetail,
  Safety,
  Timeline,
} from "../../src/messenger";
import { Refusal } from "../../src/messenger";
import type { DeviceId, MessageId, RoomId, UserId } from "../../src/protocol/ids";

import { ALICE, KEY, Script } from "./script";
import { FakeTimeline } from "./window";

export { ALICE, id, KEY, type MessageRow, type SystemRow } from "./script";

export class FakeMessenger extends Script implements Messenger {
  // --- the account --------------------------------------------------------------------------------------------------------

  async putAway(notice: string): Promise<void> {
    await this.done("putAway", notice);
    this.notices.value = this.notices.peek().filter((one) => one.id !== notice);
  }

  async strength(password: string): Promise<number> {
    return Math.min(4, Math.floor(password.length / 5));
  }

  async signUp(username: string, password: string, deviceName: string): Promise<void> {
    await this.done("signUp", username, password, deviceName);
    this.recoveryKey.value = KEY;
    this.account.value = { ...ALICE, username, deviceName };
  }

  async confirmRecoveryKey(): Promise<void> {
    await this.done("confirmRecoveryKey");
    this.recoveryKey.value = null;
  }

  async signIn(
    username: string,
    secret: { password: string } | { recoveryKey: string },
    deviceName: string,
  ): Promise<void> {
    await this.done("signIn", username, secret, deviceName);
    this.account.value = { ...ALICE, username, deviceName };
  }

  async signOut(): Promise<void> {
    await this.done("signOut");
    this.account.value = null;
  }

  async changePassword(old: { password: string } | { recoveryKey: string }, password: string): Promise<void> {
    await this.done("changePassword", old, password);
  }

  async newRecoveryKey(password: string): Promise<void> {
    await this.done("newRecoveryKey", password);
    this.recoveryKey.value = KEY;
  }

  async unlock(password: string): Promise<void> {
    await this.done("unlock", password);
    this.notices.value = this.notices.peek().filter((one) => one.kind !== "keys-locked");
  }

  async reset(password: string): Promise<void> {
    await this.done("reset", password);
    this.recoveryKey.value = KEY;
  }

  async setReadReceipts(on: boolean): Promise<void> {
    await this.done("setReadReceipts", on);
    const account = this.account.peek();
    if (account) this.account.value = { ...account, readReceipts: on };
  }

  async devices(): Promise<readonly DeviceLine[]> {
    await this.done("devices");
    return this.deviceLines;
  }

  async renameDevice(device: DeviceId, name: string): Promise<void> {
    await this.done("renameDevice", device, name);
    this.deviceLines = this.deviceLines.map((line) => (line.id === device ? { ...line, name } : line));
  }

  async revokeDevice(device: DeviceId, password: string): Promise<void> {
    await this.done("revokeDevice", device, password);
    this.deviceLines = this.deviceLines.filter((line) => line.id !== device);
  }

  // --- rooms --------------------------------------------------------------------------------------------------------------

  room(room: RoomId): Signal<RoomDetail | null> {
    return this.known.get(room)?.detail ?? signal<RoomDetail | null>(null);
  }

  async findUser(username: string): Promise<{ user: UserId; username: string } | null> {
    await this.done("findUser", username);
    const user = this.users.get(username);
    return user === undefined ? null : { user, username };
  }

  async openDirect(user: UserId): Promise<RoomId> {
    await this.done("openDirect", user);
    const open = this.rooms.peek().find((room) => room.peer === user);
    const username = [...this.users].find(([, one]) => one === user)?.[0] ?? "";
    return open?.id ?? this.addRoom({ members: [this.member("alice"), this.member(username)] });
  }

  async createGroup(members: readonly UserId[], history: "joined" | "all"): Promise<RoomId> {
    await this.done("createGroup", members, history);
    const names = [...this.users].filter(([, user]) => members.includes(user)).map(([name]) => name);
    return this.addRoom({
      history,
      members: [this.member("alice", "owner"), ...names.map((name) => this.member(name))],
    });
  }

  async addMembers(room: RoomId, users: readonly UserId[]): Promise<void> {
    await this.done("addMembers", room, users);
  }

  async removeMember(room: RoomId, user: UserId): Promise<void> {
    await this.done("removeMember", room, user);
    const { detail } = this.get(room);
    this.change(room, { members: detail.peek()?.members.filter((one) => one.user !== user) ?? [] });
  }

  async setRole(room: RoomId, user: UserId, role: "admin" | "member"): Promise<void> {
    await this.done("setRole", room, user, role);
    const { detail } = this.get(room);
    this.change(room, {
      members: detail.peek()?.members.map((one) => (one.user === user ? { ...one, role } : one)) ?? [],
    });
  }

  async handOver(room: RoomId, user: UserId): Promise<void> {
    await this.done("handOver", room, user);
  }

  async leave(room: RoomId): Promise<void> {
    await this.done("leave", room);
    this.change(room, { closed: "left", myRole: null });
  }

  async mute(room: RoomId, on: boolean): Promise<void> {
    await this.done("mute", room, on);
    this.change(room, { muted: on });
  }

  async timeline(room: RoomId): Promise<Timeline> {
    const { rows, unreadFrom } = this.get(room);
    return new FakeTimeline(rows, unreadFrom, this.pageSize);
  }

  async send(room: RoomId, text: string): Promise<MessageId> {
    await this.done("send", room, text);
    const row = this.say(room, "alice", text, { seq: null, ticks: "waiting" });
    return row.id;
  }

  async sendAgain(message: MessageId): Promise<MessageId> {
    await this.done("sendAgain", message);
    return message;
  }

  async discard(message: MessageId): Promise<void> {
    await this.done("discard", message);
    for (const { rows } of this.known.values()) {
      rows.value = rows.peek().filter((row) => row.kind !== "message" || row.id !== message);
    }
  }

  markRead(room: RoomId, seq: number): void {
    const { detail, rows } = this.get(room);
    const unread = rows.peek().filter((row) => row.kind === "message" && !row.mine && (row.seq ?? 0) > seq).length;
    if ((detail.peek()?.unread ?? 0) <= unread) return;
    this.asked.push(["markRead", room, seq]);
    this.change(room, { unread });
  }

  typing(room: RoomId): void {
    this.asked.push(["typing", room]);
  }

  async draft(room: RoomId): Promise<string> {
    return this.drafts.get(room) ?? "";
  }

  keepDraft(room: RoomId, text: string): void {
    this.drafts.set(room, text);
  }

  async search(query: string, limit: number): Promise<readonly Hit[]> {
    const words = query.toLowerCase().split(/\s+/).filter(Boolean);
    const hits: Hit[] = [];
    for (const [room, { rows }] of this.known) {
      for (const row of rows.peek()) {
        if (row.kind !== "message" || row.text === null || row.seq === null) continue;
        const parts = row.text.toLowerCase().split(/[^\p{L}\p{N}]+/u);
        if (words.every((word) => parts.some((part) => part.startsWith(word)))) {
          hits.push({ room, seq: row.seq, by: row.by, at: row.at, text: row.text });
        }
      }
    }
    return hits.sort((one, other) => other.at - one.at).slice(0, limit);
  }

  // --- connections --------------------------------------------------------------------------------------------------------

  async changeSettings(settings: Partial<ConnectionSettings>): Promise<void> {
    await this.done("changeSettings", settings);
    const now = this.settings.peek();
    if (now !== null) this.settings.value = { ...now, ...settings };
  }

  async press(action: ConnectionAction, who: { user: UserId } | { username: string }): Promise<void> {
    await this.done("press", action, who);
    const username = "username" in who ? who.username : [...this.users].find(([, user]) => user === who.user)?.[0];
    if (username === undefined) return;
    const now = this.relations.peek().find((one) => one.username === username) ?? this.relate(username, "none");
    const state = { add: "requested", accept: "contact", decline: "none", remove: "none" } as const;
    const next = action === "block" || action === "unblock" ? now.state : state[action];
    const blocked = action === "block" || (now.blocked && action !== "unblock");
    this.relate(username, next, { ...now, state: next, blocked });
    const room = this.rooms.peek().find((one) => one.peer === now.user);
    if (room !== undefined) this.change(room.id, { closed: blocked ? "blocked-by-you" : null });
  }

  answer(question: string, what: "confirm" | "drop" | "wait"): void {
    this.asked.push(["answer", question, what]);
    this.questions.value = this.questions.peek().filter((one) => one.id !== question);
  }

  async safety(user: UserId): Promise<Safety> {
    await this.done("safety", user);
    const number = Array.from({ length: 60 }, (_, index) => (index * 7 + user.charCodeAt(35)) % 10).join("");
    return { number, qr: `letterlock:1:${user}:${"x".repeat(43)}`, verified: this.verified.has(user) };
  }

  async verify(user: UserId, on: boolean): Promise<void> {
    await this.done("verify", user, on);
    if (on) this.verified.add(user);
    else this.verified.delete(user);
  }

  async scanned(text: string, user: UserId): Promise<void> {
    await this.done("scanned", text, user);
    if (!text.startsWith("letterlock:1:")) throw new Refusal("not_a_code");
    if (!text.includes(user)) throw new Refusal("other_code");
    this.verified.add(user);
  }

  async enablePush(): Promise<void> {
    await this.done("enablePush");
    this.push.value = "on";
  }

  async disablePush(): Promise<void> {
    await this.done("disablePush");
    this.push.value = "off";
  }

  loadNewBuild(): Promise<void> {
    return this.done("loadNewBuild");
  }

  hurry(): void {
    this.asked.push(["hurry"]);
    this.connection.value = { state: "connecting" };
  }
}
