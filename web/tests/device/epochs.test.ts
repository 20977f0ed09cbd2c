/** What a device refuses of a server, or of a member, that lies about epochs: tests/client/test_sealed_rules.py, in the browser. */

import { beforeEach, describe, expect, test, vi } from "vitest";

import type { Secret } from "../../src/crypto/bytes";
import * as crypto_ from "../../src/crypto/epochs";
import { lineOf, writeLine, writeWrap } from "../../src/crypto/epochs";
import * as messages from "../../src/crypto/messages";
import type { UserKeys } from "../../src/crypto/userkeys";
import { check } from "../../src/device/epochs";
import { changeOf, isDue, MOST_MESSAGES, OLDEST_S, whyNot } from "../../src/device/epochs/rules";
import type { SealedMessage } from "../../src/device/ports";
import { Refusal } from "../../src/messenger";
import { decodeRoom } from "../../src/protocol/answers";
import type { RoomId, UserId } from "../../src/protocol/ids";
import { shares } from "../../src/store/epochs";
import { keepRoom, unknownRoom } from "../../src/store/rooms";
import { Ledger, newId, refusal, type Told } from "./ledger";
import { another, type Device, PASSWORD, Puppet, person } from "./person";

vi.setConfig({ testTimeout: 60_000 }); // whole stories, on machines that do other things as well

let ledger: Ledger;
let alice: Device;
let bob: Device;
let mallory: Device;
/** What a mailbox says of somebody who has been added to a group. */
const added = (room: RoomId, by: Device, user: Device) => ({
  kind: "room",
  seq: 2,
  room,
  change: "added",
  by: by.user,
  users: [user.user],
  role: "member",
  members_version: 2,
});

beforeEach(async () => {
  ledger = new Ledger();
  [alice, bob, mallory] = await Promise.all([
    person(ledger, "alice"),
    person(ledger, "bob"),
    person(ledger, "mallory"),
  ]);
});

async function code(work: Promise<unknown>): Promise<string> {
  const error: unknown = await work.then(
    () => "nothing was refused",
    (reason) => reason,
  );
  expect(error).toBeInstanceOf(Refusal);
  return (error as Refusal).code;
}

const nowS = () => Math.floor(Date.now() / 1000);

/** An epoch by somebody's own hand, put into the ledger. */
async function byHand(
  room: RoomId,
  epoch: number,
  by: Device | Puppet,
  members: readonly UserKeys[],
  changes: { prev?: Uint8Array<ArrayBuffer>; signer?: CryptoKey; ts?: number; secret?: Secret } = {},
): Promise<Told> {
  const signer = changes.signer ?? (by instanceof Puppet ? by.signer : await by.pair()).privateKey;
  const made = await crypto_.create({
    room,
    epoch,
    prev: changes.prev ?? new Uint8Array(0),
    creator: by.user,
    device: by.device,
    signer,
    members,
    nowS: changes.ts ?? nowS(),
  });
  const told = { epoch, creator: by.user, device: by.device, ...crypto_.upload(made, 1) } as Told;
  ledger.made(room)[epoch - 1] = told;
  return { ...told, made };
}

test("a text goes from one to the other and the server has none of it", async () => {
  const room = ledger.room([alice, bob]);
  const message = await alice.says(room, "hello, bob");

  expect([await bob.reads(message), await alice.reads(message)]).toEqual(["hello, bob", "hello, bob"]);
  expect(JSON.stringify([...ledger.epochs.values(), message])).not.toContain("hello");
  expect([message.alg, message.epoch]).toEqual(["chat.e2ee.v1", 1]);
});

test("the epoch of another is used and not another one made", async () => {
  const room = ledger.room([alice, bob]);
  await alice.says(room, "hello");
  const message = await bob.says(room, "hello yourself");

  expect([message.epoch, ledger.made(room).length]).toEqual([1, 1]);
  expect(await alice.reads(message)).toBe("hello yourself");
});

test("a batch of several rooms keeps its order", async () => {
  const rooms = [ledger.room([alice, bob]), ledger.room([alice, mallory])];
  const drafts = Array.from({ length: 10 }, (_, at) => ({
    id: newId<SealedMessage["id"]>(),
    room: rooms[at % 2]!,
    sentAt: at,
    text: `text ${at}`,
  }));
  const sealed = await alice.sealing.seal(drafts);
  const told = drafts.map((draft, at) => ({
    ...draft,
    ...sealed[at]!,
    seq: at,
    sender: alice.user,
    device: alice.device,
    acceptedAt: Date.now(),
  }));

  const opened = await alice.sealing.open(told, true);
  expect(opened.map((one) => one.text)).toEqual(drafts.map((draft) => draft.text));
});

describe("reading", () => {
  let message: SealedMessage;
  beforeEach(async () => {
    message = await alice.says(ledger.room([alice, bob]), "hello");
  });

  test.each([{ id: "019ab0c4-0000-7000-8000-000000000001" }, { sentAt: 1 }, { alg: "opaque.v1" }])(
    "what was signed otherwise is not shown: %j",
    async (change) => expect(await bob.reads(message, change)).toBe("[not_verified]"),
  );

  test("nor what is attributed to another, moved, or changed", async () => {
    const { user: sender, device } = mallory;
    expect(await bob.reads(message, { sender, device })).toBe("[not_verified]");
    expect(await bob.reads(message, { device: newId() })).toBe("[not_verified]");
    const other = await alice.says(ledger.room([alice, bob]), "elsewhere");
    expect(await bob.reads(other)).toBe("elsewhere");
    expect(await bob.reads(message, { room: other.room })).toBe("[not_verified]");
    const first = message.ciphertext.startsWith("A") ? "B" : "A";
    expect(await bob.reads(message, { ciphertext: first + message.ciphertext.slice(1) })).toBe("[not_verified]");
    expect(await bob.reads(message, { ciphertext: "A" })).toBe("[not_verified]");
  });

  test("nor what came after its device was revoked", async () => {
    const laptop = await another(alice, "alice");
    const said = await laptop.says(message.room, "from the laptop");
    expect(await bob.reads(said)).toBe("from the laptop");
    await alice.keys.revokeDevice(laptop.device, "seven geese crossed Messina harbour");
    const { until } = alice.document.device(laptop.device)!;

    expect(await bob.reads(said, { acceptedAt: until! * 1000 })).toBe("from the laptop"); // bob has not heard of it
    await bob.hears({ kind: "keys", seq: 2, user: alice.user, document: 3, change: "devices", device: laptop.device });
    expect(await bob.reads(said)).toBe("from the laptop");
    expect(await bob.reads(said, { acceptedAt: until! * 1000 })).toBe("[not_verified]");
  });

  test("an epoch that was not for this user is no key", async () => {
    expect(await mallory.reads(message)).toBe("[no_key]");
    ledger.made(message.room).length = 0;
    expect(await (await person(ledger, "carol")).reads(message)).toBe("[no_key]");
  });

  test("a device that lacks the encryption key is locked until it comes", async () => {
    const key = (await bob.keys.own.key(1))!;
    await bob.keys.own.only([]);
    expect(await bob.reads(message)).toBe("[locked]");
    await bob.keys.own.add(key);
    expect(await bob.reads(message, {}, false)).toBe("hello");
  });

  test("a record that another has signed is not believed", async () => {
    await byHand(message.room, 1, alice, [alice.document, bob.document], { signer: (await mallory.pair()).privateKey });
    expect(await bob.reads(message)).toBe("[not_verified]");
  });

  test("nor one of a device that was revoked before, whoever seals under it", async () => {
    const laptop = await another(alice, "alice");
    await alice.keys.revokeDevice(laptop.device, "seven geese crossed Messina harbour");
    const room = ledger.room([alice, bob]);
    const said = async (ts: number) => {
      const { made } = await byHand(room, 1, laptop, [alice.document, bob.document], { ts });
      const payload = { id: message.id, type: "text", body: "hello", ts: message.sentAt };
      const sealed = await messages.seal(made.key, alice.user, alice.device, (await alice.pair()).privateKey, payload);
      return { ...message, room, epoch: 1, ciphertext: Buffer.from(sealed).toString("base64url") };
    };
    const carol = await another(bob, "bob");
    expect(await bob.reads(await said(nowS() + 3600))).toBe("[not_verified]");
    expect(await carol.reads(await said(nowS() - 60))).toBe("hello");
  });

  test("a wrap of another epoch opens nothing, and neither does garbage", async () => {
    alice.stale(message.room);
    const second = await alice.says(message.room, "again");
    const [first, newest] = ledger.made(message.room);
    newest!.wraps[bob.user] = first!.wraps[bob.user]!;

    expect(second.epoch).toBe(2);
    expect(await bob.reads(message)).toBe("hello");
    expect(await bob.reads(second)).toBe("[no_key]");
  });

  test("a record behind another one is not believed", async () => {
    // A server that shows two members different histories of one room.
    await bob.reads(message);
    await byHand(message.room, 2, alice, [alice.document, bob.document], { prev: new Uint8Array(32) });

    expect(await bob.reads(message, { epoch: 2 })).toBe("[not_verified]");
    expect((await bob.says(message.room, "under a new one")).epoch).toBe(3);
  });

  test("a record that came first stays the one", async () => {
    await bob.reads(message);
    await byHand(message.room, 1, alice, [alice.document, bob.document]);
    await bob.sealing.fetcher.range(message.room, 1, 1);
    bob.starts();

    expect(await bob.reads(message)).toBe("hello");
  });

  test("a record that is not the announced one is not taken", async () => {
    const room = ledger.room([alice, bob]);
    await bob.sealing.restore(() => {});
    const said = await alice.says(room, "hello");
    await bob.hears({ ...(await ledger.entry(room, 1)), hash: "A".repeat(43) });
    expect(await bob.reads(said, {}, false)).toBe("[no_key]");
  });

  test("a type that is no text is not shown as one", async () => {
    await bob.reads(message);
    const key = await new Promise<messages.EpochKey>((resolve) =>
      resolve((alice.sealing as Told).book.key(message.room, 1)),
    );
    const payload = { id: message.id, type: "call", body: "ring", ts: message.sentAt };
    const sealed = await messages.seal(key, alice.user, alice.device, (await alice.pair()).privateKey, payload);
    const ciphertext = Buffer.from(sealed).toString("base64url");
    expect(await bob.reads(message, { ciphertext })).toBe("[not_verified]");
  });

  test("without asking, what is missing is missing for now", async () => {
    expect(await bob.reads(message, {}, false)).toBe("[no_key]");
    expect(await bob.reads(message)).toBe("hello");
  });

  test("while the server is away nothing is decided", async () => {
    ledger.cut = { after: 0, what: "request" };
    expect(await code(bob.reads(message))).toBe("offline");
    ledger.cut = null;
    expect(await bob.reads(message)).toBe("hello");
  });
});

describe("sealing", () => {
  test("a victim of a garbage wrap makes the next epoch", async () => {
    const room = ledger.room([alice, bob]);
    const hello = await alice.says(room, "hello");
    const real = { ...ledger.made(room)[0]! };
    const { made } = await byHand(room, 1, alice, [alice.document, bob.document]);
    ledger.made(room)[0] = { ...real, wraps: { ...real.wraps, [bob.user]: writeWrap(1, made.wraps.get(bob.user)) } };

    expect(await bob.reads(hello)).toBe("[no_key]");
    const answer = await bob.says(room, "what did you say?");
    expect(answer.epoch).toBe(2);
    expect(await alice.reads(answer)).toBe("what did you say?");
  });

  test("an epoch of which it has no key is followed by another", async () => {
    const room = ledger.room([alice, bob], "group");
    await alice.says(room, "hello");
    ledger.changes(room, [alice, bob, mallory], false);
    expect((await mallory.says(room, "hello")).epoch).toBe(2);
  });

  test("nothing goes back behind the highest epoch", async () => {
    const room = ledger.room([alice, bob]);
    await alice.says(room, "one");
    alice.stale(room);
    await alice.says(room, "two");
    ledger.made(room).pop();
    alice.stale(room);
    expect(await code(alice.says(room, "three"))).toBe("epoch_rolled_back");
  });

  test.each([
    [1, { epoch: 1, stale: true }, 2], // the room had none to follow it then
    [1, { epoch: 2, stale: false }, 2],
    [1, { epoch: 2, stale: true }, 3],
    [2, { epoch: 2, stale: true }, 3],
  ])(
    "a refusal of what was sealed under epoch %i, saying %j, has the next under epoch %i",
    async (under, more, next) => {
      const room = ledger.room([alice, bob]);
      await alice.says(room, "one");
      await bob.hearsOf(room, 1);
      bob.stale(room);
      await bob.says(room, "two");
      await alice.hearsOf(room, 2);

      alice.stale(room, under, more);
      expect((await alice.says(room, "one, again")).epoch).toBe(next);
      expect(ledger.made(room)).toHaveLength(next);
    },
  );

  test("a refusal that names an epoch unknown here has it fetched", async () => {
    const room = ledger.room([alice, bob]);
    await alice.says(room, "one");
    await bob.hearsOf(room, 1);
    bob.stale(room);
    await bob.says(room, "two");

    alice.stale(room, 0, { epoch: 2, stale: false });
    expect((await alice.says(room, "one, again")).epoch).toBe(2);
    expect(ledger.made(room)).toHaveLength(2);
  });

  test("a third reader of a direct room is not written to", async () => {
    const room = ledger.room([alice, bob]);
    ledger.rooms.get(room)!.members.push(mallory.user);
    expect(await code(alice.says(room, "for your eyes only"))).toBe("invalid");
    expect(ledger.made(room)).toEqual([]);
    // That was no room to remember: the right one is written to.
    ledger.rooms.get(room)!.members.pop();
    expect((await alice.says(room, "for your eyes only")).epoch).toBe(1);
  });

  test("a room of which no more is known than that it is there is not taken for a group", async () => {
    const room = ledger.room([alice, bob]);
    const hello = await alice.says(room, "hello");
    await bob.db.put("rooms", unknownRoom(room));
    expect(await bob.reads(hello)).toBe("hello");
    expect((await bob.says(room, "hello yourself")).epoch).toBe(1);
    const told = decodeRoom(await bob.session.request("GET", `rooms/${room}`));
    expect((await keepRoom(bob.db, told, bob.user, 1)).kind).toBe("direct");
  });

  test("not even if the room is said to be a group now", async () => {
    const room = ledger.room([alice, bob]);
    await alice.says(room, "hello");
    ledger.changes(room, [alice, bob, mallory]);
    ledger.rooms.get(room)!.kind = "group";
    alice.stale(room);
    expect(await code(alice.says(room, "for your eyes only"))).toBe("invalid");
    expect(ledger.made(room)).toHaveLength(1);
  });

  test("nor if the other one has let a third read", async () => {
    const room = ledger.room([alice, bob]);
    await byHand(room, 1, bob, [alice.document, bob.document, mallory.document]);
    expect((await alice.says(room, "hello")).epoch).toBe(2);
  });

  test("whoever makes an epoch stands in its list", async () => {
    const room = ledger.room([alice, bob], "group");
    await byHand(room, 1, mallory, [alice.document, bob.document]);
    expect((await alice.says(room, "hello")).epoch).toBe(2);
  });

  test("a list that was not signed is not believed", async () => {
    const room = ledger.room([alice, bob]);
    await alice.says(room, "hello");
    ledger.made(room)[0]!.roster = [writeLine(lineOf(bob.document))];
    expect((await bob.says(room, "hello")).epoch).toBe(2);
  });

  test("nor one that hides somebody who reads", async () => {
    const room = ledger.room([alice, bob, mallory], "group");
    await alice.says(room, "hello");
    ledger.made(room)[0]!.roster = [alice, bob].map(({ document }) => writeLine(lineOf(document)));
    ledger.changes(room, [alice, bob], false);
    expect((await bob.says(room, "hello")).epoch).toBe(2);
    expect(await bob.sealing.readers(room)).toEqual([alice.user, bob.user].sort());
  });

  test("a list with another identity than the pinned one is not written to", async () => {
    const room = ledger.room([alice, bob]);
    const carol = await Puppet.made(ledger);
    await alice.keys.others.get([bob.user]);
    // Mallory's server makes a document about bob, and alice's own device is made to seal for it.
    const { user: _, ...rest } = { ...carol.document };
    const false_ = {
      ...rest,
      user: bob.user,
      encryption: carol.document.encryption,
      identity: carol.document.identity,
    };
    await byHand(room, 1, alice, [alice.document, false_ as unknown as UserKeys]);
    expect((await alice.says(room, "hello")).epoch).toBe(2);
  });

  test("who is gone does not read on even if the server keeps the epoch", async () => {
    const room = ledger.room([alice, bob, mallory], "group");
    await alice.says(room, "hello");
    ledger.changes(room, [alice, bob], false);
    await alice.hears({
      kind: "room",
      seq: 2,
      room,
      change: "removed",
      by: alice.user,
      users: [mallory.user],
      role: null,
    });

    const after = await alice.says(room, "now that we are alone");
    expect(after.epoch).toBe(2);
    expect(await mallory.reads(after)).toBe("[no_key]");
  });

  test("nor if the device did not have the list of its readers yet", async () => {
    const room = ledger.room([alice, bob, mallory], "group");
    await alice.says(room, "hello");
    // A new device has read the keys, and no lists.
    await alice.db.clear("rosters");
    alice.starts();
    ledger.changes(room, [alice, bob], false);
    const removed = {
      kind: "room",
      seq: 2,
      room,
      change: "removed",
      by: alice.user,
      users: [mallory.user],
      role: null,
    };
    await alice.hears(removed);

    const after = await alice.says(room, "now that we are alone");
    expect(after.epoch).toBe(2);
    expect(await mallory.reads(after)).toBe("[no_key]");
    // Of an epoch that was made since, the list is here: it goes on.
    await alice.hears(removed);
    expect((await alice.says(room, "still alone")).epoch).toBe(2);
  });

  test("a new encryption key of a reader ends the epoch", async () => {
    const room = ledger.room([alice, bob]);
    await alice.says(room, "hello");
    const laptop = await another(bob, "bob");
    await bob.keys.revokeDevice(laptop.device, "seven geese crossed Messina harbour");
    await alice.hears({ kind: "keys", seq: 2, user: bob.user, document: 3, change: "encryption", device: null });

    expect(await bob.reads(await alice.says(room, "hello again"))).toBe("hello again");
    expect(ledger.made(room)[1]!.wraps[bob.user]!.ver).toBe(2);
  });

  test("so does the end of the device that made it", async () => {
    const room = ledger.room([alice, bob]);
    const laptop = await another(alice, "alice");
    await laptop.says(room, "hello");
    await alice.keys.revokeDevice(laptop.device, "seven geese crossed Messina harbour");
    expect((await bob.says(room, "hello")).epoch).toBe(2);
  });

  test("nothing is sealed for who was verified and has another identity", async () => {
    const puppet = await Puppet.made(ledger);
    const room = ledger.room([alice, puppet]);
    await alice.says(room, "hello");
    await alice.keys.safety(puppet.user);
    await alice.keys.verify(puppet.user, true);
    expect(alice.keys.verified.value.has(puppet.user)).toBe(true);
    await puppet.resets();
    await alice.hears({ kind: "keys", seq: 2, user: puppet.user, document: 1, change: "identity", device: null });

    expect(await code(alice.says(room, "hello?"))).toBe("identity_changed");
    expect(alice.keys.held.value.has(puppet.user)).toBe(true);
    alice.stale(room);
    expect(await code(alice.says(room, "hello?"))).toBe("identity_changed");
    await alice.keys.verify(puppet.user, true);
    expect((await alice.says(room, "so it is you")).epoch).toBe(2);
  });

  test("a direct room waits until the other one has keys, a group does not", async () => {
    const room = ledger.room([alice, bob]);
    const documents = ledger.accounts.get(bob.user)!.documents.splice(0);
    expect(await code(alice.says(room, "hello"))).toBe("keys_missing");
    expect((await alice.says(ledger.room([alice, bob, mallory], "group"), "hello")).epoch).toBe(1);
    ledger.accounts.get(bob.user)!.documents.push(...documents);
    expect(await bob.reads(await alice.says(room, "hello"))).toBe("hello");
  });

  test("a locked device seals nothing", async () => {
    const room = ledger.room([alice, bob]);
    await alice.says(room, "hello");
    await alice.keys.own.only([]);
    alice.starts();
    ledger.refusals = [refusal("device_not_listed", {}, 403)];
    expect(await code(alice.says(room, "hello"))).toBe("keys_missing");
  });

  test.each(["epoch_exists", "members_changed", "userkeys_changed"])(
    "what was overtaken is made again: %s",
    async (why) => {
      const room = ledger.room([alice, bob]);
      ledger.refusals = [1, 2, 3].map(() => refusal(why, { users: [bob.user] }));
      expect((await alice.says(room, "hello")).epoch).toBe(1);
    },
  );

  test("but not for ever", async () => {
    ledger.refusals = Array.from({ length: 100 }, () => refusal("members_changed"));
    expect(await code(alice.says(ledger.room([alice, bob]), "hello"))).toBe("unavailable");
    expect(ledger.refusals).toHaveLength(95);
  });

  test.each(["keys_missing", "device_not_listed"])("a device that is not ready waits: %s", async (why) => {
    ledger.refusals = [refusal(why)];
    expect(await code(alice.says(ledger.room([alice, bob]), "hello"))).toBe("keys_missing");
  });

  test("one who blocks makes no epoch, and is told why", async () => {
    ledger.refusals = [refusal("blocked", { by: "you" }, 403)];
    expect(await code(alice.says(ledger.room([alice, bob]), "hello"))).toBe("blocked");
  });

  test.each([
    ["\ud800", "invalid"],
    ["x".repeat(32_768), "too_large"],
  ])("what is no text or too long is refused at once", async (text, why) => {
    const draft = { id: newId<SealedMessage["id"]>(), text, sentAt: 1 };
    expect(await code((async () => check(draft))())).toBe(why);
    expect(await code(alice.says(ledger.room([alice, bob]), text))).toBe(why);
    expect(ledger.asked.filter((asked) => asked.includes("rooms/"))).toEqual([]);
  });

  test("many texts at once prepare the room once", async () => {
    const room = ledger.room([alice, bob]);
    const said = await Promise.all(Array.from({ length: 20 }, (_, at) => alice.says(room, `text ${at}`)));
    expect(new Set(said.map(({ epoch }) => epoch))).toEqual(new Set([1]));
    expect(ledger.count(`POST rooms/${room}/epochs`)).toBe(1);
  });
});

describe("lists", () => {
  test("who came and who went is told", async () => {
    const room = ledger.room([alice, bob], "group");
    await bob.sealing.restore(() => {});
    await alice.says(room, "one");
    expect(await bob.hearsOf(room, 1)).toEqual({ added: [], removed: [], rekeyed: [] });
    ledger.changes(room, [alice, bob, mallory]);
    alice.stale(room);
    await alice.says(room, "two");
    expect(await bob.hearsOf(room, 2)).toEqual({ added: [mallory.user], removed: [], rekeyed: [] });
    const laptop = await another(alice, "alice");
    await alice.keys.revokeDevice(laptop.device, "seven geese crossed Messina harbour");
    ledger.changes(room, [alice, bob]);
    await alice.says(room, "three");

    expect(await bob.hearsOf(room, 3)).toEqual({ added: [], removed: [mallory.user], rekeyed: [alice.user] });
    expect((await bob.sealing.change(room, 2))!.added).toEqual([mallory.user]);
    expect(await bob.sealing.readers(room)).toEqual([alice.user, bob.user].sort());
  });

  test("a reader whom nobody invited is told", async () => {
    // The server adds somebody for the keys, and does not say so in the room.
    const room = ledger.room([alice, bob], "group");
    const members = [alice, bob].map(({ user }) => ({ user, username: user, role: "member", joinedAt: 1 }));
    await bob.db.put("rooms", { id: room, kind: "group", peer: null, members, history: "joined", lastAt: 0 } as Told);
    await bob.sealing.restore(() => {});
    ledger.changes(room, [alice, bob, mallory]);
    await alice.says(room, "hello");
    expect(await bob.hearsOf(room, 1)).toEqual({ added: [mallory.user], removed: [], rekeyed: [] });
  });

  test("a new device compares with the list before", async () => {
    const room = ledger.room([alice, bob], "group");
    await alice.says(room, "one");
    const laptop = await another(bob, "bob");
    await laptop.hearsOf(room, 1);
    ledger.changes(room, [alice, bob, mallory]);
    alice.stale(room);
    await alice.says(room, "two");
    ledger.asked.length = 0;

    expect((await laptop.hearsOf(room, 2))!.added).toEqual([mallory.user]);
    const rosters = ledger.asked.filter((asked) => asked.endsWith("roster"));
    expect(rosters).toEqual([1, 2].map((epoch) => `GET rooms/${room}/epochs/${epoch}/roster`));
  });
});

describe("rules", () => {
  const line = (user: string, byte: number, version = 1) => ({
    user: user as UserId,
    identity: new Uint8Array(32).fill(byte),
    version,
  });

  test("what a list changes", () => {
    const [one, other] = [line("alice", 1), line("bob", 2)];
    const nothing = { added: [], removed: [], rekeyed: [] };
    expect(changeOf(null, null, [one, other])).toEqual(nothing);
    expect(changeOf(null, [one.user], [one, other])).toEqual({ ...nothing, added: ["bob"] });
    expect(changeOf([one], null, [other])).toEqual({ ...nothing, added: ["bob"], removed: ["alice"] });
    expect(changeOf([one], null, [line("alice", 1, 2)])).toEqual({ ...nothing, rekeyed: ["alice"] });
    expect(changeOf([one], null, [line("alice", 3)])).toEqual({ ...nothing, rekeyed: ["alice"] });
  });

  test.each([
    [0, 0, false],
    [-OLDEST_S, 0, false],
    [-OLDEST_S - 1, 0, true],
    [OLDEST_S + 1, 0, true],
    [0, MOST_MESSAGES - 1, false],
    [0, MOST_MESSAGES, true],
  ])("an epoch ends by age or by number: %d %d", (madeAt, count, due) => {
    expect(isDue(1_000_000_000 + madeAt, 1_000_000_000, count)).toBe(due);
  });

  test("why not", () => {
    const [me, peer] = [line("me", 1), line("peer", 2, 2)];
    const of = (user: string, byte: number, version: number) =>
      new Map([[user as UserId, { identity: new Uint8Array(32).fill(byte), version }]]);
    const fine = { me: me.user, creator: peer.user, peer: peer.user as UserId | null, known: of("peer", 2, 2) };
    const x = "x" as UserId;
    expect(whyNot([me, peer], fine)).toBeNull();
    expect(whyNot([me, peer], { ...fine, peer: null, creator: x })).toBe("its maker hides");
    expect(whyNot([me, peer], { ...fine, me: x })).toBe("this user is not among its readers");
    expect(whyNot([me, peer, line("x", 3)], fine)).toBe("a direct room has two readers");
    expect(whyNot([me, peer], { ...fine, known: of("peer", 3, 2) })).toBe("a reader has another identity key");
    expect(whyNot([me, peer], { ...fine, known: of("peer", 2, 3) })).toBe("a reader has a newer encryption key");
  });

  test("an old epoch is followed by another", async () => {
    const room = ledger.room([alice, bob]);
    await alice.says(room, "hello");
    alice.clock.ahead = (OLDEST_S + 2) * 1000;
    expect((await alice.says(room, "a month later")).epoch).toBe(2);
  });

  test("so is one with many messages, those of others among them", async () => {
    const room = ledger.room([alice, bob]);
    alice.starts(4);
    const said = [await alice.says(room, "one"), await alice.says(room, "two")];
    for (const text of ["three", "four"]) await alice.reads(await bob.says(room, text));
    said.push(await alice.says(room, "five"));
    expect(said.map(({ epoch }) => epoch)).toEqual([1, 1, 2]);
    const drafts = Array.from({ length: 9 }, (_, at) => ({
      id: newId<SealedMessage["id"]>(),
      room,
      sentAt: at,
      text: "x",
    }));
    expect((await alice.sealing.seal(drafts)).map(({ epoch }) => epoch)).toEqual([2, 2, 2, 3, 3, 3, 3, 4, 4]);
  });
});

describe("history for all", () => {
  test("who comes later is given every epoch oldest first", async () => {
    const room = ledger.room([alice, bob], "group", "all");
    const said = [await alice.says(room, "one")];
    alice.stale(room);
    said.push(await alice.says(room, "two"));
    ledger.changes(room, [alice, bob, mallory], false);
    expect(await mallory.reads(said[1]!)).toBe("[no_key]");

    await alice.hears(added(room, alice, mallory));
    expect(await alice.sealing.shares.step()).toBe(Number.POSITIVE_INFINITY);
    mallory.clock.ahead = 2_000;
    expect(await mallory.sealing.looks.step()).toBeGreaterThan(0); // begins to look a second later
    mallory.clock.ahead = 5_000;
    await mallory.sealing.looks.step();

    expect(mallory.bus.heard.some(({ type }) => type === "unlocked")).toBe(true);
    mallory.clock.ahead = 20_000;
    expect([await mallory.reads(said[0]!), await mallory.reads(said[1]!)]).toEqual(["one", "two"]);
    expect(await shares(alice.db)).toEqual([]);
  });

  test("whoever added may die and another gives", async () => {
    const room = ledger.room([alice, bob], "group", "all");
    const said = await alice.says(room, "one");
    await bob.reads(said);
    ledger.changes(room, [alice, bob, mallory], false);
    await bob.hears(added(room, alice, mallory));

    const pause = await bob.sealing.shares.step();
    expect(pause).toBeGreaterThan(0);
    expect(pause).toBeLessThanOrEqual(60_000);
    bob.clock.ahead = 60_000;
    await bob.sealing.shares.step();
    expect(await mallory.reads(said)).toBe("one");
  });

  /** She gives nothing, and says when she will: in less than this, and more than half of it. */
  async function putsOff(most: number) {
    const pause = await alice.sealing.shares.step();
    expect(pause).toBeGreaterThan(most / 2);
    expect(pause).toBeLessThanOrEqual(most);
  }

  async function afterReset() {
    const room = ledger.room([alice, bob], "group", "all");
    const said = [await alice.says(room, "one")];
    expect(await bob.reads(said[0]!)).toBe("one");
    await alice.keys.reset(PASSWORD);
    alice.stale(room);
    said.push(await alice.says(room, "two"));
    ledger.changes(room, [alice, bob, mallory], false);
    await alice.hears(added(room, alice, mallory));
    await putsOff(120_000);
    expect(await mallory.reads(said[1]!)).toBe("[no_key]");
    mallory.clock.ahead = 20_000;
    return { room, said };
  }

  test("who has begun again with new keys, and lacks the earlier ones, lets others give them", async () => {
    const { room, said } = await afterReset();
    await bob.hears(added(room, alice, mallory));
    bob.clock.ahead = 60_000;
    await bob.sealing.shares.step();
    expect([await mallory.reads(said[0]!), await mallory.reads(said[1]!)]).toEqual(["one", "two"]);
    alice.clock.ahead = 130_000;
    await alice.sealing.shares.step();
    expect(await shares(alice.db)).toEqual([]);
  });

  test("and gives what there is where nobody has more", async () => {
    const { said } = await afterReset();
    alice.clock.ahead = 130_000;
    expect(await alice.sealing.shares.step()).toBe(Number.POSITIVE_INFINITY);
    expect([await mallory.reads(said[0]!), await mallory.reads(said[1]!)]).toEqual(["[no_key]", "two"]);
  });

  test("neither a reminder nor a reload makes that earlier or later", async () => {
    const { room, said } = await afterReset();
    alice.clock.ahead = 40_000;
    alice.starts();
    await alice.says(room, "more"); // the server names mallory as wanting
    await putsOff(80_000);
    alice.clock.ahead = 121_000;
    expect(await alice.sealing.shares.step()).toBe(Number.POSITIVE_INFINITY);
    expect(await mallory.reads(said[1]!)).toBe("two");
  });

  test("others go first again when somebody comes back", async () => {
    const { room } = await afterReset();
    alice.clock.ahead = 130_000;
    await alice.sealing.shares.step();
    ledger.changes(room, [alice, bob]);
    alice.stale(room);
    await alice.says(room, "without mallory");
    ledger.changes(room, [alice, bob, mallory], false);
    await alice.hears({ ...added(room, alice, mallory), members_version: 4 });
    await putsOff(120_000);
    expect(ledger.made(room)[2]!.wraps).not.toHaveProperty(mallory.user);
  });

  test("where it is not for all nothing is given", async () => {
    const room = ledger.room([alice, bob], "group");
    await alice.says(room, "one");
    ledger.changes(room, [alice, bob, mallory]);
    await alice.hears(added(room, alice, mallory));
    await alice.sealing.shares.step();
    expect(ledger.made(room)[0]!.wraps).not.toHaveProperty(mallory.user);
    expect(await shares(alice.db)).toEqual([]);
  });

  test("nor to who was verified and has another identity", async () => {
    const puppet = await Puppet.made(ledger);
    const room = ledger.room([alice, bob], "group", "all");
    await alice.says(room, "one");
    await alice.keys.verify(puppet.user, true);
    await puppet.resets();
    await alice.keys.others.get([puppet.user], true);
    ledger.changes(room, [alice, bob, puppet], false);
    await alice.hears({ ...added(room, alice, bob), users: [puppet.user] });
    await putsOff(600_000);
    expect(ledger.made(room)[0]!.wraps).not.toHaveProperty(puppet.user);
  });

  test("a device that is not listed yet gives later", async () => {
    const room = ledger.room([alice, bob], "group", "all");
    const said = await alice.says(room, "one");
    ledger.changes(room, [alice, bob, mallory], false);
    ledger.refusals = [refusal("device_not_listed", {}, 403)];
    await alice.hears(added(room, alice, mallory));
    await putsOff(600_000);
    expect(ledger.made(room)[0]!.wraps).not.toHaveProperty(mallory.user);

    alice.clock.ahead = 700_000;
    await alice.sealing.shares.step();
    expect(await mallory.reads(said)).toBe("one");
  });

  test("a wanting member whom the server names is given too", async () => {
    const room = ledger.room([alice, bob], "group", "all");
    const said = await alice.says(room, "one");
    ledger.changes(room, [alice, bob, mallory], false);
    const laptop = await another(bob, "bob");
    await laptop.says(room, "two");
    await laptop.sealing.shares.step();
    expect(await mallory.reads(said)).toBe("one");
  });
});

test("keys that a server does not take for now are given later on the same connection, after growing pauses", async () => {
  const room = ledger.room([alice, bob], "group", "all");
  await alice.says(room, "one");
  ledger.changes(room, [alice, bob, mallory], false);
  await alice.hears(added(room, alice, mallory));
  ledger.refusals = [refusal("unavailable", {}, 503), refusal("overloaded", { retry_after: 7 }, 503)];
  const waits: number[] = [];
  const { clock } = alice;
  const wait = clock.wait;
  clock.wait = async (ms, signal) => {
    if (ms > 60_000) return wait(ms, signal);
    waits.push(ms);
    await alice.sealing.heard([]); // something else is new meanwhile
  };
  await alice.sealing.upkeep();
  await vi.waitUntil(() => mallory.user in ledger.made(room)[0]!.wraps);
  expect(waits).toEqual([250, 7_250]);
});

test("a device that is closed looks after nothing any more", async () => {
  let waiting = 0;
  const { clock } = alice;
  const wait = clock.wait;
  clock.wait = async (ms, signal) => {
    waiting += 1;
    await wait(ms, signal);
    waiting -= 1;
  };
  await alice.sealing.upkeep();
  await vi.waitUntil(() => waiting === 1);
  alice.sealing.close();
  await vi.waitUntil(() => waiting === 0);
  await alice.sealing.heard([]);
  expect(waiting).toBe(0);
});

describe("ghosts", () => {
  // A server that asks for keys on behalf of somebody whom nobody sees.
  const STATE = { epoch: 1, stale: false, membersVersion: 1, history: "all" };
  const wanted = (told: Told) => ({ ...told, wanting: [mallory.user] });

  async function givenNothing(room: RoomId): Promise<void> {
    alice.stale(room);
    await alice.says(room, "on");
    await alice.sealing.shares.step();
    expect(await shares(alice.db)).toEqual([]);
    for (const { wraps } of ledger.made(room)) expect(wraps).not.toHaveProperty(mallory.user);
  }

  test.each(["direct", "group"])("a %s room is not suddenly one whose history is for all", async (kind) => {
    const room = ledger.room([alice, bob], kind);
    await alice.says(room, "one");
    ledger.lies.set(`GET rooms/${room}/e2ee`, (told) => wanted({ ...told, history: "all" }));

    await givenNothing(room);
    ledger.rooms.get(room)!.history = "all";
    await givenNothing(room);
    const told = decodeRoom(await alice.session.request("GET", `rooms/${room}`));
    await keepRoom(alice.db, told, alice.user, 1);
    expect((await alice.db.get("rooms", room))!.history).toBe("joined");
    await givenNothing(room);
  });

  test("nor is somebody given keys who is shown to nobody", async () => {
    const room = ledger.room([alice, bob], "group", "all");
    await alice.says(room, "one");
    ledger.lies.set(`GET rooms/${room}/e2ee`, wanted);
    await givenNothing(room);
  });

  test("a room of which nonsense is told does not hold up the others", async () => {
    const rooms = [ledger.room([alice, bob], "group", "all"), ledger.room([alice, bob], "group", "all")];
    for (const room of rooms) {
      await alice.says(room, "one");
      ledger.changes(room, [alice, bob, mallory], false);
      await alice.hears(added(room, alice, mallory));
    }
    ledger.lies.set(`GET rooms/${rooms[0]}`, (told) => ("members" in told ? { ...told, kind: "direct" } : told));
    await alice.sealing.shares.step();
    expect(rooms.map((room) => mallory.user in ledger.made(room)[0]!.wraps)).toEqual([false, true]);
  });

  test("whoever is given keys is shown before", async () => {
    const room = ledger.room([alice, bob], "group", "all");
    await alice.says(room, "one");
    ledger.changes(room, [alice, bob, mallory], false);
    await alice.hears(added(room, alice, mallory));
    await alice.sealing.shares.step();
    expect(ledger.made(room)[0]!.wraps).toHaveProperty(mallory.user);
    expect((await alice.db.get("rooms", room))!.members.map(({ user }) => user)).toContain(mallory.user);
  });

  test("of a room that is known without them, the server's word alone makes nobody a member", async () => {
    const room = ledger.room([alice, bob], "group", "all");
    await alice.says(room, "one");
    await keepRoom(alice.db, decodeRoom(await alice.session.request("GET", `rooms/${room}`)), alice.user, 1);
    ledger.lies.set(`GET rooms/${room}/e2ee`, wanted);
    await givenNothing(room);
    ledger.changes(room, [alice, bob, mallory], false); // and no entry tells of it
    await alice.sealing.shares.seen(room, { ...STATE, wanting: [mallory.user] });
    await alice.sealing.shares.step();
    expect(await shares(alice.db)).toEqual([]);
    for (const { wraps } of ledger.made(room)) expect(wraps).not.toHaveProperty(mallory.user);
  });
});

test("a new device reads the keys of all rooms in one go", async () => {
  const said: SealedMessage[] = [];
  for (let number = 0; number < 20; number += 1)
    said.push(await alice.says(ledger.room([alice, bob]), `room ${number}`));
  const laptop = await another(bob, "bob");
  ledger.asked.length = 0;
  const told: unknown[] = [];
  await laptop.sealing.restore((state) => told.push(state));

  const opened = await laptop.sealing.open(said, true);
  expect(opened.map(({ text }) => text)).toEqual(said.map((_, number) => `room ${number}`));
  expect(ledger.asked).toEqual(["GET e2ee/epoch-keys?limit=500", "POST e2ee/users/query"]);
  expect(told).toEqual([{ step: "epochs", done: 20, of: 20 }]);
});

test("what a device keeps cannot be read out of its store", async () => {
  const room = ledger.room([alice, bob]);
  await alice.says(room, "hello");
  const rows = await Promise.all(
    (["keys", "epochs", "wanted"] as const).map((name) => alice.db.getAll(name as "keys")),
  );
  const found: CryptoKey[] = [];
  const walk = (value: unknown): void => {
    if (value instanceof CryptoKey) found.push(value);
    else if (typeof value === "object" && value !== null && !ArrayBuffer.isView(value))
      Object.values(value).forEach(walk);
  };
  walk(rows);

  const secret = found.filter(({ type }) => type !== "public");
  expect(secret.length).toBeGreaterThanOrEqual(4); // signing, box, encryption, epoch
  expect(secret.every(({ extractable }) => !extractable)).toBe(true);
});
