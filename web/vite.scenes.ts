import { preact } from "@preact/preset-vite";
import { defineConfig } from "vite";

// The page of scenes (tests/ui/page.tsx), for tests/web/scenes.py: built, since a page of hundreds of files is slow to open.
export default defineConfig({
  base: "/",
  publicDir: false,
  plugins: [preact({ devToolsEnabled: false, prefreshEnabled: false })],
  build: { target: "es2022", cssTarget: ["chrome123"], minify: false, rollupOptions: { input: "dev.html" } },
});
