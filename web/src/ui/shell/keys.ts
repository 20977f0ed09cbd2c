/** The keys that work everywhere. Which key means what is decided without a page, so that it can be read and tested. */

import type { Messenger, RoomLine } from "../../messenger";
import type { RoomId } from "../../protocol/ids";
import { dialog, open } from "../dialogs";
import { back, go, ROOMS, roomRoute, route } from "../route";

export type Command =
  | "search"
  | "new"
  | "settings"
  | "contacts"
  | "next"
  | "previous"
  | "next-unread"
  | "compose"
  | "help"
  | "leave";

interface Pressed {
  readonly key: string;
  readonly code: string;
  readonly altKey: boolean;
  readonly ctrlKey: boolean;
  readonly metaKey: boolean;
  readonly shiftKey: boolean;
}

/** `typing`: whether the focus is where letters are text. */
export function commandOf(event: Pressed, typing: boolean): Command | null {
  const control = event.ctrlKey || event.metaKey;
  if (control && !event.altKey && !event.shiftKey) {
    if (event.code === "KeyK") return "search";
    if (event.key === "/") return "help";
    return null;
  }
  if (event.altKey && !control) {
    switch (event.code) {
      case "ArrowDown":
        return event.shiftKey ? "next-unread" : "next";
      case "ArrowUp":
        return "previous";
      case "KeyN":
        return "new";
      case "KeyS":
        return "settings";
      case "KeyC":
        return "contacts";
      case "KeyM":
        return "compose";
      default:
        return null;
    }
  }
  if (event.key === "Escape") return "leave";
  return event.key === "?" && !typing && !control ? "help" : null;
}

/** The room that comes next in the list, or the next one with something unread; round and round. */
export function neighbour(
  rooms: readonly RoomLine[],
  here: RoomId | null,
  way: "next" | "previous" | "next-unread",
): RoomId | null {
  if (rooms.length === 0) return null;
  const at = rooms.findIndex((room) => room.id === here);
  if (way === "previous") return rooms[at <= 0 ? rooms.length - 1 : at - 1]?.id ?? null;
  if (way === "next") return rooms[(at + 1) % rooms.length]?.id ?? null;
  const around = [...rooms.slice(at + 1), ...rooms.slice(0, Math.max(at, 0))];
  return around.find((room) => room.unread > 0)?.id ?? null;
}

function focusOn(id: string): void {
  const element = document.getElementById(id);
  if (element instanceof HTMLInputElement) element.select();
  element?.focus();
}

function perform(command: Command, messenger: Messenger): boolean {
  const place = route.peek();
  switch (command) {
    case "search":
      if (getComputedStyle(document.querySelector(".rooms") ?? document.body).display === "none") go(ROOMS);
      setTimeout(() => focusOn("search"));
      return true;
    case "compose":
      focusOn("composer");
      return true;
    case "new":
    case "contacts":
      go({ page: command });
      return true;
    case "settings":
      go({ page: "settings", section: null });
      return true;
    case "help":
      open({ kind: "shortcuts" });
      return true;
    case "leave":
      if (place.page === "rooms") return false;
      if (place.page === "room" && !place.details) focusOn("composer");
      else back(ROOMS);
      return true;
    default: {
      const to = neighbour(messenger.rooms.peek(), place.page === "room" ? place.id : null, command);
      if (to !== null) go(roomRoute(to));
      return true;
    }
  }
}

export function listenForKeys(messenger: Messenger): () => void {
  const pressed = (event: KeyboardEvent): void => {
    if (event.defaultPrevented || event.isComposing) return;
    // A dialog has the keyboard to itself: the browser closes it with Esc.
    if (dialog.peek() !== null || document.querySelector("dialog[open]") !== null) return;
    const target = event.target as HTMLElement;
    const typing = target.matches("input, textarea, select, [contenteditable]");
    const command = commandOf(event, typing);
    if (command !== null && perform(command, messenger)) event.preventDefault();
  };
  document.addEventListener("keydown", pressed);
  return () => document.removeEventListener("keydown", pressed);
}
