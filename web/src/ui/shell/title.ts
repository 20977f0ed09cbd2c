import { computed } from "@preact/signals";

import { words } from "../../i18n/words";
import type { Messenger } from "../../messenger";
import { follow } from "../paced";
import { route } from "../route";
import { roomTitle } from "../titles";

/** The page's title: where one is, and how much is unread in rooms that are not muted. */
export function titleOf(messenger: Messenger): string {
  const w = words.value;
  const place = route.value;
  const rooms = messenger.rooms.value;
  const parts: Partial<Record<typeof place.page, string>> = {
    contacts: w.people.contactsTitle,
    new: w.people.newTitle,
    recovery: w.recovery.title,
    settings: w.settings.title,
    "sign-up": w.entry.signUp,
  };
  const room = place.page === "room" ? rooms.find((one) => one.id === place.id) : undefined;
  const here = room === undefined ? parts[place.page] : roomTitle(room);
  const title = here === undefined ? w.app.name : `${here} – ${w.app.name}`;
  const unread = rooms.reduce((sum, one) => sum + (one.muted ? 0 : one.unread), 0);
  return unread > 0 ? w.app.unreadTitle(unread, title) : title;
}

export function keepTitle(messenger: Messenger): () => void {
  const title = computed(() => titleOf(messenger));
  return follow(title, (text) => {
    document.title = text;
  });
}
