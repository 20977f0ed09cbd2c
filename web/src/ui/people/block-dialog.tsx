import { words } from "../../i18n/words";
import type { UserId } from "../../protocol/ids";
import { useMessenger } from "../messenger";
import { Button } from "../parts/button";
import { Confirm } from "../parts/confirm";
import { Dialog, DialogButtons } from "../parts/dialog";

/** Asks before somebody is blocked, and before a block is lifted. */
export function BlockDialog({
  kind,
  user,
  username,
  onClose,
}: {
  kind: "block" | "unblock";
  user: UserId;
  username: string;
  onClose: () => void;
}) {
  const messenger = useMessenger();
  const w = words.value;
  const isBlock = kind === "block";
  const title = isBlock ? w.people.blockAsk(username) : w.people.unblockAsk(username);
  if (!isBlock && !messenger.canUnblock.value) {
    return (
      <Dialog title={title} onClose={onClose}>
        <p class="dialog-text">{w.people.unblockOffline}</p>
        <DialogButtons>
          <Button onClick={onClose}>{w.common.close}</Button>
        </DialogButtons>
      </Dialog>
    );
  }
  return (
    <Confirm
      title={title}
      confirm={w.people[kind]}
      danger={isBlock}
      onConfirm={() => messenger.press(kind, { user })}
      onClose={onClose}
    >
      <p>{isBlock ? w.people.blockHint(username) : w.people.unblockHint(username)}</p>
    </Confirm>
  );
}
