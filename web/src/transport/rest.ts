/** REST: requests out, parsed JSON or a refusal back (docs/protocol.md §2, §3). No decisions in here. */

import { decodeProblem, type Problem } from "../protocol/problems";
import { parsed } from "../protocol/shape";

const TIMEOUT_MS = 20_000;

export type Method = "GET" | "POST" | "PUT" | "PATCH" | "DELETE";

export interface Request {
  readonly body?: unknown;
  readonly token?: string;
  /** The version that this replaces. */
  readonly ifMatch?: number;
  readonly signal?: AbortSignal;
}

export type Answer =
  | { readonly ok: true; readonly body: unknown } // null for 204
  | { readonly ok: false; readonly problem: Problem };

/** There was no answer. What became of the request is not known. */
export class Unreachable extends Error {}

/** One request. `path` is relative to `/api/v1/` at `origin`. Rejected with `Unreachable`, or with the reason of `signal`. */
export async function ask(origin: string, method: Method, path: string, request: Request = {}): Promise<Answer> {
  const { body, token, ifMatch, signal } = request;
  const headers = new Headers();
  if (token !== undefined) headers.set("Authorization", `Bearer ${token}`);
  if (ifMatch !== undefined) headers.set("If-Match", String(ifMatch));
  if (body !== undefined) headers.set("Content-Type", "application/json");
  const timeout = AbortSignal.timeout(TIMEOUT_MS);
  try {
    const answer = await fetch(`${origin}/api/v1/${path}`, {
      method,
      headers,
      credentials: "omit",
      cache: "no-store",
      redirect: "error",
      signal: signal === undefined ? timeout : AbortSignal.any([signal, timeout]),
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    const text = await answer.text();
    if (answer.ok) return { ok: true, body: text === "" ? null : parsed(text) };
    return { ok: false, problem: problemOf(answer, text) };
  } catch {
    signal?.throwIfAborted();
    throw new Unreachable(`${method} ${path.split("?")[0]}`);
  }
}

function problemOf(answer: Response, text: string): Problem {
  const problem = decodeProblem(parsed(text), answer.status);
  // A proxy's 503 has no body of ours, but may have the header (RFC 9110 §10.2.3; its form with a date is passed over).
  const after = answer.headers.get("Retry-After") ?? "";
  return problem.retry_after === undefined && /^\d{1,6}$/.test(after)
    ? { ...problem, retry_after: Number(after) }
    : problem;
}
