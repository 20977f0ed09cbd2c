/**
 * Users' signed key documents: asked for, verified, and held against what this device has seen of the user before.
 *
 * An unknown user's first document is trusted (and can be verified by the safety number). From then on a document must
 * follow the pinned one. One that does not is not taken: the user counts as one whose keys cannot be had.
 */

import { batch, type ReadonlySignal, type Signal, signal } from "@preact/signals-core";

import { type Bytes, same } from "../../crypto/bytes";
import { b64 } from "../../crypto/encoding";
import { CryptoError, isRefused } from "../../crypto/errors";
import { follow, pinOf } from "../../crypto/pins";
import type { DeviceKey, UserKeys } from "../../crypto/userkeys";
import * as userkeys from "../../crypto/userkeys";
import { Refusal } from "../../messenger";
import type { DeviceId, UserId } from "../../protocol/ids";
import * as store from "../../store/keys";
import { addNotice, removeNotice } from "../../store/notices";
import { nowS, type Parts } from "./parts";
import { isForNow, isSignedOut } from "./refusing";

const QUERY = 200; // users in one request
const BACK = 100; // documents that are followed back for one device
const IN_MEMORY = 2_000;
const TRIES = 3; // when another tab takes documents at the same time

/** A user's documents as they are here. */
interface Known {
  readonly newest: UserKeys;
  readonly older: readonly { readonly keys: UserKeys; readonly ended: number | null }[];
}

type Told = Readonly<Record<string, unknown>>;

export class Directory {
  /** Awaited with a newer document of the user's own; with null when the server tells one of another identity. */
  onOwn: (document: UserKeys | null) => Promise<void> = async () => {};
  private readonly known_ = new Map<UserId, Known>();
  private readonly verifiedUsers = signal<ReadonlySet<UserId>>(new Set());
  private readonly heldUsers = signal<ReadonlySet<UserId>>(new Set());

  constructor(private readonly parts: Pick<Parts, "db" | "session" | "bus" | "clock">) {}

  /** Whose identity was compared, and still is the one that was. */
  get verified(): ReadonlySignal<ReadonlySet<UserId>> {
    return this.verifiedUsers;
  }

  /** Who was verified and has another identity now: nothing is sealed for them. */
  get held(): ReadonlySignal<ReadonlySet<UserId>> {
    return this.heldUsers;
  }

  /** What is kept in memory is old: another tab took other documents, or another account began. */
  forget(users: readonly UserId[] | null = null): void {
    if (users === null) this.known_.clear();
    else for (const user of users) this.known_.delete(user);
  }

  /** What was compared, out of the store. */
  async refresh(): Promise<void> {
    const compared = Object.entries(await store.compared(this.parts.db)) as [UserId, string][];
    const among = (isHeld: boolean) => compared.filter(([, key]) => (key === "") === isHeld).map(([user]) => user);
    batch(() => {
      setTo(this.verifiedUsers, among(false));
      setTo(this.heldUsers, among(true));
    });
  }

  /** For whom nothing is to be sealed; from the store, since another tab may have learned it. */
  async heldNow(): Promise<ReadonlySet<UserId>> {
    await this.refresh();
    return this.heldUsers.value;
  }

  /** The newest document that was taken. */
  async known(user: UserId): Promise<UserKeys | null> {
    return (await this.load(user))?.newest ?? null;
  }

  private async load(user: UserId): Promise<Known | null> {
    const found = this.known_.get(user);
    return found ?? (await this.loadAll([user])).get(user) ?? null;
  }

  private async loadAll(users: readonly UserId[]): Promise<Map<UserId, Known>> {
    const found = new Map<UserId, Known>();
    const absent: UserId[] = [];
    for (const user of users) {
      const here = this.known_.get(user);
      if (here === undefined) absent.push(user);
      else found.set(user, here);
    }
    const rows = absent.length > 0 ? await store.documents(this.parts.db, absent) : [];
    await Promise.all(
      rows.map(async (row) => {
        if (row === undefined) return;
        const older = row.older.map(async (one) => ({
          keys: await userkeys.read(one.envelope, row.user),
          ended: one.ended,
        }));
        found.set(row.user, {
          newest: await userkeys.read(row.envelope, row.user),
          older: await Promise.all(older),
        });
      }),
    );
    for (const user of absent) {
      const loaded = found.get(user);
      if (loaded !== undefined) this.remember(user, loaded);
    }
    return found;
  }

  private remember(user: UserId, known: Known): void {
    if (this.known_.size >= IN_MEMORY) this.known_.clear();
    this.known_.set(user, known);
  }

  /**
   * Their documents: those that are here, others from the server; with `fresh` all from the server. Users whose document cannot
   * be had, or is not taken, are absent. Rejected with what requests are.
   */
  async get(users: readonly UserId[], fresh = false): Promise<Map<UserId, UserKeys>> {
    const here = await this.loadAll(users);
    const found = new Map([...here].map(([user, { newest }]) => [user, newest]));
    const asked = [...new Set(users)].filter((user) => fresh || !found.has(user)).sort();
    for (let start = 0; start < asked.length; start += QUERY) {
      const some = asked.slice(start, start + QUERY);
      const known = Object.fromEntries(some.map((user) => [user, found.get(user)?.seq ?? 0]));
      const answer = await this.parts.session.request("POST", "e2ee/users/query", { body: { known }, repeats: true });
      const told: Told = typeof answer === "object" && answer !== null ? (answer as Told) : {};
      const taken = await this.takeTold(some, told);
      for (const user of some) {
        const document = taken.get(user);
        if (document !== undefined) found.set(user, document);
        // What is told now does not follow what was told before.
        else if (told[user] !== undefined && told[user] !== null) found.delete(user);
      }
    }
    return found;
  }

  private async takeTold(users: readonly UserId[], told: Told): Promise<Map<UserId, UserKeys>> {
    const fresh: UserKeys[] = [];
    const taken = new Map<UserId, UserKeys>();
    await Promise.all(
      users.map(async (user) => {
        const { unchanged, userkeys: envelope } = (told[user] ?? {}) as Told;
        if (unchanged === true) {
          const known = await this.known(user);
          if (known !== null) taken.set(user, known);
        } else if (envelope !== undefined) {
          const document = await userkeys.read(envelope, user).catch(isNotTaken);
          if (document !== null) fresh.push(document);
        }
      }),
    );
    for (const document of await this.takeAll(fresh)) taken.set(document.user, document);
    return taken;
  }

  /**
   * Pin a document that follows what is pinned. Rejected with `CryptoError` for one that does not.
   *
   * Another identity is taken and told of; one that takes the place of a verified one holds the user.
   */
  async take(fresh: UserKeys): Promise<UserKeys> {
    const known = await this.load(fresh.user);
    await this.checkFollows(known, fresh);
    await this.takeAll([fresh]);
    return fresh;
  }

  /** The documents that were taken: those that follow. */
  private async takeAll(documents: readonly UserKeys[]): Promise<readonly UserKeys[]> {
    let left = documents;
    const taken: UserKeys[] = [];
    for (let attempt = 0; attempt < TRIES && left.length > 0; attempt += 1) {
      const here = await this.loadAll(left.map(({ user }) => user));
      const changes: { document: UserKeys; known: Known | null; isOther: boolean }[] = [];
      for (const document of left) {
        const known = here.get(document.user) ?? null;
        if (known !== null && same(known.newest.digest, document.digest)) {
          taken.push(known.newest);
          continue;
        }
        const isOther = await this.checkFollows(known, document).catch(isNotTaken);
        if (isOther === null) await this.tellOwn(document, known);
        else changes.push({ document, known, isOther });
      }
      const overtaken = await this.pinAll(changes);
      for (const { document, isOther } of changes) {
        if (overtaken.has(document.user)) continue;
        taken.push(document);
        if (isOther) await this.tellIdentity(document.user);
        if (await this.isMe(document.user)) await this.onOwn(document);
      }
      left = left.filter(({ user }) => overtaken.has(user));
    }
    return taken;
  }

  /** One of the user's own that was not taken because of its identity: only the vault knows whether that is the user's doing. */
  private async tellOwn(document: UserKeys, known: Known | null): Promise<void> {
    const isOther = known !== null && !same(known.newest.identity, document.identity);
    if (isOther && (await this.isMe(document.user))) await this.onOwn(null);
  }

  private async pinAll(
    changes: readonly { document: UserKeys; known: Known | null; isOther: boolean }[],
  ): Promise<ReadonlySet<UserId>> {
    if (changes.length === 0) return new Set();
    const ended = nowS(this.parts.clock);
    const overtaken = new Set(
      await store.take(
        this.parts.db,
        changes.map(({ document, known, isOther }) => ({
          document: {
            user: document.user,
            seq: document.seq,
            digest: b64(document.digest),
            envelope: document.envelope,
          },
          before: known === null ? null : b64(known.newest.digest),
          ended: isOther ? ended : null,
        })),
      ),
    );
    // Heard here, too: what is in memory goes, and what was taken is remembered afterwards.
    this.parts.bus.tell({ type: "documents", users: changes.map(({ document }) => document.user) });
    for (const { document, known, isOther } of changes) {
      if (overtaken.has(document.user)) continue;
      const left = known !== null && isOther ? [{ keys: known.newest, ended }] : [];
      this.remember(document.user, { newest: document, older: [...left, ...(known?.older ?? [])] });
    }
    if (changes.some(({ isOther }) => isOther)) await this.refresh();
    return overtaken;
  }

  private async tellIdentity(user: UserId): Promise<void> {
    const { db, bus } = this.parts;
    const username = (await db.get("people", user))?.username ?? "";
    const wasVerified = this.heldUsers.value.has(user);
    await addNotice(db, { kind: "identity", id: identityNotice(user), user, username, wasVerified });
    bus.tell({ type: "notices" });
  }

  /** Whether it begins another identity. Rejected with `CryptoError` for a document that may not follow. */
  private async checkFollows(known: Known | null, fresh: UserKeys): Promise<boolean> {
    if (known === null) return false;
    const { newest } = known;
    try {
      follow(pinOf(newest), fresh, newest);
      return false;
    } catch (error) {
      // Of one's own identity no server says what it is: `checkOwn`.
      if (!isRefused(error, "identity_changed") || (await this.isMe(newest.user))) throw error;
    }
    const left = leftOf(known, fresh);
    // Back to what was given up: then no further back than where it was.
    if (left !== null) follow(pinOf(left), fresh, left);
    return true;
  }

  /**
   * Whether one's own document, which the vault agrees with, may follow what is known here.
   *
   * Another identity may, since no server can make a vault: the user began again on another device. Rejected with `rolled_back`
   * for an identity from before that, and with what `follow` throws.
   */
  async checkOwn(fresh: UserKeys): Promise<void> {
    const known = await this.load(fresh.user);
    if (known === null) return;
    if (same(known.newest.identity, fresh.identity)) follow(pinOf(known.newest), fresh, known.newest);
    else if (leftOf(known, fresh) !== null)
      throw new CryptoError("rolled_back", "the server tells of keys that this user has given up");
  }

  /** Take this document as it is: it follows, was made here, or was checked against the vault. */
  async pin(document: UserKeys): Promise<void> {
    for (let attempt = 0; attempt < TRIES; attempt += 1) {
      const known = await this.load(document.user);
      if (known !== null && same(known.newest.digest, document.digest)) return;
      const isOther = known !== null && !same(known.newest.identity, document.identity);
      if ((await this.pinAll([{ document, known, isOther }])).size === 0) return;
    }
  }

  private async isMe(user: UserId): Promise<boolean> {
    return (await this.parts.session.identity()).user === user;
  }

  // Devices.

  /** A device as its user has signed it: in the newest document, or in one before it that says how the device ended. */
  async device(user: UserId, device: DeviceId): Promise<DeviceKey | null> {
    const known = await this.load(user);
    if (known === null) return null;
    const listed = known.newest.device(device);
    if (listed !== null) return listed;
    for (const { keys, ended } of known.older) {
      const found = keys.device(device);
      if (found !== null && ended !== null)
        return { ...found, until: found.until === null ? ended : Math.min(found.until, ended) };
      if (found !== null && found.until !== null) return found;
    }
    return null;
  }

  /**
   * The same; one that was left out of the list is looked for where the document says that it was listed. Rejected with what
   * requests are.
   */
  async findDevice(user: UserId, device: DeviceId): Promise<DeviceKey | null> {
    const here = await this.device(user, device);
    if (here !== null) return here;
    let document: UserKeys | null = (await this.get([user], true)).get(user) ?? null;
    for (let step = 0; step < BACK && document !== null; step += 1) {
      if (document.device(device) !== null || document.pruned === null) break;
      document = await this.before(document, document.pruned.seq);
    }
    return this.device(user, device);
  }

  private async before(document: UserKeys, seq: number): Promise<UserKeys | null> {
    const { user } = document;
    try {
      const answer = (await this.parts.session.request("GET", `e2ee/users/${user}/userkeys/${seq}`)) as Told | null;
      const older = await userkeys.followBack(document, answer?.userkeys);
      await store.keepOlder(this.parts.db, user, older.seq, older.envelope);
      this.forget([user]);
      return older;
    } catch (error) {
      if (error instanceof CryptoError) return null;
      if (error instanceof Refusal && !isForNow(error) && !isSignedOut(error)) return null;
      throw error;
    }
  }

  // Verifying.

  /** This identity key has been compared; null: none counts as compared. Rejected with `identity_changed` where it is not the present one. */
  async verify(user: UserId, identity: Bytes | null): Promise<void> {
    if (identity === null) await store.compare(this.parts.db, user, null);
    else await this.compared(user, identity);
    await this.refresh();
    // Whoever has compared, or says that nothing is to be compared, has heard of the new identity.
    await removeNotice(this.parts.db, identityNotice(user));
    this.parts.bus.tell({ type: "notices" });
    this.parts.bus.tell({ type: "documents", users: [user] });
  }

  private async compared(user: UserId, identity: Bytes): Promise<void> {
    for (let attempt = 0; attempt < TRIES; attempt += 1) {
      const known = await this.known(user);
      if (known === null || !same(known.identity, identity)) break;
      const now = { identity: b64(identity), digest: b64(known.digest) };
      if (await store.compare(this.parts.db, user, now)) return;
      // Another tab has taken another document, of which this one has not heard yet.
      this.forget([user]);
    }
    throw new Refusal("identity_changed");
  }
}

/** The same users stay the same set: whoever shows them is not told. */
function setTo(users: Signal<ReadonlySet<UserId>>, now: readonly UserId[]): void {
  const before = users.peek();
  if (now.length !== before.size || now.some((user) => !before.has(user))) users.value = new Set(now);
}

function identityNotice(user: UserId): string {
  return `identity:${user}`;
}

/** The newest document of this identity that another has followed. */
function leftOf({ older }: Known, fresh: UserKeys): UserKeys | null {
  const left = older.find(({ keys, ended }) => ended !== null && same(keys.identity, fresh.identity));
  return left?.keys ?? null;
}

function isNotTaken(error: unknown): null {
  if (error instanceof CryptoError) return null;
  throw error;
}
