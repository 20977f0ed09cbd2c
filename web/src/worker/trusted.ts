/**
 * The one Trusted Types policy, `letterlock`: it makes URLs of our own workers, and of nothing else. The page's
 * Content-Security-Policy (config/webclient) lets no other policy be made, and no string become markup or a script.
 */

/** What the service worker is served as: its scope is the whole origin. */
export const SERVICE_WORKER = "/sw.js";

// Where the build puts workers (vite.config.ts), below the base of static files.
const WORKERS = /^\/static\/web\/workers\/[\w.-]+\.js$/;

interface Policy {
  createScriptURL(url: string): string;
}

interface Factory {
  createPolicy(name: string, rules: Policy): Policy;
}

const rules: Policy = { createScriptURL: ownWorker };
const factory = (globalThis as { trustedTypes?: Factory }).trustedTypes;
const policy = factory?.createPolicy("letterlock", rules) ?? rules;

/**
 * A URL for `new Worker(…)` or `serviceWorker.register(…)`. Where there are Trusted Types it is one, though its type says
 * string. Throws `TypeError` for any other script.
 *
 *     import url from "../worker/argon2?worker&url";
 *     new Worker(workerUrl(url), { type: "module" });
 */
export function workerUrl(url: string): string {
  return policy.createScriptURL(url);
}

function ownWorker(url: string): string {
  const { origin } = globalThis.location;
  const { origin: its, pathname, search } = new URL(url, origin);
  const isOurs = its === origin && search === "" && (pathname === SERVICE_WORKER || WORKERS.test(pathname));
  // The development server has other paths, and no policy is enforced there.
  if (isOurs || (import.meta.env.DEV && its === origin)) return url;
  throw new TypeError("not a script of this page's own workers");
}
