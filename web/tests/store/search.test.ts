/** The search: full words and prefixes, in whatever script, case and accents (web/src/store/search.ts). */

import "fake-indexeddb/auto";
import { IDBFactory } from "fake-indexeddb";
import { beforeEach, expect, test } from "vitest";

import { type Db, openStore } from "../../src/store/db";
import type { EntryRecord } from "../../src/store/schema";
import { search } from "../../src/store/search";
import { wordsOf } from "../../src/store/words";
import { KITCHEN } from "../shapes";

let db: Db;

beforeEach(async () => {
  globalThis.indexedDB = new IDBFactory();
  db = await openStore();
});

async function said(...texts: string[]): Promise<void> {
  for (const [at, text] of texts.entries()) {
    const record: EntryRecord = { seq: at + 1, kind: "message", room: KITCHEN, data: {}, text, words: wordsOf(text) };
    await db.put("entries", record);
  }
}

const found = async (query: string, limit = 10) => (await search(db, query, limit)).map((record) => record.seq);

test("every word of the query must occur, or one that begins so; newest first", async () => {
  await said("The kitchen is closed", "kitten in the kitchen", "the garden", "closing time in the Kitchen");
  expect(await found("kitchen")).toEqual([4, 2, 1]);
  expect(await found("kit")).toEqual([4, 2, 1]);
  expect(await found("clos kitchen")).toEqual([4, 1]);
  expect(await found("itchen")).toEqual([]);
  expect(await found("kitchen", 2)).toEqual([4, 2]);
  expect(await found("  ")).toEqual([]);
  expect(await found("!?")).toEqual([]);
});

test.each([
  ["Crème brûlée", "creme brulee"],
  ["STRASSE", "straße"],
  ["straße 7", "Strasse"],
  ["ＦＵＬＬ width", "full"],
  ["Ελλάδα", "ελλαδα"],
  ["it's fine", "its"],
  ["see https://example.org/path", "example"],
  ["안녕하세요 반갑습니다", "안녕"],
  ["안녕하세요 반갑습니다", "반갑"],
  ["한글", "하"], // while the syllable is typed
  ["한글", "ㅎ"],
  ["明日東京で会いましょう", "東京"],
  ["我們明天去圖書館", "圖書館"],
  ["สวัสดีครับเพื่อน", "เพื่อน"],
  ["שָׁלוֹם", "שלום"],
  ["مُحَمَّد", "محمد"],
  ["हिन्दी भाषा", "हिन्दी"],
])("%s is found by %s", async (text, query) => {
  await said("something else", text);
  expect(await found(query)).toEqual([2]);
});

test("kana with and without a voicing mark are different letters", async () => {
  await said("かき");
  expect(await found("がき")).toEqual([]);
});

test("a text of any length leaves a bounded number of words", () => {
  expect(wordsOf(Array.from({ length: 5_000 }, (_, n) => `word${n}`).join(" "))).toHaveLength(400);
  expect(wordsOf("a".repeat(5_000))[0]).toHaveLength(60);
});
