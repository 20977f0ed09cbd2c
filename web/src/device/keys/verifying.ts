/** Comparing keys with somebody, so that no server stands between: by a number, or by scanning a code. */

import { type Bytes, same } from "../../crypto/bytes";
import { isRefused } from "../../crypto/errors";
import { qrText, readQr, safetyNumber } from "../../crypto/safety";
import { Refusal, type Safety } from "../../messenger";
import type { UserId } from "../../protocol/ids";
import type { Session } from "../ports";
import type { Directory } from "./directory";

/** Remembers what was shown: what the user then confirms is that, and not what came in between. */
export class Verifier {
  private readonly shown = new Map<UserId, Bytes>();

  constructor(
    private readonly session: Session,
    private readonly directory: Directory,
  ) {}

  /** Another account has begun. */
  forget(): void {
    this.shown.clear();
  }

  /** 60 digits, the same for both, and the user's own code. Rejected with `not_found` without the user's keys. */
  async safety(user: UserId): Promise<Safety> {
    const me = (await this.session.identity()).user;
    const [mine, theirs] = [await this.identity(me), await this.identity(user)];
    this.shown.set(user, theirs);
    return {
      number: await safetyNumber({ user: me, identity: mine }, { user, identity: theirs }),
      qr: qrText(me, mine),
      verified: this.directory.verified.value.has(user),
    };
  }

  /** The number was the same. Rejected with `identity_changed` when it is another one by now. */
  async verify(user: UserId, on: boolean): Promise<void> {
    const identity = await this.identity(user);
    const shown = this.shown.get(user) ?? identity;
    if (on && !same(shown, identity)) throw new Refusal("identity_changed");
    this.shown.delete(user);
    await this.directory.verify(user, on ? identity : null);
  }

  /** The code that this user showed. Rejected with `not_a_code`, and `other_code` if it names another user, or other keys than the server. */
  async scanned(text: string, user: UserId): Promise<void> {
    const shown = codeOf(text);
    const isTheirs = shown.user === user && same(await this.identity(user), shown.identity);
    if (!isTheirs) throw new Refusal("other_code");
    await this.directory.verify(user, shown.identity);
  }

  private async identity(user: UserId): Promise<Bytes> {
    const found = (await this.directory.get([user])).get(user);
    if (found === undefined) throw new Refusal("not_found");
    return found.identity;
  }
}

function codeOf(text: string): ReturnType<typeof readQr> {
  try {
    return readQr(text);
  } catch (error) {
    if (isRefused(error, "bad_encoding")) throw new Refusal("not_a_code");
    throw error;
  }
}
