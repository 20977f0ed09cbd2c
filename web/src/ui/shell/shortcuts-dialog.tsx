import { words } from "../../i18n/words";
import { Dialog } from "../parts/dialog";

const MODIFIER = /Mac|iPhone|iPad/.test(navigator.userAgent) ? "⌘" : "Ctrl";

export function ShortcutsDialog({ onClose }: { onClose: () => void }) {
  const w = words.value;
  const lines: readonly (readonly [string, readonly string[]])[] = [
    [w.shortcuts.search, [MODIFIER, "K"]],
    [w.shortcuts.newConversation, ["Alt", "N"]],
    [w.rooms.contacts, ["Alt", "C"]],
    [w.shortcuts.settings, ["Alt", "S"]],
    [w.shortcuts.nextRoom, ["Alt", "↓"]],
    [w.shortcuts.previousRoom, ["Alt", "↑"]],
    [w.shortcuts.nextUnread, ["Alt", "Shift", "↓"]],
    [w.shortcuts.compose, ["Alt", "M"]],
    [w.shortcuts.newest, ["Alt", "End"]],
    [w.shortcuts.send, ["Enter"]],
    [w.shortcuts.newline, ["Shift", "Enter"]],
    [w.shortcuts.walk, ["↑", "↓"]],
    [w.shortcuts.open, ["Enter"]],
    [w.shortcuts.close, ["Esc"]],
    // By the other one also where one is typing.
    [w.shortcuts.help, ["?"]],
    [w.shortcuts.helpAnywhere, [MODIFIER, "/"]],
  ];
  return (
    <Dialog title={w.shortcuts.title} onClose={onClose}>
      <dl class="facts">
        {lines.map(([what, keys]) => (
          <div key={what} class="fact shortcut">
            <dt>{what}</dt>
            <dd>
              {keys.map((key) => (
                <kbd key={key}>{key}</kbd>
              ))}
            </dd>
          </div>
        ))}
      </dl>
    </Dialog>
  );
}
