/** Which page is shown: the hash of the address, so that the browser's own back, forward and bookmarks work. */

import { signal } from "@preact/signals";

import { isId, type RoomId } from "../protocol/ids";

export const SECTIONS = ["account", "devices", "privacy", "security", "notifications", "appearance"] as const;
export type Section = (typeof SECTIONS)[number];

export type Route =
  | { readonly page: "rooms" }
  | { readonly page: "room"; readonly id: RoomId; readonly at: number | null; readonly details: boolean }
  | { readonly page: "new" }
  | { readonly page: "contacts" }
  | { readonly page: "settings"; readonly section: Section | null }
  | { readonly page: "recovery" }
  | { readonly page: "sign-up" };

export const ROOMS: Route = { page: "rooms" };

export function parse(hash: string): Route {
  const [page, first, second] = hash.replace(/^#\/?/, "").split("/");
  switch (page) {
    case "room": {
      if (!isId(first)) return ROOMS;
      const at = second !== undefined && /^[0-9]{1,15}$/.test(second) ? Number(second) : null;
      return { page, id: first as RoomId, at, details: second === "details" };
    }
    case "settings":
      return { page, section: SECTIONS.find((section) => section === first) ?? null };
    case "new":
    case "contacts":
    case "recovery":
    case "sign-up":
      return { page };
    default:
      return ROOMS;
  }
}

export function hashOf(to: Route): string {
  switch (to.page) {
    case "rooms":
      return "#/";
    case "room":
      return `#/room/${to.id}${to.details ? "/details" : to.at === null ? "" : `/${to.at}`}`;
    case "settings":
      return to.section === null ? "#/settings" : `#/settings/${to.section}`;
    default:
      return `#/${to.page}`;
  }
}

export function roomRoute(id: RoomId, at: number | null = null): Route {
  return { page: "room", id, at, details: false };
}

export const route = signal<Route>(ROOMS);

/** How many pages of ours lie behind the present one: whether “back” stays within the messenger. */
let behind = 0;

export function go(to: Route, how: { replace?: boolean } = {}): void {
  const hash = hashOf(to);
  if (hash !== location.hash) {
    if (how.replace) history.replaceState(null, "", hash);
    else {
      history.pushState(null, "", hash);
      behind += 1;
    }
  }
  route.value = to;
}

/** To where one came from; `otherwise` where the page was opened by its address. */
export function back(otherwise: Route): void {
  if (behind > 0) history.back();
  else go(otherwise, { replace: true });
}

/** To be called before the first page is drawn, which else would be another one for a moment. */
export function readAddress(): void {
  route.value = parse(location.hash);
}

/** Follows the address until the answer is called. */
export function followAddress(): () => void {
  const read = (): void => {
    behind = Math.max(behind - 1, 0);
    readAddress();
  };
  const jumped = (): void => {
    if (hashOf(route.value) !== location.hash) readAddress();
  };
  readAddress();
  addEventListener("popstate", read);
  addEventListener("hashchange", jumped);
  return () => {
    removeEventListener("popstate", read);
    removeEventListener("hashchange", jumped);
  };
}

/** For links: opens here on a plain click, and in a new tab as the browser does it otherwise. */
export function follow(to: Route): (event: MouseEvent) => void {
  return (event) => {
    if (
      event.defaultPrevented ||
      event.button !== 0 ||
      event.metaKey ||
      event.ctrlKey ||
      event.shiftKey ||
      event.altKey
    )
      return;
    event.preventDefault();
    go(to);
  };
}
