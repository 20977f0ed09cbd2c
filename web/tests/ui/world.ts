/** A small world for looking at the screens: alice and those whom she writes to. */

import type { DeviceId, RoomId } from "../../src/protocol/ids";
import { FakeMessenger, id } from "./fake";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

export interface World {
  readonly messenger: FakeMessenger;
  readonly bob: RoomId;
  readonly choir: RoomId;
  readonly long: RoomId;
  readonly rooms: Readonly<Record<"noor" | "minji" | "mallory" | "crowd" | "fresh", RoomId>>;
}

const LONG = `Here is what we agreed on, so that nobody has to scroll for it later:

${Array.from({ length: 40 }, (_, index) => `${index + 1}. Point ${index + 1} of the list, which says something that somebody wanted to be written down.`).join("\n")}`;

export function world(start = Date.now()): World {
  let now = start - 3 * DAY;
  const messenger = new FakeMessenger(() => now);
  const at = (ago: number): void => {
    now = start - ago;
  };

  at(9 * DAY);
  const old = messenger.addRoom({ members: [messenger.member("alice"), messenger.member("Grace Hopper")] });
  messenger.say(old, "Grace Hopper", "The moth is taped into the log book.");

  at(10 * DAY);
  const crowd = messenger.addRoom({
    kind: "group",
    members: [
      messenger.member("alice", "admin"),
      messenger.member("bartholomew.featherstonehaugh-1", "owner"),
      messenger.member("Donaudampfschifffahrtsgesellschaft"),
      ...Array.from({ length: 120 }, (_, index) => messenger.member(`reader.${String(index + 1).padStart(3, "0")}`)),
    ],
  });
  messenger.say(crowd, "bartholomew.featherstonehaugh-1", `https://example.org/${"a-path-without-an-end/".repeat(8)}`);
  messenger.say(crowd, "Donaudampfschifffahrtsgesellschaft", "Rindfleischetikettierungsüberwachungsaufgaben".repeat(3));
  messenger.say(crowd, "alice", "I see.", { ticks: "delivered", reached: { delivered: 121, read: 97, of: 122 } });
  messenger.change(crowd, { unread: 1_204, typing: ["bartholomew.featherstonehaugh-1", "reader.001"] });

  at(8 * DAY);
  const long = messenger.addRoom({
    members: [
      messenger.member("alice", "member"),
      messenger.member("dana", "owner"),
      messenger.member("erik", "admin"),
    ],
    muted: true,
  });
  for (let index = 0; index < 400; index += 1) {
    at(8 * DAY - index * 25 * MINUTE);
    messenger.say(
      long,
      ["dana", "erik", "alice"][index % 3] ?? "dana",
      `Note ${index + 1} of the long conversation. ${"It goes on a little. ".repeat(index % 5)}`,
    );
  }
  messenger.change(long, { unread: 0 });

  at(5 * DAY);
  const mallory = messenger.addRoom({
    members: [messenger.member("alice"), messenger.member("mallory")],
    closed: "blocked-by-you",
  });
  messenger.say(mallory, "mallory", "You will want to see this");
  messenger.change(mallory, { unread: 0 });

  at(4 * DAY);
  const noor = messenger.addRoom({ members: [messenger.member("alice"), messenger.member("نور")] });
  messenger.say(noor, "نور", "مرحبا! هل وصلتك الرسالة أمس؟");
  messenger.say(noor, "alice", "Yes, thank you! I answer tonight.");
  messenger.change(noor, { unread: 0 });

  at(3 * DAY);
  const minji = messenger.addRoom({ members: [messenger.member("alice"), messenger.member("김민지")] });
  messenger.say(minji, "alice", "민지야, 내일 몇 시에 볼까?");
  messenger.say(minji, "김민지", "세 시쯤 어때? 도서관 앞에서 만나자.");

  at(2 * DAY);
  const choir = messenger.addRoom({
    kind: "group",
    history: "all",
    members: [
      messenger.member("alice", "owner", { verified: false }),
      messenger.member("bob", "admin", { verified: true }),
      messenger.member("carol"),
      messenger.member("dana"),
      messenger.member("erik", "member", { reads: false }),
    ],
  });
  messenger.system(choir, { what: "created", by: "alice", users: ["alice", "bob", "carol", "dana"] });
  messenger.say(choir, "bob", "Rehearsal is moved to Thursday, same room.");
  at(2 * DAY - 3 * MINUTE);
  messenger.say(choir, "bob", "Bring the red folders, please.");
  messenger.say(choir, "carol", "👍");
  at(DAY + 2 * HOUR);
  messenger.system(choir, { what: "added", by: "bob", users: ["erik"] });
  messenger.system(choir, { what: "readers", by: "bob", added: ["erik"], removed: [], rekeyed: [] });
  messenger.say(choir, "alice", "Welcome, Erik! The notes are at https://example.org/choir/notes_(autumn).", {
    ticks: "delivered",
    reached: { delivered: 4, read: 2, of: 4 },
  });
  messenger.say(choir, "erik", null, { problem: "no_key" });
  at(40 * MINUTE);
  messenger.say(choir, "carol", LONG);
  at(22 * MINUTE);
  messenger.say(choir, "alice", "I read it on the train.", {
    ticks: "sent",
    reached: { delivered: 1, read: 0, of: 4 },
  });
  const first = messenger.say(choir, "dana", "Who has the key to the hall?");
  at(20 * MINUTE);
  messenger.say(choir, "dana", "Never mind, it hangs where it always does.");
  messenger.say(choir, "carol", "Then at seven. I bring cake 🎂");
  messenger.unread(choir, first.seq ?? 0);

  at(DAY);
  const bob = messenger.addRoom({
    members: [messenger.member("alice"), messenger.member("bob", "member", { verified: true })],
  });
  messenger.system(bob, { what: "created", by: "alice", users: ["alice", "bob"] });
  messenger.say(bob, "alice", "Did you get home all right?");
  at(DAY - 2 * MINUTE);
  messenger.say(bob, "bob", "Yes. The last tram was full of people with umbrellas, and not one of them was dry.");
  messenger.say(bob, "bob", "😄");
  messenger.system(bob, { what: "readers", by: "bob", added: [], removed: [], rekeyed: ["bob"] });
  messenger.say(bob, "bob", null);
  at(50 * MINUTE);
  messenger.say(bob, "alice", "I have found the map. It is the one with the coffee stain, of course.");
  messenger.say(bob, "alice", "Shall I bring it tomorrow, or do you want a picture of it now?");
  at(30 * MINUTE);
  messenger.say(bob, "bob", "Tomorrow is fine.");
  messenger.say(bob, "bob", "This one came late", { refused: { reason: "late", code: null, canSendAgain: false } });
  at(12 * MINUTE);
  messenger.say(bob, "alice", "Then at nine, at the station?", { ticks: "delivered" });
  messenger.say(bob, "alice", "Or rather at ten.", { ticks: "sent" });
  messenger.say(bob, "alice", "The kiosk opens late on Fridays.", {
    ticks: "failed",
    refused: { reason: "late", code: null, canSendAgain: true },
  });
  at(2 * MINUTE);
  messenger.say(bob, "alice", "Written without a connection", { ticks: "waiting", seq: null });
  messenger.change(bob, { unread: 0, typing: ["bob"] });

  at(5 * MINUTE);
  const fresh = messenger.addRoom({ members: [messenger.member("alice"), messenger.member("frank")] });

  messenger.relate("bob", "contact", { verified: true });
  messenger.relate("carol", "contact");
  messenger.relate("dana", "contact", { waiting: "remove" });
  messenger.relate("erik", "requested");
  messenger.relate("Peter Pettigrew", "incoming");
  messenger.relate("bartholomew.featherstonehaugh-1", "incoming");
  messenger.relate("mallory", "contact", { blocked: true });
  messenger.relate("oscar", "contact", { blockedBy: true });

  messenger.deviceLines = [
    {
      id: id<DeviceId>(11),
      name: "Firefox on Linux",
      client: "web",
      createdAt: start - 40 * DAY,
      lastSeenAt: start,
      isThis: true,
    },
    {
      id: id<DeviceId>(12),
      name: "Telephone",
      client: "web",
      createdAt: start - 200 * DAY,
      lastSeenAt: start - 3 * HOUR,
      isThis: false,
    },
    {
      id: id<DeviceId>(13),
      name: "workstation",
      client: "letterlock-cli",
      createdAt: start - 400 * DAY,
      lastSeenAt: null,
      isThis: false,
    },
  ];
  now = start;
  return { messenger, bob, choir, long, rooms: { noor, minji, mallory, crowd, fresh } };
}
