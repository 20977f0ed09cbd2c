/**
 * Names of users: they outlive memberships and connections.
 *
 * They are the server's word. One that lies could show somebody as somebody else, or as the user: so each name is shown for one
 * user only, and nothing is that cannot be a name.
 */

import { batch, signal } from "@preact/signals-core";

import type { UserId } from "../protocol/ids";
import type { Db } from "../store/db";

const NAME = /^[a-z0-9][a-z0-9._-]{2,31}$/;

export class People {
  private readonly names = new Map<UserId, string>();
  private readonly bearers = new Map<string, Set<UserId>>();
  private readonly changes = signal(0);

  constructor(private readonly db: Db) {}

  /** Counted up when a name is new: whoever shows names builds them anew. */
  get version(): number {
    return this.changes.value;
  }

  async load(): Promise<void> {
    this.learnAll(await this.db.getAll("people"));
  }

  learnAll(people: readonly { user: UserId; username: string }[]): void {
    batch(() => {
      for (const { user, username } of people) this.learn(user, username);
    });
  }

  learn(user: UserId, username: string): void {
    const before = this.names.get(user);
    if (before === username) return;
    if (before !== undefined) this.bearers.get(before)?.delete(user);
    this.names.set(user, username);
    this.bearers.set(username, (this.bearers.get(username) ?? new Set()).add(user));
    this.changes.value += 1;
  }

  /** Look for those that are not known, in the store. */
  async find(users: Iterable<UserId>): Promise<void> {
    const unknown = [...new Set(users)].filter((user) => !this.names.has(user));
    if (unknown.length === 0) return;
    const tx = this.db.transaction("people");
    const found = await Promise.all(unknown.map((user) => tx.store.get(user)));
    this.learnAll(found.filter((person) => person !== undefined));
  }

  /** Its name, with the end of its id where others have the same; where there is no name, that end alone. */
  name(user: UserId): string {
    const name = this.names.get(user);
    const end = user.slice(-8); // ids that were made at the same time begin alike
    if (name === undefined || !NAME.test(name)) return end;
    return this.bearers.get(name)?.size === 1 ? name : `${name} (${end})`;
  }

  forget(): void {
    this.names.clear();
    this.bearers.clear();
    this.changes.value += 1;
  }
}
