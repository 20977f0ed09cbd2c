/** The one envelope of errors (docs/protocol.md §2), on REST and on the socket. */

import type { Fields } from "./shape";

export interface Problem {
  readonly status: number;
  readonly code: string;
  readonly title: string;
  readonly detail: string;
  readonly field?: string;
  /** Seconds. */
  readonly retry_after?: number;
  /** Of the message that was refused. */
  readonly id?: string;
  /** Whatever else stands there for this code. */
  readonly [extra: string]: unknown;
}

/** Codes after which the same request may be repeated as it is. */
const RETRYABLE: ReadonlySet<string> = new Set([
  "rate_limited",
  "unavailable",
  "overloaded",
  "internal",
  "earlier_send_refused",
]);
/** Codes that concern everything that this device sends, not one room. */
export const EVERYTHING: ReadonlySet<string> = new Set(["rate_limited", "overloaded"]);

/** Other answers of 5xx (a proxy's 502, say) are repeated too: the outcome is unknown, and a repeat with the same id does no harm. */
export function mayRetry(problem: Problem): boolean {
  return RETRYABLE.has(problem.code) || problem.status >= 500;
}

/** Read a problem; what has no code (an answer that is not ours) becomes `http_<status>`. */
export function decodeProblem(value: unknown, status = 0): Problem {
  const given = typeof value === "object" && value !== null ? (value as Fields) : {};
  if (typeof given.code !== "string") {
    return { status, code: `http_${status}`, title: "The answer is not a Letterlock problem.", detail: "" };
  }
  const { field, retry_after, id, type: _, ...more } = given;
  return {
    ...more,
    status: typeof given.status === "number" ? given.status : status,
    code: given.code,
    title: typeof given.title === "string" ? given.title : "",
    detail: typeof given.detail === "string" ? given.detail : "",
    ...(typeof field === "string" && { field }),
    ...(typeof retry_after === "number" && retry_after >= 0 && { retry_after }),
    ...(typeof id === "string" && { id }),
  };
}

/** A problem of this device's own making, in the server's form. */
export function problem(code: string, status: number, detail = "", more: Fields = {}): Problem {
  return { ...more, status, code, title: "", detail };
}
