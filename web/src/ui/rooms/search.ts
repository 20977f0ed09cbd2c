/** The search over all rooms: what is typed, and what was found. Kept here so that it is still there when one comes back. */

import { computed, signal } from "@preact/signals";

import type { Hit, Messenger, RoomLine } from "../../messenger";
import { roomTitle } from "../titles";

const PAUSE = 150;
const LIMIT = 100;

export const query = signal("");
export const isSearching = computed(() => query.value.trim() !== "");
export const hits = signal<readonly Hit[] | null>(null);

let timer: ReturnType<typeof setTimeout> | undefined;

export function search(messenger: Messenger, text: string): void {
  query.value = text;
  clearTimeout(timer);
  hits.value = null;
  if (text.trim() === "") return;
  timer = setTimeout(async () => {
    const found = await messenger.search(text, LIMIT).catch(() => []);
    // What was typed meanwhile has a search of its own.
    if (query.value === text) hits.value = found;
  }, PAUSE);
}

/** Rooms that, or somebody in them, begin a word with what is searched. */
export function matchingRooms(rooms: readonly RoomLine[], text: string): readonly RoomLine[] {
  const wanted = text.trim().toLocaleLowerCase();
  return rooms.filter((room) =>
    [roomTitle(room), ...room.others]
      .join(",")
      .toLocaleLowerCase()
      .split(/[\s,]+/u)
      .some((word) => word.startsWith(wanted)),
  );
}
