/**
 * Web Push on this device (docs/protocol.md §3.5): a closed browser is told that there is something, and nothing more.
 *
 * What the user wants is in the store (`values.push`: the key that was subscribed with); the browser has the subscription, the
 * server a copy of it. All three are brought together at each start and when somebody signs in or out.
 */

import { signal } from "@preact/signals-core";

import { type Messenger, Refusal } from "../messenger";
import { fromText, toText } from "../protocol/base64url";
import { fields, text } from "../protocol/shape";
import { forgetValue, getValue, putValue } from "../store/values";
import { log, type Parts } from "./parts";

type State = Messenger["push"]["value"];

/** What a browser gives for it; null where it has none of that. */
export interface PushBrowser {
  permission(): NotificationPermission;
  ask(): Promise<NotificationPermission>;
  manager(): Promise<PushManager>;
}

export function pushOfBrowser(): PushBrowser | null {
  if (!("serviceWorker" in navigator) || !("PushManager" in globalThis) || !("Notification" in globalThis)) return null;
  return {
    permission: () => Notification.permission,
    ask: () => Notification.requestPermission(),
    manager: async () => (await navigator.serviceWorker.ready).pushManager,
  };
}

export class Push {
  readonly push = signal<State>("off");

  constructor(
    private readonly parts: Parts,
    private readonly browser: PushBrowser | null,
  ) {
    parts.bus.listen((news) => {
      if (news.type === "account") void this.refresh();
    });
  }

  /** Bring browser, server and store together; never rejected. */
  async refresh(): Promise<void> {
    if (this.browser === null) {
      this.push.value = "unsupported";
      return;
    }
    try {
      await this.look();
      await this.alone(async (manager) => {
        const { identity, wanted } = await this.look();
        // Of somebody who has signed out: nobody is told here any more.
        if (identity === undefined) await end(manager);
        else if (this.push.value === "on") await this.subscribe(manager);
        else if (wanted === undefined && (await manager.getSubscription()) !== null) await this.stop(manager);
      });
    } catch (error) {
      log("push is looked after at the next start", error);
    }
  }

  /** Show how it stands. */
  private async look() {
    const { db } = this.parts;
    const [identity, wanted] = await Promise.all([getValue(db, "identity"), getValue(db, "push")]);
    this.push.value = this.stateFor(identity !== undefined && wanted !== undefined);
    return { identity, wanted };
  }

  /** One thing after the other, whichever tab begins it: what is being switched on is not switched off halfway, or back on. */
  private async alone(task: (manager: PushManager) => Promise<void>): Promise<void> {
    const manager = await this.browser!.manager();
    return this.parts.locks.run("letterlock-push", () => task(manager));
  }

  enablePush = async (): Promise<void> => {
    if (this.browser === null) throw new Refusal("unsupported");
    if (this.browser.permission() === "default") await this.browser.ask();
    this.push.value = this.stateFor(false);
    if (this.browser.permission() !== "granted") return;
    await this.alone((manager) => this.subscribe(manager));
    this.push.value = "on";
  };

  disablePush = async (): Promise<void> => {
    if (this.browser === null) throw new Refusal("unsupported");
    await this.alone(async (manager) => {
      await forgetValue(this.parts.db, "push");
      this.push.value = this.stateFor(false);
      await this.stop(manager);
    });
  };

  private stateFor(isWanted: boolean): State {
    const permission = this.browser?.permission();
    if (permission === "denied") return "denied";
    return isWanted && permission === "granted" ? "on" : "off";
  }

  /** With the server's key as it is now; a subscription with another one is of no use any more. */
  private async subscribe(manager: PushManager): Promise<void> {
    const { db, session } = this.parts;
    const key = text(fields(await session.request("GET", "push/key"), "a key"), "key");
    if ((await getValue(db, "push")) !== key) await end(manager);
    let subscription = await manager.getSubscription();
    try {
      subscription ??= await manager.subscribe({ userVisibleOnly: true, applicationServerKey: fromText(key) });
    } catch (error) {
      // The browser's own push service is not to be had: blocked, or unknown to this browser.
      log("the browser gives no subscription", error);
      throw new Refusal("unsupported");
    }
    const body = {
      endpoint: subscription.endpoint,
      p256dh: part(subscription, "p256dh"),
      auth: part(subscription, "auth"),
    };
    await session.request("PUT", "push/subscription", { body });
    await putValue(db, "push", key);
  }

  /** Either is enough for nothing to come: a subscription that has ended is gone for the push service, which tells the server. */
  private async stop(manager: PushManager): Promise<void> {
    const told = this.parts.session.request("DELETE", "push/subscription");
    const [ended, forgotten] = await Promise.allSettled([end(manager), told]);
    if (ended.status === "rejected" && forgotten.status === "rejected") throw forgotten.reason;
  }
}

async function end(manager: PushManager): Promise<void> {
  await (await manager.getSubscription())?.unsubscribe();
}

function part(subscription: PushSubscription, name: PushEncryptionKeyName): string {
  return toText(new Uint8Array(subscription.getKey(name) ?? new ArrayBuffer(0)));
}
