/** Who may know whom (docs/architecture.md): ui > device > store | transport | crypto > protocol. */

import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { expect, test } from "vitest";

const SRC = join(__dirname, "../src");
const BELOW: Readonly<Record<string, readonly string[]>> = {
  protocol: [],
  crypto: ["protocol"],
  transport: ["protocol"],
  store: ["protocol", "crypto"],
  device: ["protocol", "crypto", "transport", "store"],
  i18n: [],
  ui: ["protocol", "i18n"],
  worker: ["crypto", "protocol"],
};
// Of these everybody may know the types, and `Refusal`; the device makes its workers by the Trusted Types policy.
const SHARED = new Set(["messenger"]);
const ALLOWED: readonly (readonly [string, string])[] = [
  ["device", "worker/trusted"],
  ["device", "worker/argon2"],
  ["crypto", "worker/trusted"],
];

const files = readdirSync(SRC, { recursive: true, encoding: "utf8" }).filter((file) => /\.tsx?$/.test(file));

test.each(files.filter((file) => file.includes("/")))("%s knows only what lies below it", (file) => {
  const part = file.split("/")[0]!;
  const text = readFileSync(join(SRC, file), "utf8");
  const imports = [...text.matchAll(/(?:from|import)\s*\(?\s*"(\.[^"?]*)/g)].map(([, path]) =>
    relative(SRC, join(SRC, file, "..", path!)),
  );
  for (const path of imports) {
    const of = path.split("/")[0]!;
    const isAllowed =
      of === part ||
      SHARED.has(path) ||
      BELOW[part]?.includes(of) ||
      ALLOWED.some(([who, what]) => who === part && what === path);
    expect(isAllowed, `${file} imports ${path}`).toBe(true);
  }
});

test("the protocol does no I/O", () => {
  for (const file of files.filter((name) => name.startsWith("protocol/"))) {
    const text = readFileSync(join(SRC, file), "utf8");
    expect(text, file).not.toMatch(/\b(fetch|indexedDB|WebSocket|setTimeout|Date\.now|navigator)\b/);
  }
});
