/** Contacts and blocks: in step by version, pressed buttons in order, questions (docs/protocol.md §5, docs/client.md). */

import { describe, expect, test } from "vitest";

import { Refusal, type Relation } from "../../src/messenger";
import { openStore } from "../../src/store/db";
import { getValue } from "../../src/store/values";
import { eventually, Tab, until } from "./browsers";
import { refused, type Wire } from "./server";
import { stage } from "./stage";

const on = stage();

const bobOf = (relations: readonly Relation[]) => relations.find((relation) => relation.username === "bob");
const changes = (): string[] => on.server.requests.filter((request) => request === "POST connections");
const synced = (): number => on.server.requests.filter((request) => request === "POST connections/synced").length;

async function aliceWithBob() {
  const bob = on.server.user("bob");
  const room = on.server.direct("alice", "bob");
  const tab = await on.browser.signedIn("alice");
  return { bob, room, tab, device: tab.device };
}

describe("in step", () => {
  test("a new device pages through what there is, and reports it", async () => {
    on.server.relate("alice", "bob", { state: "contact" });
    on.server.relate("alice", "mallory", { blocked: true }, false);
    const { device } = await on.browser.signedIn("alice");
    const relations = await until(device.relations, (relations) => relations.length === 2);
    expect(relations.map(({ username, state, blocked }) => [username, state, blocked])).toEqual([
      ["bob", "contact", false],
      ["mallory", "none", true],
    ]);
    await eventually(() => synced() === 1);
    expect(device.settings.value).toEqual({ whoMayOpen: "anyone", whoMayAdd: "anyone", strangers: "mailbox" });
  });

  test("two users under one name are told apart, whatever the server calls them", async () => {
    const marked = (username: string) => `${username} (${on.server.user(username).slice(-8)})`;
    const names = (relations: readonly Relation[]) => relations.map(({ username }) => username).sort();
    on.server.relate("alice", "bob", { state: "contact" }, false);
    on.server.relate("alice", "mallory", { state: "contact" }, false);
    const { device } = await on.browser.signedIn("alice");
    await until(device.relations, (relations) => relations.length === 2);
    on.server.relate("alice", "mallory", { username: "bob" });
    await until(device.relations, (relations) => names(relations).join() === `bob,${marked("mallory")}`);

    on.server.relate("alice", "trudy", { username: "bob", state: "contact" });
    const both = [marked("bob"), `bob (${on.server.user("trudy").slice(-8)})`, marked("mallory")].sort();
    await until(device.relations, (relations) => names(relations).join() === both.join());
  });

  test("a block on another device counts at once, and is reported at once", async () => {
    const { device } = await aliceWithBob();
    on.server.relate("alice", "bob", { blocked: true });
    await until(device.relations, (relations) => bobOf(relations)?.blocked === true);
    await until(device.rooms, (rooms) => rooms[0]?.closed === "blocked-by-you");
    await eventually(() => synced() >= 1);
  });

  test("an entry behind a gap makes the device page, and nothing older takes its place", async () => {
    const { device, bob } = await aliceWithBob();
    const old = on.server.relate("alice", "bob", { state: "incoming" }, false);
    on.server.relate("alice", "bob", { state: "contact" });
    await until(device.relations, (relations) => bobOf(relations)?.state === "contact");
    on.server.put(on.server.user("alice"), { kind: "connection", version: 1, connection: old });
    const db = await openStore();
    await eventually(
      async () => (await getValue(db, "stored")) === on.server.mailboxes.get(on.server.user("alice"))!.length,
    );
    await eventually(async () => (await getValue(db, "progress"))?.version === 2);
    expect((await db.get("relations", bob))?.state).toBe("contact");
  });

  test("a tab that is closed while it pages leaves no error behind, and the next one goes on", async () => {
    const { room, tab, device } = await aliceWithBob();
    tab.sealing.refusal = new Refusal("offline");
    await device.send(room.id, "hello"); // whether it may go is looked at after each page
    const errors: unknown[] = [];
    const note = (error: unknown) => errors.push(error);
    process.on("unhandledRejection", note);
    const closed = new Promise<void>((resolve) =>
      tab.bus.listen(({ type }) => {
        if (type !== "connections") return;
        tab.close();
        setTimeout(resolve); // Node tells of what nobody catches before it goes on with timers
      }),
    );
    on.server.dropSockets();
    await closed;
    process.off("unhandledRejection", note);
    expect(errors).toEqual([]);

    await (await Tab.open(on.browser)).live();
    await eventually(() => on.server.stored.size === 1);
  });
});

describe("a button", () => {
  test("that is pressed offline is kept over a reload, and sent in order when there is a connection", async () => {
    const { bob, tab } = await aliceWithBob();
    tab.close();
    await eventually(() => on.server.online.length === 0);
    const offline = await Tab.open(on.browser, { begins: false });
    await offline.device.press("block", { user: bob });
    await offline.device.press("unblock", { user: bob }).catch(() => undefined); // not offered: the rule is not known offline
    await offline.device.press("add", { user: bob });
    offline.close();

    const bodies: Wire[] = [];
    on.server.answer = (method, path, body) => {
      if (method === "POST" && path === "connections") bodies.push(body);
      return undefined;
    };
    const again = await Tab.open(on.browser);
    await again.live();
    await until(again.device.relations, (relations) => bobOf(relations)?.waiting === null && bodies.length >= 2);
    expect(bodies.map((change) => change.action).filter((action) => action !== "unblock")).toEqual(["block", "add"]);
  });

  test("shows as waiting until it is answered", async () => {
    const { bob, device } = await aliceWithBob();
    let isBusy = true;
    on.server.answer = (method, path) =>
      isBusy && method === "POST" && path === "connections" ? refused(503, "unavailable") : undefined;
    await device.press("add", { user: bob });
    expect(bobOf(device.relations.value)).toMatchObject({ state: "none", waiting: "add" });
    isBusy = false;
    const bobs = bobOf(await until(device.relations, (relations) => bobOf(relations)?.waiting === null));
    expect(bobs).toMatchObject({ state: "requested" });
  });

  test("about somebody whose name is not known yet shows it when it has come", async () => {
    const { device } = await aliceWithBob();
    const carol = on.server.user("carol");
    on.server.answer = (method, path) => {
      if (method === "POST" && path === "connections") return refused(503, "unavailable");
      return path === "users/carol" ? { status: 200, body: { id: carol, username: "carol" } } : undefined;
    };
    await device.press("add", { user: carol });
    const names = (): string[] => device.relations.value.map(({ username }) => username);
    expect(names()).toEqual([carol.slice(-8)]);
    await device.findUser("carol");
    expect(names()).toEqual(["carol"]);
  });

  test("shows the name that is stored already", async () => {
    const { device } = await aliceWithBob();
    const carol = on.server.user("carol");
    const db = await openStore();
    await db.put("people", { user: carol, username: "carol" });
    on.server.answer = (method, path) =>
      method === "POST" && path === "connections" ? refused(503, "unavailable") : undefined;
    await device.press("add", { user: carol });
    expect(device.relations.value).toMatchObject([{ username: "carol", waiting: "add" }]);
  });

  test("that is refused for good is given up, and the user is told", async () => {
    const { bob, device } = await aliceWithBob();
    on.server.answer = (method, path) =>
      method === "POST" && path === "connections" ? refused(409, "conflict") : undefined;
    await device.press("accept", { user: bob });
    const notices = await until(device.notices, (notices) => notices.length === 1);
    expect(notices[0]).toMatchObject({
      kind: "change-failed",
      action: "accept",
      username: "bob",
      problem: { code: "conflict" },
    });
    await device.putAway(notices[0]!.id);
    await until(device.notices, (notices) => notices.length === 0);
    expect(changes()).toHaveLength(1);
  });
});

describe("a conflict", () => {
  async function conflicting() {
    const { bob, tab, device } = await aliceWithBob();
    const laptop = on.server.user("laptop");
    const relation = on.server.relate("alice", "bob", { blocked: true, changed_by: laptop, changed_at: 77 }, false);
    const bodies: Wire[] = [];
    on.server.answer = (method, path, body) => {
      if (path === "devices") {
        return {
          status: 200,
          body: {
            devices: [{ id: laptop, name: "laptop", client: "", created_at: 1, last_seen_at: 2, this_device: false }],
          },
        };
      }
      if (method !== "POST" || path !== "connections") return undefined;
      bodies.push(body);
      if (body.base_version >= relation.version) return undefined;
      const more = {
        connection: relation,
        version: relation.version,
        request: body,
        changed_by: laptop,
        changed_at: 77,
      };
      return refused(409, "connection_changed", more);
    };
    await device.press("add", { user: bob });
    const [question] = await until(device.questions, (questions) => questions.length === 1);
    return { tab, device, bodies, question: question!, relation };
  }

  test("is shown with both states, and a confirmed change goes again on that version", async () => {
    const { device, bodies, question, relation } = await conflicting();
    expect(question).toMatchObject({
      kind: "conflict",
      action: "add",
      username: "bob",
      now: { blocked: true },
      changedByDevice: "laptop",
      changedAt: 77,
    });
    expect(bobOf(device.relations.value)).toMatchObject({ blocked: true, waiting: "add" });
    device.answer(question.id, "confirm");
    await until(device.relations, (relations) => bobOf(relations)?.state === "requested");
    expect(bodies.map((change) => change.base_version)).toEqual([0, relation.version]);
    expect(device.questions.value).toEqual([]);
  });

  test("can be answered in another tab, and over a reload", async () => {
    const { tab, bodies } = await conflicting();
    const other = await Tab.open(on.browser);
    const [question] = await until(other.device.questions, (questions) => questions.length === 1);
    tab.close();
    other.device.answer(question!.id, "drop");
    await until(other.device.questions, (questions) => questions.length === 0);
    expect(bobOf(other.device.relations.value)).toMatchObject({ blocked: true, waiting: null });
    expect(bodies).toHaveLength(1);
  });
});

describe("lifting a block while devices lag", () => {
  async function lagging(isLagging: () => boolean) {
    const { bob, device } = await aliceWithBob();
    on.server.relate("alice", "bob", { blocked: true });
    await until(device.relations, (relations) => bobOf(relations)?.blocked === true);
    let sends = 0;
    on.server.answer = (method, path) => {
      if (method !== "POST" || path !== "connections") return undefined;
      sends += 1;
      const devices = [{ id: on.server.user("laptop"), name: "laptop", last_seen_at: 5 }];
      return isLagging() ? refused(423, "devices_lag", { devices }) : undefined;
    };
    await device.press("unblock", { user: bob });
    const [question] = await until(device.questions, (questions) => questions.length === 1);
    return { device, question: question!, sends: () => sends };
  }

  test("asks, names them, and waits for them if the user wants that", async () => {
    let lags = true;
    const { device, question } = await lagging(() => lags);
    expect(question).toEqual({
      kind: "lag",
      id: question.id,
      username: "bob",
      devices: [{ name: "laptop", lastSeenAt: 5 }],
    });
    lags = false;
    device.answer(question.id, "wait");
    await until(device.relations, (relations) => bobOf(relations)?.blocked === false);
  });

  test("is given up if the user does not want to wait", async () => {
    const { device, question, sends } = await lagging(() => true);
    device.answer(question.id, "drop");
    await until(device.questions, (questions) => questions.length === 0);
    expect(bobOf(device.relations.value)).toMatchObject({ blocked: true, waiting: null });
    expect(sends()).toBe(1);
  });
});

test("under restrict a block is lifted with a connection only", async () => {
  const { bob, device } = await aliceWithBob();
  await until(device.canUnblock, (can) => can);
  on.browser.close();
  const offline = await Tab.open(on.browser, { begins: false });
  const db = await openStore();
  await db.put("values", "restrict", "consistency");
  await offline.device.press("block", { user: bob });
  expect(offline.device.canUnblock.value).toBe(false);
  await expect(offline.device.press("unblock", { user: bob })).rejects.toMatchObject({ code: "offline" });
});
