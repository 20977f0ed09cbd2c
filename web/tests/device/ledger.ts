/**
 * A server of keys and epochs in memory, for what a real server never does. It answers as docs/protocol.md §6 says and checks
 * next to nothing, so a test can make it lie. The real one is asked in tests/web/test_device_keys.py.
 */

import { digest, Signed } from "../../src/crypto/encoding";
import { KIND } from "../../src/crypto/epochs";
import { freshKdf, writeKdf } from "../../src/crypto/kdf";
import * as userkeys from "../../src/crypto/userkeys";
import { Refusal } from "../../src/messenger";
import type { DeviceId, RoomId, UserId } from "../../src/protocol/ids";
import type { Problem } from "../../src/protocol/problems";

// biome-ignore lint/suspicious/noExplicitAny: what travels, in whatever form a test gives it
export type Told = any;

export interface Epoch {
  epoch: number;
  creator: UserId;
  device: DeviceId;
  record: Told;
  roster: Told;
  wraps: Record<string, { ver: number; ct: string }>;
}

export interface Account {
  readonly user: UserId;
  readonly username: string;
  auth: string;
  recoveryAuth: string | null;
  kdf: Told;
  vault: Told;
  archive: Told[];
  documents: userkeys.UserKeys[];
  /** Up to this number there were two documents of one number: before a reset and after it. */
  ambiguous: number;
  readonly devices: Map<DeviceId, string>;
  readonly boxes: Map<DeviceId, { ver: number; ct: string }>;
}

export function newId<Id extends string>(): Id {
  return crypto.randomUUID() as Id;
}

export function refusal(code: string, more: Record<string, unknown> = {}, status = 409): Refusal {
  return new Refusal(code, { status, code, title: code, detail: code, ...more } as Problem);
}

const UNKNOWN = writeKdf(freshKdf());

export class Ledger {
  readonly accounts = new Map<UserId, Account>();
  readonly rooms = new Map<RoomId, { kind: string; members: UserId[]; version: number; history: string }>();
  readonly epochs = new Map<RoomId, Epoch[]>();
  readonly stale = new Set<RoomId>();
  readonly asked: string[] = [];
  /** For the next epochs, and keys of them, that somebody uploads. */
  refusals: Refusal[] = [];
  /** What is said instead of the truth, to whoever asks for what begins so. */
  readonly lies = new Map<string, (told: Told, me: UserId | null) => Told>();
  /** Nothing comes through from the n-th request on: it does not get there, or its answer is lost. */
  cut: { after: number; what: "request" | "answer" } | null = null;

  room(members: readonly { user: UserId }[], kind = "direct", history = "joined"): RoomId {
    const room = newId<RoomId>();
    this.rooms.set(room, { kind, members: members.map(({ user }) => user), version: 1, history });
    this.epochs.set(room, []);
    return room;
  }

  /** Other members from now on. */
  changes(room: RoomId, members: readonly { user: UserId }[], stale = true): void {
    const now = this.rooms.get(room)!;
    now.members = members.map(({ user }) => user);
    now.version += 1;
    if (stale) this.stale.add(room);
  }

  made(room: RoomId): Epoch[] {
    return this.epochs.get(room)!;
  }

  count(asked: string): number {
    return this.asked.filter((each) => each.startsWith(asked)).length;
  }

  async answer(
    me: { user: UserId; device: DeviceId } | null,
    method: string,
    path: string,
    body: Told,
    ifMatch?: number,
  ) {
    const asked = `${method} ${path}`;
    if (this.cut !== null) this.cut.after -= 1;
    const isCut = this.cut !== null && this.cut.after <= 0;
    if (isCut && (this.cut!.after < 0 || this.cut!.what === "request")) throw new Refusal("offline");
    this.asked.push(asked);
    let told = await this.truth(me, method, path, body, ifMatch);
    if (isCut) throw new Refusal("offline");
    for (const [begins, lie] of this.lies) if (asked.startsWith(begins)) told = await lie(told, me?.user ?? null);
    return told;
  }

  private async truth(me: Told, method: string, whole: string, body: Told, ifMatch?: number): Promise<Told> {
    const [path, query = ""] = whole.split("?") as [string, string?];
    const params = Object.fromEntries(new URLSearchParams(query));
    const parts = path.split("/");
    const asked = `${method} ${path}`;
    if (parts[0] === "accounts") return this.enter(asked, body, params);
    if (parts[0] === "rooms") return this.ofRoom(me.user, method, parts, params, body);
    const mine = this.accounts.get(me.user)!;
    if (!mine.devices.has(me.device)) throw refusal("unauthenticated", {}, 401);
    switch (asked) {
      case "GET devices":
        return {
          devices: [...mine.devices].map(([id, name]) => ({
            id,
            name,
            client: "",
            created_at: 1,
            last_seen_at: null,
            this_device: id === me.device,
          })),
        };
      case "PUT e2ee/setup":
        if (mine.vault !== null && JSON.stringify(mine.vault) !== JSON.stringify(body.vault))
          throw refusal("already_set_up");
        return this.begins(mine, body);
      case "POST e2ee/reset":
        if (body.auth !== mine.auth) throw refusal("bad_credentials", {}, 401);
        for (const id of [...mine.devices.keys()]) if (id !== me.device) mine.devices.delete(id);
        mine.archive = [];
        mine.boxes.clear();
        return this.begins(mine, body);
      case "GET e2ee/vault":
        if (mine.vault === null) throw refusal("keys_missing");
        return mine.vault;
      case "PUT e2ee/vault":
        if (body.auth !== mine.auth) throw refusal("bad_credentials", {}, 401);
        this.putVault(mine, body.vault, ifMatch!);
        if (body.recovery_auth) mine.recoveryAuth = body.recovery_auth;
        return { version: mine.vault.version };
      case "POST account/password":
        if (body.old_auth !== mine.auth && body.recovery_auth !== mine.recoveryAuth)
          throw refusal("bad_credentials", {}, 401);
        this.putVault(mine, body.vault, mine.vault.version);
        Object.assign(mine, { auth: body.new_auth, kdf: body.kdf });
        return { version: mine.vault.version };
      case "PUT e2ee/userkeys":
        return this.putUserkeys(mine, body, ifMatch!);
      case "GET e2ee/box":
        if (!mine.boxes.has(me.device)) throw refusal("not_found", {}, 404);
        return mine.boxes.get(me.device);
      case "POST e2ee/users/query":
        return Object.fromEntries(
          Object.keys(body.known).flatMap((user) => this.told(user as UserId, body.known[user])),
        );
      case "GET e2ee/epoch-keys":
        return this.allEpochs(me.user);
    }
    if (asked.startsWith("GET e2ee/vault/archive/")) return mine.archive[Number(parts[3]) - 1];
    if (asked.startsWith("DELETE devices/")) return void mine.devices.delete(parts[1] as DeviceId);
    if (asked.startsWith("GET e2ee/users/")) {
      const document = this.accounts.get(parts[2] as UserId)?.documents.find(({ seq }) => seq === Number(parts[4]));
      if (document === undefined) throw refusal("not_found", {}, 404);
      return { userkeys: document.envelope };
    }
    throw new Error(`nobody asks for ${asked}`);
  }

  // Accounts.

  private enter(asked: string, body: Told, params: Record<string, string>): Told {
    const known = [...this.accounts.values()].find(({ username }) => username === (body?.username ?? params.username));
    if (asked === "GET accounts/kdf") return known?.kdf ?? UNKNOWN;
    const device = newId<DeviceId>();
    if (asked === "POST accounts/register") {
      if (known !== undefined) throw refusal("username_taken");
      const user = newId<UserId>();
      const { username, kdf, password: auth } = body;
      const account = {
        user,
        username,
        auth,
        kdf,
        recoveryAuth: null,
        vault: null,
        archive: [],
        documents: [],
        ambiguous: 0,
      };
      const devices = new Map([[device, body.device_name]]);
      this.accounts.set(user, { ...account, devices, boxes: new Map() });
      return { user, username, device, deviceName: body.device_name };
    }
    const isKnown = body.password !== undefined ? known?.auth === body.password : known?.recoveryAuth === body.recovery;
    if (known === undefined || !isKnown) throw refusal("bad_credentials", {}, 401);
    known.devices.set(device, body.device_name);
    return { user: known.user, username: known.username, device, deviceName: body.device_name };
  }

  private async begins(mine: Account, body: Told): Promise<Told> {
    mine.ambiguous = mine.documents.at(-1)?.seq ?? 0;
    mine.documents = [await userkeys.read(body.userkeys, mine.user)];
    Object.assign(mine, { vault: body.vault, recoveryAuth: body.recovery_auth ?? null });
    return { seq: 1, version: 1 };
  }

  private putVault(mine: Account, vault: Told, ifMatch: number): void {
    if (JSON.stringify(vault) === JSON.stringify(mine.vault)) return;
    if (mine.vault.version !== ifMatch || vault.version !== ifMatch + 1)
      throw refusal("version", { version: mine.vault.version });
    mine.vault = vault;
  }

  private async putUserkeys(mine: Account, body: Told, ifMatch: number): Promise<Told> {
    const document = await userkeys.read(body.userkeys, mine.user);
    const newest = mine.documents.at(-1)!;
    if (document.signed.digest.join() === newest.digest.join()) return { seq: newest.seq };
    if (newest.seq !== ifMatch) throw refusal("seq", { seq: newest.seq });
    mine.documents.push(document);
    if (body.vault) mine.vault = body.vault;
    if (body.archive) mine.archive.push(body.archive);
    for (const [id, ct] of Object.entries(body.boxes ?? {}))
      mine.boxes.set(id as DeviceId, { ver: document.encryption.version, ct: ct as string });
    for (const { id, until } of document.devices) if (until !== null) mine.devices.delete(id);
    return { seq: document.seq };
  }

  private told(user: UserId, seq: number): [UserId, Told][] {
    const account = this.accounts.get(user);
    const newest = account?.documents.at(-1);
    if (account === undefined || newest === undefined) return [];
    return [
      [user, newest.seq === seq && seq > account.ambiguous ? { unchanged: true } : { userkeys: newest.envelope }],
    ];
  }

  // Rooms and epochs.

  private ofRoom(me: UserId, method: string, parts: string[], params: Record<string, string>, body: Told): Told {
    const room = parts[1] as RoomId;
    const made = this.made(room);
    const now = this.rooms.get(room)!;
    switch (`${method} ${parts.slice(2, 3).join()}${parts.length > 3 ? "/" : ""}`) {
      case "GET ":
        return {
          id: room,
          kind: now.kind,
          members_version: now.version,
          epoch: made.length,
          history: now.history,
          created_at: 1,
          members: now.members.map((user) => ({ user, username: user, role: "member", joined_at: 1 })),
        };
      case "GET e2ee":
        return {
          epoch: made.length || null,
          stale: this.stale.has(room),
          reasons: [],
          members_version: now.version,
          history: now.history,
          wanting: now.members.filter((user) => made.length > 0 && !(user in made.at(-1)!.wraps)),
        };
      case "GET epochs":
        return {
          epochs: made
            .filter(({ epoch }) => Number(params.from) <= epoch && epoch <= Number(params.to))
            .map((epoch) => this.shown(me, room, epoch)),
          next: null,
        };
      case "GET epochs/":
        return { roster: made[Number(parts[3]) - 1]!.roster };
      case "POST epochs":
        return this.makes(me, room, body);
      case "POST epochs/":
        this.refuse();
        for (const { epoch, ver, ct } of body.wraps) made[epoch - 1]!.wraps[body.user] ??= { ver, ct };
        return null;
    }
    throw new Error(`nobody asks for ${method} ${parts.join("/")}`);
  }

  private shown(me: UserId, room: RoomId, { epoch, creator, device, record, wraps }: Epoch): Told {
    return { room, epoch, creator, device, record, wrap: wraps[me] ?? null };
  }

  private allEpochs(me: UserId): Told {
    const mine = [...this.epochs].flatMap(([room, some]) =>
      some.filter(({ wraps }) => me in wraps).map((epoch) => this.shown(me, room, epoch)),
    );
    return { epochs: mine, next: null };
  }

  private refuse(): void {
    const refused = this.refusals.shift();
    if (refused !== undefined) throw refused;
  }

  private makes(me: UserId, room: RoomId, body: Told): Told {
    this.refuse();
    const made = this.made(room);
    made.push({
      epoch: made.length + 1,
      creator: me,
      device: body.record.signatures[0].keyid,
      ...structuredClone(body),
    });
    this.stale.delete(room);
    return { epoch: made.length };
  }

  /** The entry that tells of an epoch. */
  async entry(room: RoomId, epoch: number): Promise<Told> {
    const { creator, device, record } = this.made(room)[epoch - 1]!;
    const { payload } = await Signed.read(record, KIND);
    const hash = Buffer.from(await digest(payload)).toString("base64url");
    return { kind: "epoch", seq: 1, room, epoch, creator, device, hash };
  }
}
