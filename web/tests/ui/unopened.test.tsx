// @vitest-environment happy-dom
/** A browser that gives no storage: a private window of some, a disk that is full, what a newer build has made of it. */

import { screen } from "@testing-library/preact";
import { afterEach, beforeEach, expect, it, vi } from "vitest";

beforeEach(() => {
  vi.resetModules();
  vi.spyOn(console, "error").mockReturnValue();
  vi.stubGlobal("indexedDB", {
    open: () => {
      throw new DOMException("there is no storage here", "InvalidStateError");
    },
  });
  document.body.innerHTML = '<div id="app"></div>';
});

afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
  localStorage.clear();
});

it.each([
  ["en", "Letterlock cannot keep anything here", "Reload"],
  ["ko", "이 브라우저에 저장할 수 없습니다", "새로 고침"],
])("is told so, in %s", async (language, title, reload) => {
  localStorage.setItem("letterlock.language", language);
  await import("../../src/main");
  expect(screen.getByRole("heading", { name: title })).toBeTruthy();
  expect(screen.getByRole("button", { name: reload })).toBeTruthy();
  expect(document.documentElement.lang).toBe(language);
});
