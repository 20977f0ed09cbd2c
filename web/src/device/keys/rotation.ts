/**
 * How old the user's encryption key is. A vault that is open anyway replaces one that is due (docs/protocol.md §6.3).
 *
 * Nothing is kept about it: the documents tell. A step that makes a key lists or revokes a device as well, and so bears a date: the
 * key is as old as the newest date of the first document that has it. (To revoke a device that was never listed leaves no date.
 * Then the key looks older than it is, and is replaced sooner.)
 */

import { same } from "../../crypto/bytes";
import type { UserKeys } from "../../crypto/userkeys";
import * as userkeys from "../../crypto/userkeys";
import type { Session } from "../ports";
import { tolerantly } from "./refusing";

export const ROTATE_S = 30 * 86_400;
const HISTORY = 100; // documents before the newest that the server keeps

/** Whether the document's encryption key was made more than 30 days ago. Asks for at most 7 earlier documents. */
export async function isOld(session: Session, document: UserKeys, nowS: number): Promise<boolean> {
  const due = nowS - ROTATE_S;
  if (document.pruned === null && Math.min(...document.devices.map((device) => device.since)) > due) return false;
  // Versions rise with the numbers, so the first document of this one is found by halving.
  let low = Math.max(1, document.seq - HISTORY);
  let high = document.seq;
  let first = document;
  while (low < high && newestDate(first) > due) {
    const middle = Math.floor((low + high) / 2);
    const older = await ownAt(session, document, middle);
    if (older !== null && older.encryption.version === document.encryption.version) {
      high = middle;
      first = older;
    } else low = middle + 1;
  }
  return newestDate(first) <= due;
}

function newestDate(document: UserKeys): number {
  return Math.max(...document.devices.map((device) => Math.max(device.since, device.until ?? 0)));
}

async function ownAt(session: Session, document: UserKeys, seq: number): Promise<UserKeys | null> {
  const { user } = document;
  const answer = await tolerantly(session.request("GET", `e2ee/users/${user}/userkeys/${seq}`));
  const envelope = typeof answer === "object" && answer !== null ? (answer as { userkeys?: unknown }).userkeys : null;
  const older = await tolerantly(userkeys.read(envelope, user));
  return older !== null && same(older.identity, document.identity) && older.seq === seq ? older : null;
}
