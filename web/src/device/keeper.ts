/** Gives a device one connection after the other, for as long as that can succeed (docs/protocol.md §4.3 to §4.5). */

import { type Connection as ConnectionState, Refusal } from "../messenger";
import { decodeAssignment } from "../protocol/answers";
import { Backoff, MOST_MS } from "../protocol/backoff";
import { type Next, nextAfter } from "../protocol/closing";
import { MailboxDiverged } from "../protocol/inbox";
import { mayRetry } from "../protocol/problems";
import { Malformed } from "../protocol/shape";
import { isFull } from "../store/db";
import { Socket, SocketClosed } from "../transport/socket";
import { Wake } from "./clock";
import { Connection, Stalled } from "./connection";
import { log, type Parts } from "./parts";
import { Gap, type Receiver } from "./receiving";
import type { Sender } from "./sending";

/** The host could not be reached at all; another one may. */
class NoSocket extends Error {}

export interface Hooks {
  /** A new device has nothing yet: read its history first. Resolved when there is enough to connect. */
  restore(signal: AbortSignal): Promise<void>;
  /** Everything up to now is here. */
  live(): void;
}

export class Keeper {
  connection: Connection | null = null;
  private readonly hurrying = new Wake();
  /** Where the server wants this device, and from when on (monotonic). */
  private move: { url: string | null; at: number } | null = null;

  constructor(
    private readonly parts: Parts,
    private readonly sender: Sender,
    private readonly receiver: Receiver,
    private readonly hooks: Hooks,
  ) {}

  /** Connect, and connect again, until `signal` ends it. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock } = this.parts;
    let backoff = new Backoff();
    let refused: string | undefined;
    let host: string | null = null; // null: ask for the assignment
    while (!signal.aborted) {
      this.enter({ state: "connecting" });
      const began = clock.monotonic();
      const life = await this.live(host, refused, signal);
      if (signal.aborted) return;
      log("disconnected", life.reason);
      const step = stepAfter(life.reason);
      if (step === "suspended") this.enter({ state: "stopped", reason: "suspended" });
      if (step === "stop") {
        // Nothing that passes by itself: until somebody signs in (that ends this), or the user wants it tried again.
        this.enter({ state: "stopped", reason: stopReason(life.reason) });
        await this.hurrying.wait(clock, Number.POSITIVE_INFINITY, signal).catch(() => undefined);
        continue;
      }
      backoff = backoff.after(clock.monotonic() - began);
      host = null;
      if (this.move !== null) {
        const { url, at } = this.move;
        this.move = null;
        host = url;
        await clock.wait(at - clock.monotonic(), signal).catch(() => undefined);
        continue;
      }
      if (life.reason instanceof NoSocket && life.url !== this.parts.session.origin) {
        host = this.parts.session.origin; // at once, before the usual back-off
        continue;
      }
      // Refused twice in a row, it is not the token alone: then wait as well.
      const atOnce = step === "refresh" && refused === undefined;
      refused = step === "refresh" ? life.token : undefined;
      if (atOnce) continue;
      const full = isFull(life.reason) ? ({ reason: "storage_full" } as const) : {};
      await this.rest(delayOf(backoff, step, life.reason, clock.chance()), step, full, signal);
      backoff = backoff.failed();
    }
  }

  private async rest(ms: number, step: Next, why: { reason?: "storage_full" }, signal: AbortSignal): Promise<void> {
    const retryAt = Math.round(this.parts.clock.now() + ms);
    if (step !== "suspended") this.enter({ state: "offline", retryAt, ...why });
    await this.hurrying.wait(this.parts.clock, ms, signal).catch(() => undefined);
  }

  /** Try now what would be tried later. */
  hurry(): void {
    this.hurrying.set();
  }

  /** One connection from beginning to end: why it ended, and the token that it used. */
  private async live(
    host: string | null,
    refused: string | undefined,
    signal: AbortSignal,
  ): Promise<{ reason: unknown; token?: string; url: string }> {
    const { session, clock, open } = this.parts;
    let url = host ?? session.origin;
    let token: string | undefined;
    try {
      token = await session.access(refused);
      await this.hooks.restore(signal);
      const inbox = await this.receiver.begin();
      if (inbox === null) throw new Error("nothing is stored after restoring");
      if (host === null) url = await this.assigned();
      const socket = await Socket.open(open, `ws${url.slice("http".length)}/api/v1/socket`).catch((error) => {
        throw error instanceof SocketClosed && error.code === null ? new NoSocket("not reachable") : error;
      });
      const connection = new Connection(socket, inbox, this.parts, this.sender, this.receiver, {
        entered: (state) => this.enter(state),
        live: () => this.hooks.live(),
        moved: (to, afterMs) => {
          const wait = clock.chance() * afterMs;
          this.move = { url: this.isAllowed(to) ? to : null, at: clock.monotonic() + wait };
          clock.wait(wait, signal).then(
            () => socket.close(1012),
            () => undefined,
          );
        },
      });
      this.connection = connection;
      return await connection.run(token, signal);
    } catch (reason) {
      return { reason, url, ...(token !== undefined && { token }) };
    } finally {
      this.connection = null;
    }
  }

  private async assigned(): Promise<string> {
    const { session } = this.parts;
    try {
      const url = decodeAssignment(await session.request("GET", "hosts/assignment", { repeats: false }));
      return this.isAllowed(url) ? url : session.origin;
    } catch (error) {
      // All hosts are full: asked again when the server says. Anything else: the host of the page.
      if (error instanceof Refusal && error.code === "overloaded") throw error;
      if (error instanceof Refusal || error instanceof Malformed) return session.origin;
      throw error;
    }
  }

  /** A page that came by https goes on by https alone. */
  private isAllowed(url: string | null): url is string {
    if (url === null) return false;
    return (
      url.startsWith("https://") || (url.startsWith("http://") && !this.parts.session.origin.startsWith("https://"))
    );
  }

  private enter(state: ConnectionState): void {
    this.parts.bus.tell({ type: "connection", state });
  }
}

function stepAfter(reason: unknown): Next {
  if (reason instanceof SocketClosed) return nextAfter(reason.code);
  if (reason instanceof Gap || reason instanceof Malformed || reason instanceof Stalled || reason instanceof NoSocket) {
    return "reconnect";
  }
  if (reason instanceof Refusal) {
    if (reason.code === "suspended") return "suspended";
    return reason.code === "offline" || (reason.problem !== null && mayRetry(reason.problem)) ? "reconnect" : "stop";
  }
  if (reason instanceof MailboxDiverged) return "stop";
  if (isFull(reason)) return "later"; // all of it would come again each time
  // A mistake of ours, or the disk's: it may pass, and stopping helps nobody.
  return "reconnect";
}

function stopReason(reason: unknown): "signed_out" | "fault" {
  return reason instanceof Refusal && reason.code === "signed_out" ? "signed_out" : "fault";
}

function delayOf(backoff: Backoff, step: Next, reason: unknown, chance: number): number {
  if (step === "suspended") return 2 * MOST_MS + backoff.delay(chance);
  if (step === "later") return MOST_MS / 2 + backoff.delay(chance);
  return backoff.delay(chance, reason instanceof Refusal ? reason.problem?.retry_after : undefined);
}
