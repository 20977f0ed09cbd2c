// @vitest-environment happy-dom
import { expect, test, vi } from "vitest";

async function load(): Promise<typeof import("../../src/worker/trusted")> {
  vi.resetModules();
  vi.stubEnv("DEV", false);
  return import("../../src/worker/trusted");
}

test("our own workers get through", async () => {
  const { workerUrl } = await load();
  expect(workerUrl("/sw.js")).toBe("/sw.js");
  expect(workerUrl("/static/web/workers/argon2-BNQBh4Iw.js")).toBe("/static/web/workers/argon2-BNQBh4Iw.js");
});

test.each([
  "https://mallory.example/sw.js",
  "//mallory.example/static/web/workers/argon2-1.js",
  "data:text/javascript,alert(1)",
  "blob:http://localhost:3000/1",
  "/static/web/assets/index-1.js",
  "/static/web/workers/../assets/index-1.js",
  "/sw.js?importScripts=1",
  "/api/v1/messages/1",
])("nothing else does: %s", async (url) => {
  const { workerUrl } = await load();
  expect(() => workerUrl(url)).toThrow(TypeError);
});

test("where the browser has Trusted Types, one policy is made, and every script goes through it", async () => {
  const made: string[] = [];
  const createPolicy = (name: string, rules: { createScriptURL(url: string): string }) => {
    made.push(name);
    return { createScriptURL: (url: string) => `trusted ${rules.createScriptURL(url)}` };
  };
  vi.stubGlobal("trustedTypes", { createPolicy });
  const { workerUrl } = await load();
  expect(workerUrl("/sw.js")).toBe("trusted /sw.js");
  expect(() => workerUrl("https://mallory.example/sw.js")).toThrow(TypeError);
  expect(made).toEqual(["letterlock"]);
});
