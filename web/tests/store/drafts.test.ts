/** Drafts, kept with their rooms, and put down beside them when the page goes. */

import "fake-indexeddb/auto";
import { afterEach, describe, expect, test, vi } from "vitest";

import { openStore } from "../../src/store/db";
import { draftOf, forgetPutDown, keepDraft, putDraftDown, takeUpDrafts } from "../../src/store/drafts";
import { unknownRoom } from "../../src/store/rooms";
import { room } from "../shapes";

test("what was put down when the page went counts, until something newer is kept", async () => {
  const db = await openStore(undefined, "drafts");
  const kitchen = room(1);
  await db.put("rooms", unknownRoom(kitchen));
  expect(await draftOf(db, kitchen)).toBe("");
  await keepDraft(db, kitchen, "dear");
  expect(await draftOf(db, kitchen)).toBe("dear");
  await putDraftDown(db, kitchen, "dear all");
  expect(await draftOf(db, kitchen)).toBe("dear all");
  await takeUpDrafts(db);
  expect((await db.get("rooms", kitchen))?.draft).toBe("dear all");
  expect(await db.getAllKeys("values")).toEqual([]);
  await putDraftDown(db, kitchen, "");
  expect(await draftOf(db, kitchen)).toBe("");
  await keepDraft(db, kitchen, "dear you");
  expect(await draftOf(db, kitchen)).toBe("dear you");
  expect(await draftOf(db, room(2))).toBe("");
});

describe("where there is local storage", () => {
  /** As a browser's, and with place for so much. */
  function storage(most = 1_000): Storage {
    const items = new Map<string, string>();
    return {
      get length() {
        return items.size;
      },
      key: (n) => [...items.keys()][n] ?? null,
      getItem: (name) => items.get(name) ?? null,
      setItem(name, text) {
        if (text.length > most) throw new DOMException("full", "QuotaExceededError");
        items.set(name, text);
      },
      removeItem: (name) => void items.delete(name),
      clear: () => items.clear(),
    };
  }

  async function begin(name: string, most?: number) {
    const local = storage(most);
    vi.stubGlobal("localStorage", local);
    const db = await openStore(undefined, name);
    const kitchen = room(1);
    await db.put("rooms", unknownRoom(kitchen));
    return { local, db, kitchen };
  }
  afterEach(() => {
    vi.unstubAllGlobals();
  });

  test("it is put down there when that is asked for, however busy the database is", async () => {
    const { local, db, kitchen } = await begin("drafts put down");
    await keepDraft(db, kitchen, "dear");
    void putDraftDown(db, kitchen, "dear all");
    expect(local.length).toBe(1);
    expect(await draftOf(db, kitchen)).toBe("dear all");
    await takeUpDrafts(db);
    expect(local.length).toBe(0);
    expect((await db.get("rooms", kitchen))?.draft).toBe("dear all");
    await putDraftDown(db, kitchen, "");
    expect(await draftOf(db, kitchen)).toBe("");
    await keepDraft(db, kitchen, "dear you");
    expect(await draftOf(db, kitchen)).toBe("dear you");
  });

  test("what is put down while something older is being kept is newer", async () => {
    const { local, db, kitchen } = await begin("drafts at once");
    const kept = keepDraft(db, kitchen, "dear");
    void putDraftDown(db, kitchen, "dear all");
    await kept;
    expect(await draftOf(db, kitchen)).toBe("dear all");
    await keepDraft(db, kitchen, "dear all");
    expect(local.length).toBe(0);
  });

  test("what has no place there is put down as where there is none", async () => {
    const { local, db, kitchen } = await begin("drafts without place", 10);
    await putDraftDown(db, kitchen, "dear");
    await putDraftDown(db, kitchen, "dear all of you");
    expect(local.length).toBe(0);
    expect(await draftOf(db, kitchen)).toBe("dear all of you");
  });

  test("nothing is left for who comes next, and choices of this browser are", async () => {
    const { local, db, kitchen } = await begin("drafts forgotten");
    local.setItem("letterlock.theme", "dark");
    await putDraftDown(db, kitchen, "dear");
    await putDraftDown(db, room(2), "all");
    forgetPutDown();
    expect([local.length, local.key(0)]).toEqual([1, "letterlock.theme"]);
    expect(await draftOf(db, kitchen)).toBe("");
  });
});
