/** One life of the socket, on a wire and a clock that the test moves (docs/protocol.md §4.4). */

import "fake-indexeddb/auto";
import { IDBFactory } from "fake-indexeddb";
import { afterEach, beforeEach, expect, test } from "vitest";

import { clock as real } from "../../src/device/clock";
import { Connection, Stalled } from "../../src/device/connection";
import type { Parts } from "../../src/device/parts";
import { Receiver } from "../../src/device/receiving";
import { Sender } from "../../src/device/sending";
import { TabsBus } from "../../src/device/tabs";
import { openStore } from "../../src/store/db";
import { storedRange } from "../../src/store/mailbox";
import { write } from "../../src/store/outbox";
import { putValue } from "../../src/store/values";
import { Socket, SocketClosed, type Wire } from "../../src/transport/socket";
import { BOB, BOBS, KITCHEN, messageEntry, welcome } from "../shapes";
import { eventually, Open } from "./browsers";

const S = 1_000;

class TestWire implements Wire {
  readonly bufferedAmount = 0;
  readonly sent: { type: string }[] = [];
  onopen: Wire["onopen"] = null;
  onmessage: Wire["onmessage"] = null;
  onclose: Wire["onclose"] = null;

  constructor(private readonly happened: string[]) {}

  send(data: string): void {
    this.sent.push(JSON.parse(data));
  }
  close(): void {
    this.happened.push("closed");
  }
  says(...frames: object[]): void {
    for (const frame of frames) this.onmessage?.({ data: JSON.stringify(frame) } as MessageEvent);
  }
  pings(): number {
    return this.sent.filter(({ type }) => type === "ping").length;
  }
}

/** Opening takes as long as the test wants. */
class Slow extends Open {
  isBusy = false;
  go = (): void => undefined;
  private readonly may = new Promise<void>((resolve) => {
    this.go = resolve;
  });

  override async open(...messages: Parameters<Open["open"]>) {
    this.isBusy = true;
    await this.may;
    return super.open(...messages);
  }
}

class TestSender extends Sender {
  happened: string[] = [];

  override async disconnected(): Promise<void> {
    this.happened.push("disconnected");
    await super.disconnected();
  }
}

const over = new Set<AbortController>();

beforeEach(() => {
  globalThis.indexedDB = new IDBFactory();
});

afterEach(() => {
  for (const one of over) one.abort();
  over.clear();
});

/** Bob's device, connected, and welcomed unless the test does not want that. */
async function connected({ isWelcomed = true } = {}) {
  const happened: string[] = [];
  const db = await openStore();
  const identity = { user: BOB, username: "bob", device: BOBS, deviceName: "browser" };
  await putValue(db, "identity", identity);
  await putValue(db, "stored", 0);
  let ahead = 0;
  // Times pass when the test says so; whoever waits looks at the clock every 10 ms.
  const clock = {
    ...real,
    monotonic: () => ahead,
    wait: (ms: number, signal?: AbortSignal) => real.wait(Math.min(ms, 10), signal),
  };
  const sealing = new Slow();
  const session = { identity: async () => identity };
  const parts = { db, bus: new TabsBus("letterlock-connection"), session, sealing, clock } as unknown as Parts;
  const sender = new TestSender(parts, identity);
  sender.happened = happened;
  const receiver = new Receiver(parts, identity, { stored: () => happened.push("stored") });
  const inbox = (await receiver.begin())!;
  const wire = new TestWire(happened);
  const opening = Socket.open(() => wire, "ws://test");
  wire.onopen?.({} as Event);
  const life = { entered: () => undefined, live: () => undefined, moved: () => undefined };
  const connection = new Connection(await opening, inbox, parts, sender, receiver, life);
  const ending = new AbortController();
  over.add(ending);
  const ended = connection.run("token", ending.signal);
  ended.catch(() => undefined);
  if (isWelcomed) {
    wire.says(welcome({ last_seq: 1 }));
    await eventually(() => connection.isOpen);
  }
  const passes = (ms: number): void => {
    ahead += ms;
  };
  return { db, wire, sealing, sender, happened, ended, passes };
}

test("a connection is over once what it is storing is stored, whatever it ends of", async () => {
  const { db, wire, sealing, sender, happened, ended, passes } = await connected();
  await write(db, KITCHEN, "Is anybody there?", 1);
  await sender.look(KITCHEN);
  await eventually(() => wire.sent.some(({ type }) => type === "send"));
  wire.says({ type: "entries", entries: [messageEntry(1)] });
  await eventually(() => sealing.isBusy);

  passes(31 * S);
  await eventually(() => happened.includes("closed"));
  sealing.go();
  await expect(ended).rejects.toThrow(Stalled);
  expect(happened).toEqual(["closed", "stored", "disconnected"]);
  expect(await storedRange(db)).toMatchObject({ stored: 1 });
});

test("a connection on which nothing is heard for 50 s is over", async () => {
  const { wire, ended, passes } = await connected();
  passes(20 * S);
  await eventually(() => wire.pings() === 1);
  wire.says({ type: "pong" });
  passes(20 * S);
  await eventually(() => wire.pings() === 2);
  passes(31 * S);
  await expect(ended).rejects.toThrow(SocketClosed);
});

test("a connection that is never welcomed is over after 30 s", async () => {
  const { wire, ended, passes } = await connected({ isWelcomed: false });
  await eventually(() => wire.sent.some(({ type }) => type === "hello"));
  passes(31 * S);
  await expect(ended).rejects.toThrow(SocketClosed);
  expect(wire.pings()).toBe(0);
});

test("what waits while something takes long to be stored was heard when it came", async () => {
  const { wire, sealing, ended, passes } = await connected();
  wire.says({ type: "entries", entries: [messageEntry(1)] });
  await eventually(() => sealing.isBusy);
  passes(20 * S);
  await eventually(() => wire.pings() === 1);
  wire.says({ type: "pong" });
  passes(31 * S);
  await eventually(() => wire.pings() === 2);
  passes(31 * S);
  sealing.go();
  await expect(ended).rejects.toThrow(SocketClosed);
});
