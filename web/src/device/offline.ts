/** The service worker (worker/sw.ts): the page loads without a network, and a push wakes it. */

import { SERVICE_WORKER, workerUrl } from "../worker/trusted";
import type { Builds } from "./builds";
import { log } from "./parts";

/** What the service worker says to pages. */
export interface Hears {
  /** Something has come: a page that slept connects now. */
  push(): void;
  /** The browser has changed its subscription by itself. */
  changed(): void;
}

/**
 * Start it, where there are service workers. A page that was just loaded, and in which nobody has done anything yet, lets a new
 * build take over and loads once more, with it; one that is open offers it to the user (builds.ts). Never rejected: without it the page works as long as there is a network.
 */
export async function startServiceWorker(hears: Hears, builds: Builds): Promise<void> {
  if (!("serviceWorker" in navigator) || import.meta.env.DEV) return;
  const { serviceWorker } = navigator;
  serviceWorker.addEventListener("message", ({ data }) => {
    if (data === "push") hears.push();
    if (data === "push-changed") hears.changed();
  });
  try {
    const waiting = (await serviceWorker.getRegistration())?.waiting;
    const registration = await serviceWorker.register(workerUrl(SERVICE_WORKER), {
      scope: "/",
      updateViaCache: "none",
    });
    if (!waiting || !registration.active || !serviceWorker.controller) {
      builds.watch(serviceWorker, registration);
      return;
    }
    serviceWorker.addEventListener("controllerchange", () => location.reload(), { once: true });
    waiting.postMessage("take-over");
  } catch (error) {
    log("the page cannot be kept for when there is no network", error);
  }
}
