/** Drafts, kept with their rooms, and put down beside them when the page goes. */

import "fake-indexeddb/auto";
import { expect, test } from "vitest";

import { openStore } from "../../src/store/db";
import { draftOf, keepDraft, putDraftDown, takeUpDrafts } from "../../src/store/drafts";
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
