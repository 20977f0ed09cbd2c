/** What all parts of the keys work with. */

import type { Stretch } from "../../crypto/kdf";
import type { Strength } from "../../crypto/stretch";
import type { Db } from "../../store/db";
import type { Bus, Session } from "../ports";

/** What only one tab does at a time (device/tabs.ts). */
export interface Locks {
  run<Result>(name: "letterlock-keys", task: () => Promise<Result>): Promise<Result>;
}

/** The device's clock (device/clock.ts). */
export interface Clock {
  now(): number;
  chance(): number;
  wait(ms: number, signal?: AbortSignal): Promise<void>;
}

export interface Parts {
  readonly db: Db;
  readonly session: Session;
  readonly bus: Bus;
  readonly locks: Locks;
  readonly clock: Clock;
  /** Argon2id, in its worker. */
  readonly stretch: Stretch;
  /** Argon2id's parameters where this device chooses them. */
  readonly strength: Strength;
}

export function nowS(clock: Clock): number {
  return Math.floor(clock.now() / 1000);
}
