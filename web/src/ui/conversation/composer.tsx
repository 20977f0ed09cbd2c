import { memo } from "preact/compat";
import { useLayoutEffect, useRef, useState } from "preact/hooks";

import { words } from "../../i18n/words";
import type { Messenger } from "../../messenger";
import type { RoomId } from "../../protocol/ids";
import { Icon } from "../parts/icon";
import { Problem } from "../parts/problem";
import { inWords } from "../refusals";

const TYPING_PAUSE = 2_500;

/** Where the browser does not grow the box by itself, its height follows what is in it. */
const GROWS = typeof CSS !== "undefined" && CSS.supports?.("field-sizing", "content");

function grow(box: HTMLTextAreaElement): void {
  if (GROWS) return;
  box.style.height = "auto";
  box.style.height = `${box.scrollHeight}px`;
}

/** On touch screens Enter is a new line, as their keyboards show it. */
function entersLines(): boolean {
  return matchMedia("(pointer: coarse)").matches;
}

/**
 * Where messages are written. The text lives in the box alone: a letter that is typed draws nothing anew, however much arrives
 * in the conversation above.
 */
export const Composer = memo(function Composer({
  messenger,
  room,
  onSent,
}: {
  messenger: Messenger;
  room: RoomId;
  onSent: () => void;
}) {
  const w = words.value.composer;
  const box = useRef<HTMLTextAreaElement>(null);
  const [problem, setProblem] = useState<string | null>(null);
  const typedAt = useRef(0);

  useLayoutEffect(() => {
    let left = false;
    const element = box.current;
    const begin = (text: string): void => {
      if (left || element === null || element.value !== "") return;
      element.value = text;
      element.setSelectionRange(text.length, text.length);
      grow(element);
    };
    messenger.draft(room).then(begin, () => undefined);
    if (!entersLines()) element?.focus();
    return () => {
      left = true;
    };
  }, [messenger, room]);

  const onInput = (): void => {
    const element = box.current;
    if (element === null) return;
    grow(element);
    messenger.keepDraft(room, element.value);
    const now = Date.now();
    if (element.value.trim() !== "" && now - typedAt.current > TYPING_PAUSE) {
      typedAt.current = now;
      messenger.typing(room);
    }
  };

  const send = async (): Promise<void> => {
    const element = box.current;
    const text = element?.value.trim() ?? "";
    if (element === null || text === "") return;
    element.value = "";
    grow(element);
    typedAt.current = 0;
    messenger.keepDraft(room, "");
    setProblem(null);
    onSent();
    try {
      await messenger.send(room, text);
    } catch (error) {
      setProblem(inWords(error));
      if (element.value === "") element.value = text;
      onInput();
    }
  };

  return (
    <form
      class="composer"
      onSubmit={(event) => {
        event.preventDefault();
        void send();
        box.current?.focus();
      }}
    >
      <Problem text={problem} />
      <div class="composer-line">
        <textarea
          ref={box}
          id="composer"
          class="composer-box"
          rows={1}
          dir="auto"
          aria-label={w.label}
          placeholder={w.placeholder}
          autocomplete="off"
          onInput={onInput}
          onKeyDown={(event) => {
            // While letters are being composed (Hangul, kana), Enter belongs to the input method.
            if (event.key !== "Enter" || event.isComposing || event.keyCode === 229) return;
            if (event.shiftKey || entersLines()) return;
            event.preventDefault();
            void send();
          }}
        />
        <button type="submit" class="send" aria-label={w.send} title={w.send}>
          <Icon name="send" />
        </button>
      </div>
    </form>
  );
});
