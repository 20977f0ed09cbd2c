/** What the service worker decides, without being one. */

/** One build of the client, as the build itself wrote it down (vite.pages.ts). */
export interface Build {
  readonly version: string;
  /** SHA-256 of the page, in hex. */
  readonly page: string;
  /** Paths of everything that the page may ask for. */
  readonly urls: readonly string[];
}

/** Where the page is; everything else of the app goes by the hash. */
export const PAGE = "/";

const FILES = "/static/web/";

/** The path under which an answer may be kept, or null: then the request is the network's. */
export function targetOf(method: string, isNavigation: boolean, url: URL, origin: string): string | null {
  if (method !== "GET" || url.origin !== origin) return null;
  if (isNavigation) return url.pathname === PAGE ? PAGE : null; // the admin and the API's description are not ours
  return url.pathname.startsWith(FILES) && url.search === "" ? url.pathname : null;
}

/** Those of these builds' caches that go when `current` takes over: all but the newest other one, whose tabs may be open. */
export function outdated(caches: readonly string[], current: string): readonly string[] {
  return caches.filter((name) => name !== current).slice(0, -1);
}

export function pathOf(url: string): string {
  return new URL(url).pathname;
}

/** The notification. Its tag makes a later one take the place of this one, silently. */
export function notice(languages: readonly string[]): { title: string; options: NotificationOptions } {
  const isKorean = languages[0]?.toLowerCase().startsWith("ko") ?? false;
  return {
    title: "Letterlock",
    options: {
      body: isKorean ? "새 소식이 있습니다." : "There is something new.",
      tag: "letterlock",
      icon: "/static/web/icons/icon-192.png",
      badge: "/static/web/icons/badge-96.png",
      lang: isKorean ? "ko" : "en",
    },
  };
}
