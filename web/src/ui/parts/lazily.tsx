import type { ComponentType } from "preact";
import { useEffect, useState } from "preact/hooks";

import { words } from "../../i18n/words";
import { Button } from "./button";

/** A component whose code comes when it is first shown; offline, and not yet kept by the service worker, it can be tried again. */
export function lazily<Props extends object>(load: () => Promise<ComponentType<Props>>): ComponentType<Props> {
  let loaded: ComponentType<Props> | null = null;

  return function Lazy(props: Props) {
    const [, setReady] = useState(loaded !== null);
    const [failed, setFailed] = useState(false);

    const fetchCode = async (): Promise<void> => {
      setFailed(false);
      try {
        loaded = await load();
        setReady(true);
      } catch {
        setFailed(true);
      }
    };
    useEffect(() => {
      if (loaded === null) void fetchCode();
    }, []);

    if (loaded !== null) {
      const Component = loaded;
      return <Component {...props} />;
    }
    if (!failed) return <div class="lazy" role="status" aria-label={words.value.common.loading} />;
    return (
      <div class="lazy" role="alert">
        <p>{words.value.refusals.offline}</p>
        <Button onClick={() => void fetchCode()}>{words.value.common.tryAgain}</Button>
      </div>
    );
  };
}
