/** What every part of the device stands on. */

import type { Db } from "../store/db";
import type { OpenWire } from "../transport/socket";
import type { Clock } from "./clock";
import type { Sealing } from "./ports";
import type { DeviceSession } from "./session";
import type { Locks, TabsBus } from "./tabs";

export interface Parts {
  readonly db: Db;
  readonly bus: TabsBus;
  readonly session: DeviceSession;
  readonly sealing: Sealing;
  readonly clock: Clock;
  readonly locks: Locks;
  readonly open: OpenWire;
}

/** What went wrong and is tried again, or is nobody's to see but a developer's. Never a body, a token or a key. */
export function log(what: string, error: unknown): void {
  console.debug(what, error instanceof Error ? `${error.name}: ${error.message}` : error);
}
