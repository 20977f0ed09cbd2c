/**
 * Names of users: they outlive memberships and connections.
 *
 * They are the server's word. One that lies could show somebody as somebody else, or as the user: so each name is shown for one
 * user only, nothing is that cannot be a name, and the first name of each stays, since nobody is ever renamed.
 */

import { batch, signal } from "@preact/signals-core";

import type { UserId } from "../protocol/ids";
import { dispute } from "../store/people";
import type { PersonRecord } from "../store/schema";
import { log, type Parts } from "./parts";
import type { Bus } from "./ports";

const NAME = /^[a-z0-9][a-z0-9._-]{2,31}$/;

export class People {
  private readonly names = new Map<UserId, string>();
  private readonly bearers = new Map<string, Set<UserId>>();
  /** Of whom the server has told two names. */
  private readonly disputed = new Set<UserId>();
  private readonly changes = signal(0);

  constructor(private readonly parts: Pick<Parts, "db"> & { readonly bus: Pick<Bus, "tell"> }) {}

  /** Counted up when a name is new: whoever shows names builds them anew. */
  get version(): number {
    return this.changes.value;
  }

  async load(): Promise<void> {
    this.keep(await this.parts.db.getAll("people"));
  }

  /** As the server tells them now. What the store was told first goes before. */
  async learnAll(people: readonly { user: UserId; username: string }[]): Promise<void> {
    await this.find(people.map(({ user }) => user));
    batch(() => {
      for (const { user, username } of people) this.learn(user, username);
    });
  }

  learn(user: UserId, username: string): void {
    const first = this.names.get(user);
    if (first === undefined) {
      this.names.set(user, username);
      this.bearers.set(username, (this.bearers.get(username) ?? new Set()).add(user));
      this.changes.value += 1;
    } else if (first !== username) this.dispute(user);
  }

  private dispute(user: UserId): void {
    if (this.disputed.has(user)) return;
    this.disputed.add(user);
    this.changes.value += 1;
    this.tell(user).catch((error) => log("that somebody has two names is not kept", error));
  }

  private async tell(user: UserId): Promise<void> {
    if (await dispute(this.parts.db, user)) this.parts.bus.tell({ type: "notices" });
  }

  private keep(people: readonly PersonRecord[]): void {
    batch(() => {
      for (const { user, username, disputed } of people) {
        this.learn(user, username);
        if (!disputed || this.disputed.has(user)) continue;
        this.disputed.add(user);
        this.changes.value += 1;
      }
    });
  }

  /** Look for those that are not known, in the store. */
  async find(users: Iterable<UserId>): Promise<void> {
    const unknown = [...new Set(users)].filter((user) => !this.names.has(user));
    if (unknown.length === 0) return;
    const tx = this.parts.db.transaction("people");
    const found = await Promise.all(unknown.map((user) => tx.store.get(user)));
    this.keep(found.filter((person) => person !== undefined));
  }

  /** Its name, with the end of its id where others have the same, or it was told another; where there is no name, that end alone. */
  name(user: UserId): string {
    const name = this.names.get(user);
    const end = user.slice(-8); // ids that were made at the same time begin alike
    if (name === undefined || !NAME.test(name)) return end;
    const isPlain = this.bearers.get(name)?.size === 1 && !this.disputed.has(user);
    return isPlain ? name : `${name} (${end})`;
  }

  forget(): void {
    this.names.clear();
    this.bearers.clear();
    this.disputed.clear();
    this.changes.value += 1;
  }
}
