/** What a close code of the socket means (docs/protocol.md §4.3). */

export type Next =
  | "reconnect" // after a full-jitter back-off
  | "refresh" // get a new access token first
  | "later" // the server asked us to slow down
  | "suspended" // not before somebody has restored the account
  | "stop"; // reconnecting cannot help

const NEXT: Readonly<Record<number, Next>> = {
  1012: "reconnect",
  4400: "stop",
  4401: "refresh",
  4403: "suspended",
  4408: "reconnect",
  4009: "reconnect",
  4429: "later",
};

/** The next step after a close code; null is a connection that broke without one. Unknown codes reconnect. */
export function nextAfter(code: number | null): Next {
  return (code !== null && NEXT[code]) || "reconnect";
}
