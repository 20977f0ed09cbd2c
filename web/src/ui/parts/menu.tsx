import { useEffect, useId, useLayoutEffect, useRef, useState } from "preact/hooks";

import { IconButton } from "./button";
import { Icon, type IconName } from "./icon";

export interface MenuItem {
  readonly label: string;
  readonly icon: IconName;
  readonly danger?: boolean;
  readonly onPick: () => void;
}

const MARGIN = 8;

/** A “⋯” button and what it offers: in the top layer, so that no scrolling list cuts it off. */
export function Menu({ label, items }: { label: string; items: readonly MenuItem[] }) {
  const [open, setOpen] = useState(false);
  const button = useRef<HTMLButtonElement>(null);
  const id = useId();
  if (items.length === 0) return null;

  const close = (): void => {
    setOpen(false);
    button.current?.focus();
  };
  return (
    <>
      <IconButton
        ref={button}
        icon="dots"
        label={label}
        aria-haspopup="menu"
        aria-expanded={open}
        onClick={() => setOpen(!open)}
      />
      {open && (
        <MenuList
          id={id}
          label={label}
          items={items}
          beside={() => button.current}
          onClose={close}
          onLeave={() => setOpen(false)}
        />
      )}
    </>
  );
}

function MenuList({
  id,
  label,
  items,
  beside,
  onClose,
  onLeave,
}: {
  id: string;
  label: string;
  items: readonly MenuItem[];
  beside: () => HTMLElement | null;
  onClose: () => void;
  onLeave: () => void;
}) {
  const ref = useRef<HTMLDivElement>(null);

  useLayoutEffect(() => {
    const menu = ref.current;
    const anchor = beside()?.getBoundingClientRect();
    if (menu === null || anchor === undefined) return;
    menu.showPopover?.();
    const { width, height } = menu.getBoundingClientRect();
    const below = anchor.bottom + 4 + height <= innerHeight - MARGIN;
    menu.style.left = `${Math.max(MARGIN, Math.min(anchor.right - width, innerWidth - width - MARGIN))}px`;
    menu.style.top = `${Math.max(MARGIN, below ? anchor.bottom + 4 : anchor.top - height - 4)}px`;
    menu.querySelector<HTMLElement>("[role=menuitem]")?.focus();
  }, []);

  useEffect(() => {
    const outside = (event: Event): void => {
      const target = event.target as Node;
      if (ref.current?.contains(target) || beside()?.contains(target)) return;
      onLeave();
    };
    document.addEventListener("pointerdown", outside);
    return () => document.removeEventListener("pointerdown", outside);
  }, []);

  const onKeyDown = (event: KeyboardEvent): void => {
    const buttons = [...(ref.current?.querySelectorAll<HTMLElement>("[role=menuitem]") ?? [])];
    const at = buttons.indexOf(document.activeElement as HTMLElement);
    const step = { ArrowDown: at + 1, ArrowUp: at - 1 + buttons.length, Home: 0, End: buttons.length - 1 }[event.key];
    if (step !== undefined) buttons[step % buttons.length]?.focus();
    else if (event.key === "Escape" || event.key === "Tab") onClose();
    else return;
    event.preventDefault();
    event.stopPropagation();
  };

  return (
    <div
      ref={ref}
      id={id}
      class="menu"
      role="menu"
      tabIndex={-1}
      aria-label={label}
      popover="manual"
      onKeyDown={onKeyDown}
    >
      {items.map((item) => (
        <button
          key={item.label}
          type="button"
          role="menuitem"
          tabIndex={-1}
          class={`menu-item ${item.danger ? "menu-item-danger" : ""}`}
          onClick={() => {
            onClose();
            item.onPick();
          }}
        >
          <Icon name={item.icon} />
          <span>{item.label}</span>
        </button>
      ))}
    </div>
  );
}
