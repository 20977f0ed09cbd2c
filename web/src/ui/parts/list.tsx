import type { JSX, RefObject } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { Virtualizer, type VirtualizerHandle } from "virtua";

/**
 * A long list of which only what is seen is there, with one stop for Tab: arrows walk through its items, whose first focusable
 * element is the one that opens them.
 */
export function List<Item>({
  label,
  items,
  keyOf,
  render,
  scrollRef,
}: {
  label: string;
  items: readonly Item[];
  keyOf: (item: Item) => string;
  /** `tabIndex` belongs on the element that takes the focus. */
  render: (item: Item, tabIndex: 0 | -1) => JSX.Element;
  /** What scrolls. Without it all items are there: for lists that are known to be short. */
  scrollRef?: RefObject<HTMLElement | null>;
}) {
  const [current, setCurrent] = useState<string | null>(null);
  const handle = useRef<VirtualizerHandle>(null);
  const wanted = useRef<string | null>(null);
  const root = useRef<HTMLDivElement>(null);

  const found = current === null ? -1 : items.findIndex((item) => keyOf(item) === current);
  const stop = Math.max(found, 0);

  const focusWanted = (): void => {
    const key = wanted.current;
    if (key === null) return;
    const item = root.current?.querySelector(`[data-key="${CSS.escape(key)}"]`);
    const target = item?.querySelector<HTMLElement>("a, button");
    if (target === null || target === undefined) return;
    wanted.current = null;
    target.focus();
  };
  useEffect(focusWanted);

  const onKeyDown = (event: KeyboardEvent): void => {
    const last = items.length - 1;
    const to = { ArrowDown: stop + 1, ArrowUp: stop - 1, Home: 0, End: last, PageDown: stop + 8, PageUp: stop - 8 }[
      event.key
    ];
    if (to === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    const index = Math.min(Math.max(to, 0), last);
    const item = items[index];
    if (item === undefined) return;
    wanted.current = keyOf(item);
    setCurrent(keyOf(item));
    handle.current?.scrollToIndex(index, { align: "nearest" });
    focusWanted();
  };

  const line = (item: Item, index: number): JSX.Element => (
    // biome-ignore lint/a11y/useSemanticElements: the virtual list puts elements of its own between list and items
    <div
      key={keyOf(item)}
      role="listitem"
      data-key={keyOf(item)}
      aria-setsize={items.length}
      aria-posinset={index + 1}
      onFocusCapture={() => setCurrent(keyOf(item))}
    >
      {render(item, index === stop ? 0 : -1)}
    </div>
  );
  return (
    // biome-ignore lint/a11y/useSemanticElements: as above
    <div ref={root} class="list" role="list" aria-label={label} onKeyDown={onKeyDown}>
      {scrollRef === undefined ? (
        items.map(line)
      ) : (
        <Virtualizer
          ref={handle}
          data={items}
          scrollRef={scrollRef}
          keepMounted={items.length > 0 ? [stop] : []}
          bufferSize={400}
        >
          {line}
        </Virtualizer>
      )}
    </div>
  );
}
