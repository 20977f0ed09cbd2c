/**
 * The service worker: the page loads without a network, and a push wakes it.
 *
 * A build is kept as a whole, under its version, before it is used, and the page always comes with the files of its own
 * build: so versions never mix. A new build takes over when no tab of the old one is left, or when a page that was just loaded
 * says `take-over` (it then loads anew); tabs that are still of the build before find their files in its cache, by names that
 * hold a hash of their content. Nothing of the API is kept here: what the device knows is in IndexedDB.
 */

/// <reference lib="webworker" />

import { type Build, notice, outdated, PAGE, pathOf, targetOf } from "./policy";

declare const self: ServiceWorkerGlobalScope;
declare const __PRECACHE__: Build;

const BUILD: Build = __PRECACHE__;
const PREFIX = "letterlock-build-";
const CACHE = PREFIX + BUILD.version;

self.addEventListener("install", (event) => event.waitUntil(keep()));
self.addEventListener("activate", (event) => event.waitUntil(forgetOthers()));
self.addEventListener("message", (event) => {
  if (event.data === "take-over") event.waitUntil(self.skipWaiting());
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const target = targetOf(request.method, request.mode === "navigate", new URL(request.url), self.location.origin);
  if (target !== null) event.respondWith(answer(target, request));
});

// It says only that there is something: neither the server nor the push service knows more, and neither does this worker.
self.addEventListener("push", (event) => event.waitUntil(tell()));

self.addEventListener("notificationclick", (event) => {
  event.notification.close();
  event.waitUntil(show());
});

// The browser has changed the subscription by itself: the page sends the new one to the server when it is next open.
self.addEventListener("pushsubscriptionchange", (event) => {
  (event as ExtendableEvent).waitUntil(hint("push-changed"));
});

async function keep(): Promise<void> {
  const cache = await caches.open(CACHE);
  // `reload`: past the HTTP cache, so that the page is that of this very build.
  const page = await fetch(PAGE, { cache: "reload", credentials: "same-origin" });
  // Fails where a server of another build answers; the browser tries again when it next looks for a new worker.
  if ((await sha256(page.clone())) !== BUILD.page) throw new TypeError("the page is of another build");
  await cache.put(PAGE, page);
  await cache.addAll(BUILD.urls);
}

async function sha256(page: Response): Promise<string> {
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", await page.arrayBuffer()));
  return Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function forgetOthers(): Promise<void> {
  const names = (await caches.keys()).filter((name) => name.startsWith(PREFIX)); // the oldest first
  await Promise.all(outdated(names, CACHE).map((name) => caches.delete(name)));
  await self.clients.claim();
}

async function answer(target: string, request: Request): Promise<Response> {
  const kept = await caches.match(target, target === PAGE ? { cacheName: CACHE } : {});
  // Not kept because it is large and seldom needed, or evicted by the browser: the network has it.
  return kept ?? fetch(request);
}

async function tell(): Promise<void> {
  const open = await self.clients.matchAll({ type: "window", includeUncontrolled: true });
  // A page that is looked at says more than a notification could.
  if (open.some((client) => client.visibilityState === "visible" && client.focused)) return hint("push");
  const { title, options } = notice(self.navigator.languages);
  await self.registration.showNotification(title, options);
  await hint("push");
}

async function show(): Promise<void> {
  const open = await self.clients.matchAll({ type: "window", includeUncontrolled: true });
  const ours = open.find((client) => pathOf(client.url) === PAGE);
  if (ours === undefined) await self.clients.openWindow(PAGE);
  else await ours.focus();
}

/** Tell the open pages: one that sleeps in the background connects now. */
async function hint(what: "push" | "push-changed"): Promise<void> {
  const open = await self.clients.matchAll({ type: "window", includeUncontrolled: true });
  for (const client of open) client.postMessage(what);
}
