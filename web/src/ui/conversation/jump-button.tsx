import { words } from "../../i18n/words";
import { Icon } from "../parts/icon";

/** Back to the newest message, with how many are unread. */
export function JumpButton({ count, onClick }: { count: number; onClick: () => void }) {
  const w = words.value.conversation;
  const label = count > 0 ? w.jumpNewestCount(count) : w.jumpNewest;
  return (
    <button type="button" class="jump" aria-label={label} title={label} onClick={onClick}>
      <Icon name="down" />
      {count > 0 && (
        <span class="badge" aria-hidden="true">
          {count > 999 ? "999+" : count}
        </span>
      )}
    </button>
  );
}
