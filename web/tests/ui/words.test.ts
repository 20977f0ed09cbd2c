/** The catalogues: complete, alike, and in step with the protocol. */

import { readFileSync } from "node:fs";

import { describe, expect, it } from "vitest";

import { dates } from "../../src/i18n/dates";
import { en } from "../../src/i18n/en";
import { ko } from "../../src/i18n/ko";
import { particle } from "../../src/i18n/particle";
import { preferredLanguage } from "../../src/i18n/words";
import type { UserId } from "../../src/protocol/ids";
import { changeInWords } from "../../src/ui/conversation/system-row";
import { capital, relationInWords } from "../../src/ui/people/questions";
import { byGravity, noticeInWords } from "../../src/ui/shell/notices";
import { id } from "./fake";

function leaves(entry: unknown, path = ""): string[] {
  if (typeof entry === "string") return [`${path}: text`];
  if (typeof entry === "function") return [`${path}: sentence`];
  return Object.entries(entry as object).flatMap(([key, value]) => leaves(value, `${path}.${key}`));
}

function texts(entry: unknown): string[] {
  if (typeof entry === "string") return [entry];
  if (typeof entry === "function") return [];
  return Object.values(entry as object).flatMap(texts);
}

describe("catalogues", () => {
  it("have the same entries", () => {
    expect(leaves(ko)).toEqual(leaves(en));
  });

  it("leave nothing empty", () => {
    for (const catalog of [en, ko]) for (const text of texts(catalog)) expect(text.trim()).not.toBe("");
  });

  it("leave nothing in English but what is the same in both languages", () => {
    const same = leaves(en).length - texts(en).length; // sentences are compared nowhere
    expect(same).toBeGreaterThan(0);
    const english = new Set(texts(en).filter((text) => /\p{L}/u.test(text)));
    const kept = texts(ko).filter((text) => english.has(text));
    expect(kept).toEqual(["Letterlock", "letterlock-recovery-key.txt", "English", "한국어"]);
  });

  it("have words for every code of the protocol that a person can meet", () => {
    const protocol = readFileSync(new URL("../../../docs/protocol.md", import.meta.url), "utf8");
    const section = protocol.slice(protocol.indexOf("\n## 2."), protocol.indexOf("\n## 3."));
    const codes = [...section.matchAll(/^\| `([a-z_]+)` \|/gm)].map((match) => match[1] ?? "");
    expect(codes.length).toBeGreaterThan(25);
    // What the device deals with by itself, and no page ever hears of.
    const own = [
      "seq",
      "version",
      "id_conflict",
      "epoch_stale",
      "epoch_exists",
      "members_changed",
      "userkeys_changed",
      "not_late",
      "ack_beyond_sent",
      "earlier_send_refused",
      "unknown_field",
    ];
    const told = codes.filter((code) => !own.includes(code) && !Object.hasOwn(en.refusals, code));
    expect(told).toEqual([]);
  });
});

describe("dates", () => {
  const now = new Date(2026, 10, 23, 15, 30).getTime();
  const day = 86_400_000;
  const english = dates("en", en);
  const korean = dates("ko", ko);

  it("are as short as they can be understood", () => {
    expect(english.short(now - 60_000, now)).toBe("15:29");
    expect(english.short(now - 3 * day, now)).toBe("Fri");
    expect(english.short(now - 30 * day, now)).toBe("24 Oct");
    expect(english.short(now - 400 * day, now)).toBe("19 Oct 2025");
    expect(korean.short(now - 30 * day, now)).toBe("10월 24일");
  });

  it("name near days", () => {
    expect(english.day(now, now)).toBe("Today");
    expect(english.day(new Date(2026, 10, 22, 23, 59).getTime(), now)).toBe("Yesterday");
    expect(english.day(now - 4 * day, now)).toBe("Thursday");
    expect(korean.day(now - day, now)).toBe("어제");
  });

  it("count back", () => {
    expect(english.ago(now - 5_000, now)).toBe("just now");
    expect(english.ago(now - 3 * 60_000, now)).toBe("3 minutes ago");
    expect(english.ago(now - day, now)).toBe("yesterday");
    expect(english.ago(now + 60_000, now)).toBe("just now");
    expect(korean.ago(now - 2 * 3_600_000, now)).toBe("2시간 전");
  });
});

describe("sentences", () => {
  it("count", () => {
    expect(en.rooms.unread(1)).toBe("1 unread message");
    expect(en.rooms.unread(3)).toBe("3 unread messages");
    expect(ko.rooms.unread(3)).toBe("읽지 않은 메시지 3개");
  });

  it("name who writes", () => {
    expect(en.rooms.typing(["bob"])).toBe("bob is typing…");
    expect(en.rooms.typing(["bob", "carol"])).toBe("bob and carol are typing…");
    expect(en.rooms.typing(["bob", "carol", "dana"])).toBe("3 people are typing…");
  });

  it("call oneself “you”, on either side of the verb", () => {
    const added = { what: "added", by: "bob", users: ["alice", "carol"] } as const;
    expect(changeInWords(added, "alice", en)).toEqual(["bob added you and carol"]);
    expect(changeInWords({ what: "created", by: "alice", users: [] }, "alice", en)).toEqual([
      "You began the conversation",
    ]);
    expect(changeInWords({ what: "created", by: "alice", users: [] }, "alice", ko)).toEqual([
      "내가 대화를 시작했습니다",
    ]);
    expect(changeInWords({ what: "left", by: "bob", users: [] }, "alice", en)).toEqual(["bob left"]);
    const role = { what: "role", by: null, users: ["bob"], role: "admin" } as const;
    expect(changeInWords(role, "alice", en)).toEqual(["Admin now: bob"]);
  });

  it("say everything about readers, and nothing where nothing has changed", () => {
    const change = { what: "readers", by: "bob", added: ["erik"], removed: ["dana"], rekeyed: ["alice"] } as const;
    expect(changeInWords(change, "alice", en)).toEqual([
      "erik can read from here on",
      "dana cannot read from here on",
      "You have new keys",
    ]);
    expect(changeInWords({ ...change, added: [], removed: [], rekeyed: [] }, "alice", en)).toEqual([]);
  });

  it("put the particle that a Korean name asks for", () => {
    expect(particle("민수", "이", "가")).toBe("민수가");
    expect(particle("가영", "이", "가")).toBe("가영이");
    expect(particle("carol", "을", "를")).toBe("carol을");
    expect(particle("bob", "을", "를")).toBe("bob를");
  });

  it("begin a sentence with a capital letter, but leave names as they are", () => {
    expect(capital(en.questions.actions.block("carol"), "carol")).toBe("Block carol");
    expect(capital(ko.questions.actions.block("carol"), "carol")).toBe("carol 님 차단");
  });

  it("tell a relation in a few words", () => {
    const none = {
      user: id<UserId>(5),
      username: "m",
      state: "none",
      blocked: false,
      blockedBy: false,
      verified: false,
      waiting: null,
    } as const;
    expect(relationInWords(none, en.questions)).toBe("No contact");
    expect(relationInWords({ ...none, blocked: true }, en.questions)).toBe("Blocked by you");
    expect(relationInWords({ ...none, state: "contact", blockedBy: true }, en.questions)).toBe("Contact · Blocks you");
  });

  it("go by gravity where several notices are to be read", () => {
    const notices = byGravity([
      { kind: "recovery-unconfirmed", id: "1" },
      { kind: "name", id: "3", user: id<UserId>(3), username: "carol (00000003)" },
      { kind: "identity", id: "2", user: id<UserId>(2), username: "bob", wasVerified: true },
    ]);
    expect(notices[0]?.kind).toBe("identity");
    const said = notices.map((notice) => noticeInWords(notice, en));
    expect(said[0]).toContain("Nothing is sent");
    expect(said[1]).toContain("carol (00000003) by another name");
  });

  it("are in the browser's first language that there is", () => {
    expect(preferredLanguage(["fr-FR", "ko-KR", "en"])).toBe("ko");
    expect(preferredLanguage(["en-US", "ko"])).toBe("en");
    expect(preferredLanguage(["fr"])).toBe("en");
    expect(preferredLanguage([])).toBe("en");
  });
});
