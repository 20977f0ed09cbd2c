/** What somebody does on a page, in the words that they see: for scenes, which go on only when what they wait for is there. */

import type { Catalog } from "../../src/i18n/catalog";
import { words } from "../../src/i18n/words";

/** A text of the catalogue that is chosen, or one as it is. */
type Words = string | ((w: Catalog) => string);

const PATIENCE = 5_000;

const said = (what: Words): string => (typeof what === "string" ? what : what(words.value));
function nameOf(element: Element): string {
  const heard = element.cloneNode(true) as Element;
  for (const silent of heard.querySelectorAll("[aria-hidden=true]")) silent.remove();
  return (element.getAttribute("aria-label") ?? heard.textContent ?? "").trim();
}

/** Behind an open dialog nothing can be reached. */
const scope = (): Element => [...document.querySelectorAll("dialog[open]")].at(-1) ?? document.body;

export const frame = (): Promise<number> => new Promise(requestAnimationFrame);

async function until<Found>(what: string, find: () => Found | null | undefined | false): Promise<Found> {
  const end = performance.now() + PATIENCE;
  while (performance.now() < end) {
    const found = find();
    if (found) return found;
    await frame();
  }
  throw new Error(`${what} is not there`);
}

async function press(what: Words, kinds: string): Promise<void> {
  const button = await until(said(what), () =>
    [...scope().querySelectorAll<HTMLElement>(kinds)].find(
      (element) => nameOf(element) === said(what) && element.checkVisibility(),
    ),
  );
  button.focus();
  button.click();
  await frame();
}

export const click = (what: Words): Promise<void> => press(what, "button:not([role=menuitem]), a, label");
export const pick = (what: Words): Promise<void> => press(what, "[role=menuitem]");

/** Writes into a field. */
export async function fill(label: Words, text: string): Promise<void> {
  const field = await until(said(label), () => {
    const fields = [...scope().querySelectorAll<HTMLInputElement | HTMLTextAreaElement>("input, textarea")];
    return fields.find((one) => [one, ...(one.labels ?? [])].some((named) => nameOf(named) === said(label)));
  });
  field.focus();
  field.value = text;
  field.dispatchEvent(new Event("input", { bubbles: true }));
  await frame();
}

/** Waits until that can be seen, or heard. */
export async function look(what: Words): Promise<void> {
  const text = said(what);
  await until(text, () => reads(text));
}

/** Scrolls the conversation up from its end until this is there: what is drawn meanwhile may have put it back at its end. */
export async function scrollUp(by: number, what: Words): Promise<void> {
  const text = said(what);
  await until(text, () => {
    const list = document.querySelector<HTMLElement>(".timeline");
    const end = list === null ? 0 : list.scrollHeight - list.clientHeight;
    if (list !== null && list.scrollTop > end - by) list.scrollTop = end - by;
    return reads(text);
  });
}

function reads(text: string): boolean {
  const all = scope();
  return (
    all.textContent?.includes(text) || [...all.querySelectorAll("[aria-label]")].some((one) => nameOf(one) === text)
  );
}
