import { describe, expect, test } from "vitest";

import { notice, outdated, targetOf } from "../../src/worker/policy";

const ORIGIN = "https://letterlock.example";

function target(path: string, { method = "GET", isNavigation = false } = {}): string | null {
  return targetOf(method, isNavigation, new URL(path, ORIGIN), ORIGIN);
}

describe("what the service worker answers from its own store", () => {
  test("the page, whatever stands behind the hash or the question mark", () => {
    expect(target("/", { isNavigation: true })).toBe("/");
    expect(target("/?from=notification#/rooms/1", { isNavigation: true })).toBe("/");
  });

  test("the client's files, and no others", () => {
    expect(target("/static/web/assets/index-abc.js")).toBe("/static/web/assets/index-abc.js");
    expect(target("/static/admin/css/base.css")).toBeNull();
    expect(target("/static/web/assets/index-abc.js?v=2")).toBeNull();
  });

  test("nothing of the API, the admin, or another origin", () => {
    expect(target("/api/v1/rooms")).toBeNull();
    expect(target("/admin/", { isNavigation: true })).toBeNull();
    expect(target("https://elsewhere.example/static/web/assets/index-abc.js")).toBeNull();
    expect(target("/", { method: "POST", isNavigation: true })).toBeNull();
  });
});

test("the build before stays for the tabs that are still of it; older ones go", () => {
  expect(outdated(["one", "two", "three"], "three")).toEqual(["one"]);
  expect(outdated(["one", "two"], "two")).toEqual([]);
  expect(outdated(["two"], "two")).toEqual([]);
  // Gone back to an earlier build.
  expect(outdated(["one", "two", "three"], "two")).toEqual(["one"]);
});

test("a notification says that there is something, in the reader's language", () => {
  expect(notice(["ko-KR", "en"])).toMatchObject({ options: { lang: "ko", tag: "letterlock" } });
  expect(notice(["en-GB"])).toMatchObject({ options: { lang: "en", body: "There is something new." } });
  expect(notice([])).toMatchObject({ options: { lang: "en" } });
});
