import type { ComponentChildren } from "preact";
import { useEffect, useId, useLayoutEffect, useRef } from "preact/hooks";

import { words } from "../../i18n/words";
import { IconButton } from "./button";

/**
 * A native modal dialog: the browser keeps the focus within. It is open as long as it is there; Esc and a press outside ask
 * `onClose` to take it away, and the focus goes back to where it came from.
 */
export function Dialog({
  title,
  onClose,
  children,
  wide = false,
}: {
  title: string;
  onClose: () => void;
  children: ComponentChildren;
  wide?: boolean;
}) {
  const heading = useId();
  const ref = useRef<HTMLDialogElement>(null);
  const close = useRef(onClose);
  close.current = onClose;

  useLayoutEffect(() => {
    const element = ref.current;
    const before = document.activeElement;
    if (element !== null && !element.open) element.showModal();
    // Where nothing in it asks for the focus, the dialog itself has it: not the button that closes it.
    if (document.activeElement?.closest(".dialog-header") !== null) element?.focus();
    return () => {
      element?.close();
      if (before instanceof HTMLElement && before.isConnected) before.focus();
    };
  }, []);

  useEffect(() => {
    const element = ref.current;
    const cancel = (event: Event): void => {
      event.preventDefault();
      close.current();
    };
    element?.addEventListener("cancel", cancel);
    return () => element?.removeEventListener("cancel", cancel);
  }, []);

  return (
    <dialog
      ref={ref}
      tabIndex={-1}
      class={`dialog ${wide ? "dialog-wide" : ""}`}
      aria-labelledby={heading}
      onPointerDown={(event) => {
        if (event.target === event.currentTarget) onClose();
      }}
    >
      <div class="dialog-inner">
        <header class="dialog-header">
          <h2 id={heading} dir="auto">
            {title}
          </h2>
          <IconButton icon="close" label={words.value.common.close} onClick={onClose} />
        </header>
        {children}
      </div>
    </dialog>
  );
}

/** The row of buttons at the end of a dialog. */
export function DialogButtons({ children }: { children: ComponentChildren }) {
  return <div class="dialog-buttons">{children}</div>;
}
