import { useLayoutEffect, useRef, useState } from "preact/hooks";

import { words } from "../../i18n/words";
import { type CameraProblem, type Eyes, look, NoPicture } from "./camera";

/** The camera's picture, until a code is in it. The camera is on as long as this is on the page and somebody can see it. */
export function Scanner({
  eyes,
  onRead,
  onHidden,
  onProblem,
}: {
  eyes: Eyes;
  onRead: (text: string) => void;
  onHidden: () => void;
  onProblem: (why: CameraProblem) => void;
}) {
  const w = words.value.safety;
  const video = useRef<HTMLVideoElement>(null);
  const box = useRef<HTMLDivElement>(null);
  const [looks, setLooks] = useState(false);
  const told = useRef({ onRead, onHidden, onProblem });
  told.current = { onRead, onHidden, onProblem };

  // Not after the next paint, as other effects end: a page that is hidden paints nothing.
  useLayoutEffect(() => {
    const over = new AbortController();
    const find = async (): Promise<void> => {
      try {
        const text = await look(video.current!, eyes, over.signal, () => setLooks(true));
        if (!over.signal.aborted) told.current.onRead(text);
      } catch (error) {
        if (over.signal.aborted) return;
        if (!(error instanceof NoPicture)) console.debug("no picture to be read", error);
        told.current.onProblem(error instanceof NoPicture ? error.why : "busy");
      }
    };
    const hide = (): void => {
      if (!document.hidden) return;
      over.abort();
      told.current.onHidden();
    };
    document.addEventListener("visibilitychange", hide);
    box.current?.scrollIntoView({ block: "nearest" });
    void find();
    return () => {
      document.removeEventListener("visibilitychange", hide);
      over.abort();
    };
  }, [eyes]);

  return (
    <div ref={box} class="scanner">
      <video ref={video} class="scanner-picture" muted playsInline aria-label={w.picture} />
      <p class="hint" role="status">
        {looks ? w.holdCode : w.cameraStarts}
      </p>
    </div>
  );
}
