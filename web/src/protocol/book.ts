/**
 * How a device keeps its copy of the user's connections in step (docs/protocol.md §5.2): what is news, what is complete, what to report.
 *
 * Every change has a number of its own, the *version*; a connection carries that of its newest change. So what comes may come
 * in any order and again: the newer one holds. What has to be known exactly is up to which version *nothing is missing*,
 * because that is what a device reports, and what enforcement goes by.
 */

import type { RelationsPage } from "./relations";

/** A block is reported at once, anything else together with what comes within this time. */
export const REPORT_MS = 3_000;

/** Whether to store what was said. Version 0 is that of people with whom there has never been anything. */
export function isNews(said: { version: number }, stored: { version: number } | undefined): boolean {
  return said.version > (stored?.version ?? 0);
}

/** `version`: everything up to it is stored. `heard`: the newest that this device has heard of. */
export interface Progress {
  readonly version: number;
  readonly heard: number;
}

export const NOTHING: Progress = { version: 0, heard: 0 };

/** Whether something is missing that only paging brings. */
export function isBehind(progress: Progress): boolean {
  return progress.heard > progress.version;
}

/** One change is stored. Only the next one in line completes anything; behind a gap it does not. */
export function stored(progress: Progress, version: number): Progress {
  const complete = version === progress.version + 1 ? version : progress.version;
  return { version: complete, heard: Math.max(progress.heard, version) };
}

/** There is such a version; what it says has not come. */
export function heardOf(progress: Progress, version: number): Progress {
  return { version: progress.version, heard: Math.max(progress.heard, version) };
}

/** Paging came to its end at this version. */
export function completed(progress: Progress, version: number): Progress {
  return { version: Math.max(progress.version, version), heard: Math.max(progress.heard, version) };
}

/**
 * Paging, from what is complete to the end. `since`: of the page that comes next; `newest`: the version at the last page.
 * Before its end nothing is complete: what changes meanwhile moves to a later page.
 */
export interface Run {
  readonly since: number;
  readonly newest: number;
}

/** Whether this page follows the last one, and was not read before it. */
export function expects(run: Run, since: number, page: RelationsPage): boolean {
  return since === run.since && page.version >= run.newest;
}

/** What to read next; null at the end. */
export function after(page: RelationsPage): Run | null {
  return page.next === null ? null : { since: page.next, newest: page.version };
}

/** When to tell the server what is stored. `told`: the newest version that it has confirmed. Times in ms. */
export class Reports {
  private at = Number.POSITIVE_INFINITY;

  constructor(public told: number) {}

  /** Something new is stored. */
  stored(now: number, atOnce: boolean): void {
    this.at = Math.min(this.at, atOnce ? now : now + REPORT_MS);
  }

  /** When to report that everything up to `version` is stored; infinity when that is said already. */
  dueAt(version: number): number {
    return version > this.told ? this.at : Number.POSITIVE_INFINITY;
  }

  /** A report is on its way: what is stored from now on wants another one. */
  begins(): void {
    this.at = Number.POSITIVE_INFINITY;
  }

  /** It may not have arrived: again, as soon as the caller's back-off allows. */
  failed(now: number): void {
    this.stored(now, true);
  }

  /** The server knows. */
  arrived(version: number): void {
    this.told = Math.max(this.told, version);
  }
}
