import { useEffect, useRef } from "preact/hooks";

/** Calls back while somebody looks at this page: now if so, and whenever that begins. */
export function useLookedAt(onLook: () => void): void {
  const callback = useRef(onLook);
  callback.current = onLook;
  useEffect(() => {
    const look = (): void => {
      if (isLookedAt()) callback.current();
    };
    look();
    addEventListener("focus", look);
    document.addEventListener("visibilitychange", look);
    return () => {
      removeEventListener("focus", look);
      document.removeEventListener("visibilitychange", look);
    };
  }, []);
}

export function isLookedAt(): boolean {
  return document.visibilityState === "visible" && document.hasFocus();
}
