/**
 * Requests that publish the user's keys, each kept before it is sent: what it makes must outlive a lost answer and a reload.
 *
 *     kept  →  sent, and again as it was until there is an answer  →  taken: pinned, its key added, its recovery key shown
 *                                                                 └ not:   dropped
 *
 * The server answers a repeat as the first time. Where it cannot (others have changed the same since, or a proof of the user
 * was in the request and is not kept), the vault tells whether a new recovery key came through: its slot is the one that was sent.
 */

import { same } from "../../crypto/bytes";
import * as userkeys from "../../crypto/userkeys";
import { recoverySlot } from "../../crypto/vault";
import { Refusal } from "../../messenger";
import { addNotice } from "../../store/notices";
import type { Directory } from "./directory";
import type { Keyring, Pending } from "./keyring";
import type { Parts } from "./parts";
import { isForNow } from "./refusing";

/** Another change came first: this one was not taken, or it was, and has been followed by others. */
const OVERTAKEN: ReadonlySet<string> = new Set(["seq", "version", "already_set_up"]);

export function isOvertaken(error: unknown): error is Refusal {
  return error instanceof Refusal && OVERTAKEN.has(error.code);
}

export class Publisher {
  constructor(
    private readonly parts: Parts,
    private readonly keyring: Keyring,
    private readonly directory: Directory,
  ) {}

  /** Changes of the user's keys are made one at a time, from the look at what there is to the answer: in all tabs. */
  alone<Result>(work: () => Promise<Result>): Promise<Result> {
    return this.parts.locks.run("letterlock-keys", work);
  }

  /** Send it; to be called `alone`. `proof`: what goes along and is not kept. Rejected with what requests are. */
  async publish(pending: Pending, proof: Readonly<Record<string, string>> = {}): Promise<void> {
    await this.keyring.waitFor(pending);
    const { method, path, body, ifMatch } = pending;
    try {
      const match = ifMatch === null ? {} : { ifMatch };
      await this.parts.session.request(method, path, { body: { ...body, ...proof }, repeats: true, ...match });
    } catch (error) {
      const isUnsure = pending.recoveryKey !== null && isOvertaken(error);
      if (error instanceof Refusal && error.problem !== null && !isForNow(error) && !isUnsure)
        await this.keyring.waitFor(null);
      throw error;
    }
    await this.taken(pending);
  }

  /** Finish what may have been under way when a tab ended; to be called `alone`. What is not taken was overtaken, and counts no more. */
  async finish(): Promise<void> {
    try {
      await this.resume();
    } catch (error) {
      if (!(error instanceof Refusal) || error.problem === null || isForNow(error)) throw error;
    }
  }

  private async resume(): Promise<void> {
    const pending = await this.keyring.pending();
    const { device } = await this.parts.session.identity();
    // What an earlier sign-in of this store published says the vault, when it is opened next.
    if (pending === null || pending.device !== device) return;
    if (pending.isWhole) {
      try {
        await this.publish(pending);
      } catch (error) {
        if (pending.recoveryKey === null || !isOvertaken(error)) throw error;
      }
    }
    if ((await this.keyring.pending()) !== null) await this.askTheVault();
  }

  private async askTheVault(): Promise<void> {
    let sealed: unknown = null;
    try {
      sealed = await this.parts.session.request("GET", "e2ee/vault");
    } catch (error) {
      if (!(error instanceof Refusal && error.code === "keys_missing")) throw error;
    }
    await this.settle(sealed);
  }

  /** What is under way came through if the vault (as it travels) has its recovery key's slot. Else it is dropped. */
  async settle(sealed: unknown): Promise<void> {
    const pending = await this.keyring.pending();
    if (pending === null) return;
    const sent = recoverySlot(pending.body.vault);
    if (pending.recoveryKey !== null && sent !== null && sent === recoverySlot(sealed)) await this.taken(pending);
    else await this.keyring.waitFor(null);
  }

  private async taken(pending: Pending): Promise<void> {
    const { user } = await this.parts.session.identity();
    if (pending.body.userkeys !== undefined) {
      const document = await userkeys.read(pending.body.userkeys, user);
      const known = await this.directory.known(user);
      // What followed it may be here already.
      const isOurs = known !== null && same(known.identity, document.identity);
      if (known === null || (isOurs ? known.seq < document.seq : pending.isReset)) await this.directory.pin(document);
    }
    // Last: until then it is all done again.
    await this.keyring.settle(pending);
    const { db, bus } = this.parts;
    if (pending.recoveryKey !== null) await addNotice(db, { kind: "recovery-unconfirmed", id: "recovery-unconfirmed" });
    bus.tell({ type: "notices" });
  }
}
