/** How rooms and people are called on the page. */

import { words } from "../i18n/words";
import type { Account, Preview, RoomLine } from "../messenger";

/** So many names, and how many more there are. */
const NAMES = 6;

export function roomTitle(room: Pick<RoomLine, "kind" | "others">): string {
  const { kind, others } = room;
  if (others.length > NAMES) {
    return words.value.rooms.andOthers(others.slice(0, NAMES - 1).join(", "), others.length - NAMES + 1);
  }
  if (others.length > 0) return kind === "direct" ? (others[0] ?? "") : others.join(", ");
  return room.kind === "direct" ? words.value.rooms.yourself : words.value.rooms.someone;
}

/** Every preview is one line, whatever was written. */
export function previewText(room: RoomLine, preview: Preview): string {
  const w = words.value.rooms;
  const text = preview.text === null ? w.cannotRead : preview.text.slice(0, 200).replace(/\s+/gu, " ");
  if (preview.mine) return room.kind === "direct" && preview.ticks !== null ? text : w.mine(text);
  return room.kind === "direct" ? text : w.by(preview.by, text);
}

export function typingText(room: Pick<RoomLine, "kind" | "typing">): string {
  const w = words.value.rooms;
  return room.kind === "direct" ? w.typingDirect : w.typing(room.typing);
}

/** A name as somebody else reads it: one's own is “You”. */
export function nameOf(username: string, account: Account | null | undefined): string {
  return account?.username === username ? words.value.common.you : username;
}
