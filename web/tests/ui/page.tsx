/**
 * The page of scenes: every screen on the scripted messenger. `npm run dev`, then /static/web/dev.html?scene=contacts, with
 * &theme=dark and &lang=ko; without a scene it lists them. Never part of a build that is served.
 */

import { mount, mountUnopened } from "../../src/ui/mount";
import { chooseLanguage, chooseTheme, THEMES } from "../../src/ui/prefs";
import { id } from "./fake";
import { frame } from "./hands";
import { type Scene, scenesOf } from "./scenes";
import { world } from "./world";

const asked = new URLSearchParams(location.search);
const here = world();
const { messenger } = here;
const scenes: Readonly<Record<string, Scene>> = { ...scenesOf(here), load: { set: load } };

/** For tests/ui/measure.py: a room of 5 000 messages that are all in its window. */
function load(): void {
  messenger.pageSize = 5_000;
  const room = messenger.addRoom({
    members: [messenger.member("alice"), messenger.member("bob"), messenger.member("carol")],
  });
  messenger.append(
    room,
    Array.from({ length: 5_000 }, (_, index) => ({
      kind: "message" as const,
      key: `load:${index}`,
      id: id(100_000 + index),
      seq: 100_000 + index,
      sender: messenger.user(["bob", "carol"][index % 2] ?? "bob"),
      by: ["bob", "carol"][index % 2] ?? "bob",
      mine: false,
      at: Date.now() - (5_000 - index) * 60_000,
      text: `Message ${index}. ${"Some more words. ".repeat(index % 7)}`,
      problem: null,
      ticks: null,
      reached: null,
      refused: null,
    })),
  );
  history.replaceState(null, "", `#/room/${room}`);
  Object.assign(window, { loadRoom: room });
}

function contents(): void {
  for (const name of Object.keys(scenes)) {
    const link = document.createElement("a");
    link.href = `?scene=${name}`;
    link.textContent = name;
    const line = document.createElement("p");
    line.append(link);
    document.body.append(line);
  }
}

async function show(scene: Scene, root: HTMLElement): Promise<void> {
  if (scene.at !== undefined) history.replaceState(null, "", `#${scene.at}`);
  scene.set?.();
  await (scene.unopened ? mountUnopened(root) : mount(messenger, root));
  const theme = THEMES.find((one) => one === asked.get("theme"));
  if (theme !== undefined) chooseTheme(theme);
  const language = asked.get("lang");
  if (language === "ko" || language === "en") await chooseLanguage(language);
  await scene.act?.();
  // What is drawn, and then what follows from that: the virtual lists measure their rows.
  for (let drawn = 0; drawn < 4; drawn += 1) await frame();
}

Object.assign(window, { fake: messenger, scenes: Object.keys(scenesOf(here)) });
const scene = scenes[asked.get("scene") ?? ""];
const root = document.getElementById("app");
if (scene === undefined || root === null) contents();
else {
  const shown = await show(scene, root).then(
    () => "shown",
    (error: Error) => `not shown: ${error.message}`,
  );
  document.documentElement.dataset.scene = shown;
}
