import type { RefObject } from "preact";
import { useLayoutEffect } from "preact/hooks";

/**
 * The focus follows the page: to the field that asks for it, else to the heading, so that it is read; and back to where it came
 * from when the page goes and nothing else has taken it.
 */
export function usePageFocus(page: RefObject<HTMLElement | null>): void {
  useLayoutEffect(() => {
    const element = page.current;
    const before = document.activeElement;
    const first = element?.querySelector<HTMLElement>("[autofocus]") ?? element?.querySelector<HTMLElement>("h1");
    first?.focus({ preventScroll: true });
    return () => {
      const lost = document.activeElement === document.body || element?.contains(document.activeElement) === true;
      if (!lost || !(before instanceof HTMLElement)) return;
      // After the page is gone: what it covered on a narrow screen can have the focus again then.
      setTimeout(() => {
        if (before.isConnected && document.activeElement === document.body) before.focus();
      });
    };
  }, []);
}
