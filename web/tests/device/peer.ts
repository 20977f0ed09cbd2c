/**
 * The whole messenger without its pages, for tests/web/test_device_keys.py: one request a line on stdin, one answer a line on
 * stdout. A browser is an IndexedDB in memory, locks and a channel of its own; everything else is what runs in Chromium.
 */

import "fake-indexeddb/auto";

import { createInterface } from "node:readline";
import { signal } from "@preact/signals-core";
import { IDBFactory } from "fake-indexeddb";
import { WebSocket } from "ws";

import { FLOOR } from "../../src/crypto/kdf";
import { stretch } from "../../src/crypto/stretch";
import { clock } from "../../src/device/clock";
import { Device } from "../../src/device/device";
import { SealedEpochs } from "../../src/device/epochs";
import { Keys } from "../../src/device/keys";
import { TabsBus } from "../../src/device/tabs";
import { Refusal } from "../../src/messenger";
import type { RoomId } from "../../src/protocol/ids";
import { openStore } from "../../src/store/db";
import type { Wire } from "../../src/transport/socket";
import { BrowserLocks } from "./browsers";

// biome-ignore lint/suspicious/noExplicitAny: what the test says
type Told = any;

const browsers = new Map<string, Device>();

async function open(name: string, origin: string): Promise<void> {
  // A store of one's own for each browser, and none for the next one by accident.
  globalThis.indexedDB = new IDBFactory();
  const surroundings = {
    db: await openStore(),
    lost: new AbortController().signal,
    bus: new TabsBus(`letterlock-${name}`),
    locks: new BrowserLocks(),
    clock,
    open: (url: string) => new WebSocket(url) as unknown as Wire,
    origin,
    builds: { isNew: signal(false), goOn: () => undefined },
    storage: null,
    onHidden: () => undefined,
  };
  const push = { push: signal("unsupported" as const), enablePush: async () => {}, disablePush: async () => {} };
  const device = new Device(
    surroundings,
    (parts) => {
      const given = {
        ...parts,
        stretch,
        strength: FLOOR,
      };
      const keys = new Keys(given);
      return { keys, sealing: new SealedEpochs(given, keys) };
    },
    () => push,
  );
  browsers.set(name, device);
  await device.begin();
}

/** What a conversation shows. */
async function rows(device: Device, room: RoomId): Promise<unknown> {
  const timeline = await device.timeline(room);
  const shown = timeline.rows.value;
  timeline.close();
  return shown;
}

async function answer({ do: deed, browser, origin, args = [] }: Told): Promise<unknown> {
  if (deed === "open") return open(browser, origin);
  const device = browsers.get(browser) as Told;
  if (deed === "rows") return rows(device, args[0]);
  if (deed === "room") return device.room(args[0]).value;
  const member = device[deed];
  if (typeof member === "function") return member.apply(device, args);
  return member.value;
}

for await (const line of createInterface({ input: process.stdin })) {
  let told: unknown;
  try {
    told = { answer: (await answer(JSON.parse(line))) ?? null };
  } catch (error) {
    told = { refused: error instanceof Refusal ? error.code : String((error as Error).stack) };
  }
  process.stdout.write(`${JSON.stringify(told)}\n`);
}
process.exit();
