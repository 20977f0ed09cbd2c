import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import type { Plugin } from "vite";

const COMPRESSED = /\.(html|js|css|svg|json|webmanifest)$/;
// What is larger is loaded when it is needed: dictionaries for passwords.
const KEPT_BYTES = 400_000;
const PLACEHOLDER = "__PRECACHE__";

/**
 * Puts the build where Django serves it from: `static/` goes to /static/web/, while the page and the service worker, which need
 * headers of their own, lie beside it. The service worker is told what to keep, and everything is compressed once, here.
 *
 *     dist/index.html  dist/sw.js  dist/static/assets/…  dist/static/workers/…  dist/static/icons/…   each with .br and .gz
 */
export function pages(): Plugin {
  let base = "";
  let folder = "";
  return {
    name: "letterlock-pages",
    apply: "build",
    configResolved(config) {
      base = config.base;
      folder = config.build.outDir;
    },
    closeBundle: {
      order: "post",
      sequential: true,
      handler() {
        if (!folder.endsWith("static")) return; // workers are built by a build of their own, before
        const out = join(folder, "..");
        mkdirSync(out, { recursive: true });
        for (const name of ["index.html", "sw.js"]) renameSync(join(folder, name), join(out, name));
        tellServiceWorker(out, folder, base);
        for (const path of files(out)) compress(path);
      },
    },
  };
}

/** The version is a hash of everything that is kept, so that it changes when, and only when, something of it does. */
function tellServiceWorker(out: string, folder: string, base: string): void {
  const kept = files(folder).filter((path) => !path.includes("/icons/") && statSync(path).size <= KEPT_BYTES);
  const hash = createHash("sha256").update(readFileSync(join(out, "index.html")));
  for (const path of kept) hash.update(path).update(readFileSync(path));
  const precache = {
    version: hash.digest("hex").slice(0, 16),
    page: createHash("sha256")
      .update(readFileSync(join(out, "index.html")))
      .digest("hex"),
    urls: kept.map((path) => base + relative(folder, path).replaceAll("\\", "/")),
  };
  const worker = join(out, "sw.js");
  const code = readFileSync(worker, "utf8");
  if (!code.includes(PLACEHOLDER)) throw new Error(`${worker} does not name ${PLACEHOLDER}`);
  writeFileSync(worker, code.replace(PLACEHOLDER, JSON.stringify(precache)));
}

function compress(path: string): void {
  if (!COMPRESSED.test(path)) return;
  const plain = readFileSync(path);
  if (plain.length < 500) return;
  writeFileSync(`${path}.gz`, gzipSync(plain, { level: 9 }));
  const quality = { [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY };
  writeFileSync(`${path}.br`, brotliCompressSync(plain, { params: quality }));
}

function files(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}
