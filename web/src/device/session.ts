/** Being signed in: tokens, their rotation, and requests that carry them (docs/protocol.md §3). */

import { Refusal } from "../messenger";
import { decodeSignedIn, decodeTokens, type Tokens } from "../protocol/answers";
import { Backoff } from "../protocol/backoff";
import { mayRetry } from "../protocol/problems";
import { Malformed } from "../protocol/shape";
import { type Db, wipe } from "../store/db";
import { forgetPutDown } from "../store/drafts";
import { enter, OtherAccount } from "../store/entering";
import { getValue, valuesIn } from "../store/values";
import { type Answer, ask, type Method, Unreachable } from "../transport/rest";
import type { Clock } from "./clock";
import type { Bus, Identity, Session } from "./ports";
import type { Locks } from "./tabs";

/** An access token that ends within this time is replaced before it is used. */
const EARLY_MS = 20_000;
/** For how long a request is repeated that was not answered, or refused for the time being. */
const PATIENCE_MS = 20_000;

type Options = NonNullable<Parameters<Session["request"]>[2]>;

export class DeviceSession implements Session {
  private known: Promise<Identity> | null = null;
  private clockIsOff = false;

  constructor(
    private readonly db: Db,
    private readonly bus: Bus,
    private readonly locks: Locks,
    private readonly clock: Clock,
    readonly origin: string,
  ) {
    // Another tab signed in or out.
    bus.listen((news) => {
      if (news.type === "account") this.known = null;
    });
  }

  identity(): Promise<Identity> {
    if (this.known !== null) return this.known;
    const known = getValue(this.db, "identity").then((identity) => {
      if (identity === undefined) throw new Refusal("signed_out");
      return identity;
    });
    this.known = known;
    known.catch(() => {
      if (this.known === known) this.known = null;
    });
    return known;
  }

  async request(method: Method, path: string, options: Options = {}): Promise<unknown> {
    const repeats = options.repeats ?? method !== "POST";
    return this.patiently(() => this.once(method, path, options), repeats, options.signal);
  }

  async enter(
    path: "accounts/register" | "accounts/sign-in",
    form: Readonly<Record<string, unknown>>,
  ): Promise<Identity> {
    const answer = await this.patiently(() => ask(this.origin, "POST", path, { body: form }), false);
    const { tokens, ...identity } = shaped(() => decodeSignedIn(answer));
    try {
      await enter(this.db, identity, tokens, form.username);
    } catch (error) {
      if (error instanceof OtherAccount) throw new Refusal("not_verified");
      throw error;
    }
    this.bus.tell({ type: "account" });
    return identity;
  }

  async leave(): Promise<void> {
    try {
      if ((await getValue(this.db, "tokens")) !== undefined)
        await this.request("POST", "accounts/sign-out", { body: {} });
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
    } finally {
      forgetPutDown();
      await wipe(this.db);
      this.bus.tell({ type: "account" });
    }
  }

  /** A valid access token, another than the `refused` one. Rejected with `Refusal`: `signed_out`, `suspended`, `offline`, …. */
  async access(refused?: string): Promise<string> {
    const tokens = await this.tokens();
    if (this.isGood(tokens, refused)) return tokens.access;
    return this.locks.run("letterlock-tokens", async () => {
      // Another tab may have been here before: a refresh token is spent by its use.
      const newest = await this.tokens();
      return this.isGood(newest, refused) ? newest.access : (await this.refresh(newest)).access;
    });
  }

  private isGood(tokens: Tokens, refused: string | undefined): boolean {
    return tokens.access !== refused && (this.clockIsOff || !this.endsSoon(tokens));
  }

  private endsSoon(tokens: Tokens): boolean {
    return tokens.accessExpiresAt <= this.clock.now() + EARLY_MS;
  }

  private async tokens(): Promise<Tokens> {
    const tokens = await getValue(this.db, "tokens");
    if (tokens === undefined) throw new Refusal("signed_out");
    return tokens;
  }

  private async refresh(old: Tokens): Promise<Tokens> {
    const body = { refresh: old.refresh };
    try {
      // Repeated if no answer comes: the server answers a spent token again for a short time.
      const answer = await this.patiently(() => ask(this.origin, "POST", "accounts/refresh", { body }), true);
      const tokens = shaped(() => decodeTokens(answer));
      await this.replace(old, tokens);
      // If a new token seems to have ended, it is this device's clock: then only the server's refusal counts.
      this.clockIsOff = this.endsSoon(tokens);
      return tokens;
    } catch (error) {
      if (error instanceof Refusal && error.problem?.status === 401) {
        await this.replace(old, null);
        this.bus.tell({ type: "account" });
        throw new Refusal("signed_out", error.problem);
      }
      throw error;
    }
  }

  /** What became of tokens. Those that are there by now may be another account's, which has signed in meanwhile: they stay. */
  private async replace(old: Tokens, tokens: Tokens | null): Promise<void> {
    const tx = this.db.transaction("values", "readwrite");
    const values = valuesIn(tx.store);
    const isThere = (await values.get("tokens"))?.refresh === old.refresh;
    if (isThere && tokens === null) values.delete("tokens");
    if (isThere && tokens !== null) values.put("tokens", tokens);
    await tx.done;
    if (!isThere) throw new Refusal("signed_out");
  }

  private async once(method: Method, path: string, options: Options): Promise<Answer> {
    const { body, ifMatch, signal, anonymous } = options;
    const request = {
      ...(body !== undefined && { body }),
      ...(ifMatch !== undefined && { ifMatch }),
      ...(signal !== undefined && { signal }),
    };
    if (anonymous) return ask(this.origin, method, path, request);
    const token = await this.access();
    const answer = await ask(this.origin, method, path, { ...request, token });
    if (answer.ok || answer.problem.code !== "unauthenticated") return answer;
    return ask(this.origin, method, path, { ...request, token: await this.access(token) });
  }

  private async patiently(call: () => Promise<Answer>, repeats: boolean, signal?: AbortSignal): Promise<unknown> {
    const deadline = this.clock.monotonic() + PATIENCE_MS;
    for (let backoff = new Backoff(); ; backoff = backoff.failed()) {
      let refusal: Refusal;
      try {
        const answer = await call();
        if (answer.ok) return answer.body;
        refusal = new Refusal(answer.problem.code, answer.problem);
      } catch (error) {
        if (!(error instanceof Unreachable)) throw error;
        refusal = new Refusal("offline");
      }
      // Over a rate, nothing was done. Other failures may have come after the deed.
      const may =
        refusal.problem === null ? repeats : mayRetry(refusal.problem) && (repeats || refusal.code === "rate_limited");
      const delay = backoff.delay(this.clock.chance(), refusal.problem?.retry_after);
      if (!may || isKnownOffline() || this.clock.monotonic() + delay > deadline) throw refusal;
      await this.clock.wait(delay, signal);
    }
  }
}

/** The browser knows that there is no network at all; that there is one, it cannot know. */
export function isKnownOffline(): boolean {
  return typeof navigator !== "undefined" && navigator.onLine === false;
}

/** What a broken server says is refused as if it had not answered. */
export function shaped<Result>(decode: () => Result): Result {
  try {
    return decode();
  } catch (error) {
    if (error instanceof Malformed) throw new Refusal("offline");
    throw error;
  }
}
