/** What a connection that was away has missed and the mailbox does not tell: how far the others are, and the user on other devices. */

import { Refusal } from "../messenger";
import { decodePage, decodeReceipts, decodeRooms } from "../protocol/answers";
import type { RoomId } from "../protocol/ids";
import { mayRetry } from "../protocol/problems";
import { Malformed } from "../protocol/shape";
import { applyReceipts, reachedIn } from "../store/receipts";
import { keepRoom, readUpTo } from "../store/rooms";
import type { RoomRecord } from "../store/schema";
import { log, type Parts } from "./parts";
import type { Identity } from "./ports";
import { shaped } from "./session";

const ROOMS_OF_RECEIPTS = 10;
const ROOMS_OF_READS = 20;
const RECENT_ROOMS = 50;
const PAGE = 100;

type Needs = Pick<Parts, "db" | "session" | "bus">;

/** Ask how far the others are in a room. A room that is not this user's (any more) has nothing to tell. */
export async function fetchReceipts(parts: Needs, room: RoomId, signal?: AbortSignal): Promise<void> {
  const answer = await asked(parts, `rooms/${room}/receipts`, signal);
  if (answer === null) return;
  const rooms = await applyReceipts(
    parts.db,
    shaped(() => decodeReceipts(answer, room)),
  );
  if (rooms.size > 0) parts.bus.tell({ type: "receipts", rooms: [room] });
}

/** The same for recent rooms in which an own message was the last one and others lag. */
export async function fetchLaggingReceipts(parts: Needs, me: Identity, signal: AbortSignal): Promise<void> {
  let asked = 0;
  for (const { id, preview, members } of await recentRooms(parts)) {
    if (preview?.sender !== me.user || preview.read || asked === ROOMS_OF_RECEIPTS) continue;
    const reached = await reachedIn(parts.db, id);
    const done = reached.filter((one) => one.device === preview.device && one.read >= preview.seq).length;
    if (done >= members.length - 1) continue;
    asked += 1;
    await fetchReceipts(parts, id, signal);
  }
}

/** In recent rooms with something unread: how far the user has read on other devices. Live that is told; history has it in its entries. */
export async function fetchReads(parts: Needs, me: Identity, signal: AbortSignal): Promise<void> {
  const unread = (await recentRooms(parts)).filter((room) => room.unread > 0).slice(0, ROOMS_OF_READS);
  for (const room of unread) {
    const answer = await asked(parts, `rooms/${room.id}/messages?limit=${PAGE}`, signal);
    if (answer === null) continue;
    const { entries } = shaped(() => decodePage(answer));
    const read = entries.filter((entry) => entry.kind === "message" && entry.sender !== me.user && entry.read);
    const upTo = Math.max(0, ...read.map((entry) => entry.seq));
    if (upTo > room.readSeq && (await readUpTo(parts.db, room.id, upTo, true))) {
      parts.bus.tell({ type: "stored", rooms: [room.id], upTo: 0 });
    }
  }
}

/** Every room of the user, as it is now: also whether it is muted, which no entry tells. */
export async function fetchRooms(parts: Needs & Pick<Parts, "clock">, signal: AbortSignal): Promise<void> {
  const { user } = await parts.session.identity();
  let after = "";
  do {
    const answer = await parts.session.request("GET", `rooms?limit=200${after}`, { signal });
    const page = shaped(() => decodeRooms(answer));
    for (const room of page.rooms) {
      await keepRoom(parts.db, room, user, parts.clock.now()).catch((error) => {
        if (!(error instanceof Malformed)) throw error;
        log("a room is not taken", error);
      });
    }
    after = page.next === null ? "" : `&after=${encodeURIComponent(page.next)}`;
    parts.bus.tell({ type: "rooms" });
  } while (after !== "");
}

async function recentRooms(parts: Needs): Promise<RoomRecord[]> {
  const rooms = await parts.db.getAll("rooms");
  return rooms.sort((one, other) => other.lastSeq - one.lastSeq).slice(0, RECENT_ROOMS);
}

async function asked(parts: Needs, path: string, signal?: AbortSignal): Promise<unknown> {
  try {
    return await parts.session.request("GET", path, signal === undefined ? {} : { signal });
  } catch (error) {
    if (error instanceof Refusal && error.problem !== null && !mayRetry(error.problem)) return null;
    throw error;
  }
}
