/** A server and a browser for each test, gone afterwards. */

import { afterEach, beforeEach } from "vitest";

import type { Row } from "../../src/messenger";
import { Browser } from "./browsers";
import { Server } from "./server";

export interface Stage {
  server: Server;
  browser: Browser;
}

export function stage(): Stage {
  const stage = {} as Stage;
  const others: Browser[] = [];
  beforeEach(async () => {
    stage.server = await Server.start();
    stage.browser = new Browser(stage.server);
    others.push(stage.browser);
  });
  afterEach(async () => {
    for (const browser of others.splice(0)) browser.close();
    await stage.server.stop();
  });
  return stage;
}

export type MessageRow = Extract<Row, { kind: "message" }>;

export function messages(rows: readonly Row[]): MessageRow[] {
  return rows.filter((row): row is MessageRow => row.kind === "message");
}

export function texts(rows: readonly Row[]): (string | null)[] {
  return messages(rows).map((row) => row.text);
}

/** Something that is held until the test lets it go. */
export function held(): { isHeld: boolean; hold: () => Promise<undefined>; go: () => void } {
  let go = (): void => undefined;
  const may = new Promise<undefined>((resolve) => {
    go = () => resolve(undefined);
  });
  const one = {
    isHeld: false,
    hold: () => {
      one.isHeld = true;
      return may;
    },
    go,
  };
  return one;
}

export function body(message: { ciphertext: string }): string {
  return Buffer.from(message.ciphertext, "base64url").toString();
}
