import { preact } from "@preact/preset-vite";
import { defineConfig } from "vitest/config";

import { pages } from "./vite.pages.ts";

// Served by Django below /static/web/ (config/webclient); the page itself at /, the service worker at /sw.js.
export default defineConfig({
  base: "/static/web/",
  plugins: [preact({ devToolsEnabled: false, prefreshEnabled: false }), pages()],
  build: {
    outDir: "dist/static",
    target: "es2022",
    cssTarget: ["chrome123", "firefox121", "safari17.5"], // with light-dark(): every colour once
    assetsInlineLimit: 0, // nothing inline: the Content-Security-Policy takes no data: scripts or styles
    sourcemap: false,
    modulePreload: { polyfill: false },
    rollupOptions: {
      input: { index: "index.html", sw: "src/worker/sw.ts" },
      output: {
        entryFileNames: (chunk) => (chunk.name === "sw" ? "sw.js" : "assets/[name]-[hash].js"),
      },
    },
  },
  // The Trusted Types policy knows workers by their folder (src/worker/trusted.ts).
  worker: { format: "es", rollupOptions: { output: { entryFileNames: "workers/[name]-[hash].js" } } },
  test: {
    testTimeout: 20_000,
    environment: "node",
    include: ["tests/**/*.test.{ts,tsx}"],
    server: { deps: { inline: ["virtua"] } }, // it asks for React, and is given Preact
  },
});
