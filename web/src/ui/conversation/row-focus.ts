import { useEffect, useRef, useState } from "preact/hooks";

import type { Item } from "./items";

/** One stop for Tab in a conversation; arrows walk from message to message, also to those that are not on the page yet. */
export function useRowFocus(items: readonly Item[], scrollTo: (index: number) => void) {
  const [current, setCurrent] = useState<string | null>(null);
  const wanted = useRef<string | null>(null);

  const isMessage = (item: Item | undefined): boolean => item?.kind === "row" && item.row.kind === "message";
  const found = current === null ? -1 : items.findIndex((item) => item.key === current);
  const index = found >= 0 ? found : items.findLastIndex(isMessage);

  const focusWanted = (): void => {
    if (wanted.current === null) return;
    const row = document.querySelector<HTMLElement>(`[data-row="${CSS.escape(wanted.current)}"]`);
    if (row === null) return;
    wanted.current = null;
    row.focus({ preventScroll: true });
  };
  useEffect(focusWanted);

  const onKeyDown = (event: KeyboardEvent): void => {
    const row = (event.target as HTMLElement).dataset.row;
    if (row === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
    const here = items.findIndex((item) => item.key === row);
    let to: number;
    if (event.key === "ArrowUp") to = items.findLastIndex((item, at) => at < here && isMessage(item));
    else if (event.key === "ArrowDown") to = items.findIndex((item, at) => at > here && isMessage(item));
    else return;
    event.preventDefault();
    const item = items[to];
    if (item === undefined) return;
    wanted.current = item.key;
    setCurrent(item.key);
    scrollTo(to);
    focusWanted();
  };

  return {
    stop: items[index]?.key ?? null,
    keepMounted: found >= 0 ? [found] : [],
    onKeyDown,
  };
}
