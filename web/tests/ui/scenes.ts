/**
 * Every screen of the messenger, by name: for looking at them (`make screens`, `npm run dev`) and for what is asked of all of
 * them (tests/web/test_scenes.py). A screen that is made gets its scenes here.
 */

import type { Signal } from "@preact/signals-core";

import type { Connection, Notice, Question, Restoring } from "../../src/messenger";
import { Refusal } from "../../src/messenger";
import type { RoomId } from "../../src/protocol/ids";
import { open } from "../../src/ui/dialogs";
import { click, fill, frame, look, pick, scrollUp } from "./hands";
import { id, KEY, type MessageRow } from "./script";
import type { World } from "./world";

export interface Scene {
  /** The address: what stands behind the page's `#`. */
  readonly at?: string;
  /** Before the page is there. */
  readonly set?: () => void;
  /** There is no messenger: the browser's storage cannot be opened. */
  readonly unopened?: true;
  /** What is done on the page then. */
  readonly act?: () => unknown;
}

const MINUTE = 60_000;
const BAD_KEY = "EsTb 3kq9 ZwYn 7LpD mQ4v Xc2H g8Rt UfJ5 aN6s Wd1P Vy9K hB3f";

/** What the browser has for a camera; null: none. */
function camera(stream: MediaStream | null): void {
  const devices = stream === null ? undefined : { getUserMedia: async () => stream };
  Object.defineProperty(navigator, "mediaDevices", { configurable: true, value: devices });
}

/** A wall that the camera looks at. */
function wall(): MediaStream {
  const canvas = document.createElement("canvas");
  const stream = canvas.captureStream(10);
  const context = canvas.getContext("2d")!;
  context.fillStyle = "#7d8a83";
  context.fillRect(0, 0, canvas.width, canvas.height);
  return stream;
}

export function scenesOf({ messenger, bob, choir, long, rooms }: World): Readonly<Record<string, Scene>> {
  const put =
    <Value>(signal: Signal<Value>, value: Value) =>
    (): void => {
      signal.value = value;
    };
  const refuse = (name: string, code: string): void => void messenger.refusals.set(name, new Refusal(code));
  const user = (name: string) => messenger.user(name);
  const room = (which: RoomId): string => `/room/${which}`;

  const nobody = { set: put(messenger.account, null) };
  const connected = (connection: Connection, seen?: Parameters<typeof look>[0]): Scene => ({
    at: room(bob),
    set: put(messenger.connection, connection),
    act: () => (seen === undefined ? undefined : look(seen)),
  });
  const restoring = (progress: Restoring): Scene => ({ set: put(messenger.restoring, progress) });
  const noticed = (...notices: readonly Notice[]): Scene => ({
    at: room(bob),
    set: put(messenger.notices, notices),
  });
  const questioned = (question: Question): Scene => ({
    at: room(bob),
    set: put(messenger.questions, [question]),
  });
  const dialog = (which: Parameters<typeof open>[0], more: Scene = {}): Scene => ({
    at: room(bob),
    ...more,
    act: () => open(which),
  });
  const message = (find: (row: MessageRow) => boolean): Scene => ({
    at: room(bob),
    act: () => {
      const row = messenger.rowsOf(bob).find((one) => one.kind === "message" && find(one));
      if (row?.kind === "message") open({ kind: "message", row });
    },
  });
  const member = (name: string, action: "removeMember" | "handOver" | null): Scene => ({
    at: `${room(choir)}/details`,
    act: async () => {
      await click((w) => w.room.actionsFor(name));
      if (action !== null) await pick((w) => w.room[action]);
    },
  });
  const searched = (text: string, found: Parameters<typeof look>[0]): Scene => ({
    act: async () => {
      await fill((w) => w.rooms.searchLabel, text);
      await look(found);
    },
  });
  const device = (action: "rename" | "revoke"): Scene => ({
    at: "/settings/devices",
    act: async () => {
      await click((w) => w.room.actionsFor("Telephone"));
      await pick((w) => w.settings[action]);
    },
  });
  const identity: Notice = { kind: "identity", id: "2", user: user("bob"), username: "bob", wasVerified: true };

  return {
    // --- before one is in ---
    opening: { set: put(messenger.account, undefined) },
    "sign-in": nobody,
    "sign-in-key": { ...nobody, act: () => click((w) => w.entry.useRecoveryKey) },
    "sign-in-refused": {
      ...nobody,
      act: async () => {
        refuse("signIn", "bad_credentials");
        await fill((w) => w.common.userName, "alice");
        await fill((w) => w.common.password, "guessed");
        await click((w) => w.entry.signIn);
        await look((w) => w.refusals.bad_credentials);
      },
    },
    "sign-in-busy": {
      ...nobody,
      act: async () => {
        messenger.hold("signIn");
        await fill((w) => w.common.userName, "alice");
        await fill((w) => w.common.password, "seven geese crossed the harbour");
        await click((w) => w.entry.signIn);
        await look((w) => w.entry.signingIn);
      },
    },
    "sign-up": { ...nobody, at: "/sign-up" },
    "sign-up-weak": {
      ...nobody,
      at: "/sign-up",
      act: async () => {
        refuse("signUp", "weak_password");
        await fill((w) => w.common.userName, "alice");
        await fill((w) => w.common.password, "password");
        await look((w) => w.strength.levels[1] ?? "");
        await click((w) => w.entry.signUp);
        await look((w) => w.refusals.weak_password);
      },
    },
    "sign-up-strong": {
      ...nobody,
      at: "/sign-up",
      act: async () => {
        await fill((w) => w.common.password, "seven geese crossed the harbour");
        await look((w) => w.strength.levels[4] ?? "");
      },
    },
    recovery: { at: "/recovery", set: put(messenger.recoveryKey, KEY) },
    "recovery-check": {
      at: "/recovery",
      set: put(messenger.recoveryKey, KEY),
      act: async () => {
        await click((w) => w.recovery.next);
        await click((w) => w.recovery.confirm);
        await look((w) => w.recovery.wrong);
      },
    },
    "recovery-confirmed": { at: "/recovery" },
    "restoring-keys": restoring({ step: "keys", done: 0, of: 0 }),
    restoring: restoring({ step: "messages", done: 3_412, of: 9_800 }),
    "restoring-storage-full": {
      set: () => {
        messenger.restoring.value = { step: "messages", done: 3_412, of: 9_800 };
        messenger.connection.value = { state: "offline", retryAt: Date.now() + 60_000, reason: "storage_full" };
      },
    },
    "restoring-in-passing": {
      ...restoring({ step: "epochs", done: 120, of: 500 }),
      act: () => click((w) => w.restoring.goOn),
    },
    "signed-out": connected({ state: "stopped", reason: "signed_out" }),
    "signed-out-again": {
      ...connected({ state: "stopped", reason: "signed_out" }),
      act: () => click((w) => w.stopped.signInAgain),
    },
    suspended: connected({ state: "stopped", reason: "suspended" }),
    fault: connected({ state: "stopped", reason: "fault" }),
    unopened: { unopened: true },

    // --- conversations ---
    main: {},
    empty: { set: put(messenger.rooms, []) },
    search: searched("the", "Bring"),
    "search-nothing": searched("xylophone", (w) => w.rooms.noMatch("xylophone")),
    bob: { at: room(bob) },
    choir: { at: room(choir) },
    long: { at: room(long) },
    "long-above": {
      at: room(long),
      act: async () => {
        await look("Note 400");
        for (let drawn = 0; drawn < 12; drawn += 1) await frame(); // until it stands at its end
        await scrollUp(4_000, (w) => w.conversation.jumpNewest);
      },
    },
    arabic: { at: room(rooms.noor) },
    korean: { at: room(rooms.minji) },
    "names-that-are-long": { at: room(rooms.crowd) },
    "nothing-written": { at: room(rooms.fresh) },
    blocked: { at: room(rooms.mallory) },
    "blocked-by-peer": { at: room(bob), set: () => messenger.change(bob, { closed: "blocked-by-peer" }) },
    left: { at: room(choir), set: () => messenger.change(choir, { closed: "left", myRole: null }) },
    absent: { at: room(id<RoomId>(999_999)) },
    unverified: {
      at: room(bob),
      set: () => {
        messenger.notices.value = [identity];
        messenger.change(bob, {
          closed: "unverified",
          members: [messenger.member("alice"), messenger.member("bob", "member", { held: true })],
        });
        messenger.system(bob, { what: "identity", user: user("bob"), username: "bob" });
      },
    },
    "unverified-group": {
      at: room(choir),
      set: () =>
        messenger.change(choir, {
          closed: "unverified",
          members: ["alice", "bob", "carol", "dana"].map((name, at) =>
            messenger.member(name, at === 0 ? "owner" : "member", { held: at > 1 }),
          ),
        }),
    },
    writing: {
      at: room(bob),
      act: () => fill((w) => w.composer.label, `${"A letter that is longer than its box. ".repeat(9)}\n\nA.`),
    },
    refused: {
      at: room(bob),
      act: async () => {
        refuse("send", "storage_full");
        await fill((w) => w.composer.label, "One more");
        await click((w) => w.composer.send);
        await look((w) => w.refusals.storage_full);
      },
    },
    message: message((row) => row.text?.startsWith("I have found the map") === true),
    "message-late": message((row) => row.refused?.canSendAgain === true),
    "message-unverifiable": message((row) => row.text === null),

    // --- the state of things ---
    offline: connected({ state: "offline", retryAt: Date.now() + 60_000 }, (w) => w.connection.offline),
    "storage-full": connected(
      { state: "offline", retryAt: Date.now() + 60_000, reason: "storage_full" },
      (w) => w.connection.full,
    ),
    connecting: connected({ state: "connecting" }, (w) => w.connection.connecting),
    "catching-up": connected({ state: "catching-up", done: 120, of: 480 }, (w) =>
      w.connection.catchingUpCount(120, 480),
    ),
    "new-build": { at: room(bob), set: put(messenger.newBuild, true) },
    notices: noticed(
      { kind: "recovery-unconfirmed", id: "1" },
      identity,
      { kind: "name", id: "6", user: user("carol"), username: "carol (00000003)" },
      { kind: "vault-opened", id: "3", device: null, deviceName: "Chrome on Windows" },
      { kind: "keys-locked", id: "4" },
      {
        kind: "change-failed",
        id: "5",
        username: "dana",
        action: "remove",
        problem: { status: 503, code: "overloaded", title: "", detail: "" },
      },
    ),
    unlock: { ...noticed({ kind: "keys-locked", id: "4" }), act: () => click((w) => w.notices.unlock) },
    "unlock-refused": {
      ...noticed({ kind: "keys-locked", id: "4" }),
      act: async () => {
        refuse("unlock", "wrong_secret");
        await click((w) => w.notices.unlock);
        await fill((w) => w.common.password, "guessed");
        await click((w) => w.notices.unlock);
        await look((w) => w.refusals.wrong_secret);
      },
    },
    conflict: questioned({
      kind: "conflict",
      id: "q1",
      action: "block",
      username: "carol",
      now: messenger.relationTo("carol"),
      changedByDevice: "Telephone",
      changedAt: Date.now() - 4 * MINUTE,
    }),
    lag: questioned({
      kind: "lag",
      id: "q2",
      username: "mallory",
      devices: [
        { name: "Telephone", lastSeenAt: Date.now() - 190 * MINUTE },
        { name: "workstation", lastSeenAt: null },
      ],
    }),
    "question-put-off": {
      ...questioned({ kind: "lag", id: "q2", username: "mallory", devices: [{ name: "Telephone", lastSeenAt: null }] }),
      act: () => click((w) => w.common.close),
    },

    // --- people ---
    new: { at: "/new" },
    "new-group": {
      at: "/new",
      act: async () => {
        for (const name of ["bob", "carol"]) await click(name);
      },
    },
    "new-not-found": {
      at: "/new",
      act: async () => {
        await fill((w) => w.common.userName, "nobody.here");
        await click((w) => w.people.find);
        await look((w) => w.people.notFound("nobody.here"));
      },
    },
    contacts: { at: "/contacts" },
    "contacts-none": { at: "/contacts", set: put(messenger.relations, []) },
    "contacts-menu": { at: "/contacts", act: () => click((w) => w.room.actionsFor("bob")) },
    block: dialog({ kind: "block", user: user("carol"), username: "carol" }),
    unblock: dialog({ kind: "unblock", user: user("mallory"), username: "mallory" }),
    "unblock-offline": dialog(
      { kind: "unblock", user: user("mallory"), username: "mallory" },
      { set: put(messenger.canUnblock, false) },
    ),
    safety: {
      at: room(bob),
      act: async () => {
        open({ kind: "safety", user: user("carol"), username: "carol" });
        await look((w) => w.safety.notVerified);
      },
    },
    "safety-verified": {
      at: room(bob),
      set: () => void messenger.verify(user("bob"), true),
      act: async () => {
        open({ kind: "safety", user: user("bob"), username: "bob" });
        await look((w) => w.safety.verified);
      },
    },
    "safety-mismatch": {
      at: room(bob),
      act: async () => {
        refuse("scanned", "other_code");
        open({ kind: "safety", user: user("carol"), username: "carol" });
        await fill((w) => w.safety.paste, "letterlock:1:somebody-else");
        await click((w) => w.safety.check);
        await look((w) => w.refusals.other_code);
      },
    },
    "safety-scanning": {
      at: room(bob),
      act: async () => {
        camera(wall());
        open({ kind: "safety", user: user("carol"), username: "carol" });
        await click((w) => w.safety.scan);
        await look((w) => w.safety.holdCode);
      },
    },
    "safety-no-camera": {
      at: room(bob),
      act: async () => {
        camera(null);
        open({ kind: "safety", user: user("carol"), username: "carol" });
        await click((w) => w.safety.scan);
        await look((w) => w.safety.noPicture.missing);
      },
    },
    "safety-unavailable": {
      at: room(bob),
      act: async () => {
        refuse("safety", "offline");
        open({ kind: "safety", user: user("carol"), username: "carol" });
        await look((w) => w.safety.unavailable);
      },
    },

    // --- about a conversation ---
    details: { at: `${room(choir)}/details` },
    "details-of-two": { at: `${room(bob)}/details` },
    "details-of-a-crowd": { at: `${room(rooms.crowd)}/details` },
    "add-members": dialog({ kind: "add-members", room: choir }, { at: `${room(choir)}/details` }),
    "member-menu": member("bob", null),
    "remove-member": member("carol", "removeMember"),
    "hand-over": member("bob", "handOver"),
    leave: { at: `${room(long)}/details`, act: () => click((w) => w.room.leave) },

    // --- settings ---
    settings: { at: "/settings" },
    devices: { at: "/settings/devices" },
    "devices-unavailable": { at: "/settings/devices", set: () => refuse("devices", "offline") },
    "rename-device": device("rename"),
    "revoke-device": device("revoke"),
    privacy: { at: "/settings/privacy" },
    "privacy-unknown": { at: "/settings/privacy", set: put(messenger.settings, null) },
    security: { at: "/settings/security" },
    "change-password-refused": {
      at: "/settings/security",
      act: async () => {
        refuse("changePassword", "wrong_secret");
        await click((w) => w.entry.useRecoveryKey);
        await fill((w) => w.entry.recoveryKey, BAD_KEY);
        await fill((w) => w.settings.newPassword, "seven geese crossed");
        await look((w) => w.strength.levels[3] ?? "");
        await click((w) => w.settings.changePassword);
        await look((w) => w.refusals.wrong_secret);
      },
    },
    reset: { at: "/settings/security", act: () => click((w) => w.settings.reset) },
    notifications: { at: "/settings/notifications" },
    "notifications-denied": { at: "/settings/notifications", set: put(messenger.push, "denied") },
    appearance: { at: "/settings/appearance" },
    account: { at: "/settings/account" },
    "sign-out": {
      at: "/settings/account",
      set: put(messenger.recoveryKey, KEY),
      act: () => click((w) => w.settings.signOut),
    },
    shortcuts: dialog({ kind: "shortcuts" }),
    toast: {
      at: "/contacts",
      act: async () => {
        await fill((w) => w.people.addContactLabel, "frank");
        await click((w) => w.people.addContact);
        await look((w) => w.people.asked("frank"));
      },
    },
  };
}
