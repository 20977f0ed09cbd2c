import { words } from "../../i18n/words";
import { useMessenger } from "../messenger";
import { ConfirmWithPassword } from "../parts/confirm";

export function UnlockDialog({ onClose }: { onClose: () => void }) {
  const messenger = useMessenger();
  const w = words.value.notices;
  return (
    <ConfirmWithPassword
      title={w.unlockTitle}
      text={w.unlockHint}
      confirm={w.unlock}
      onConfirm={(password) => messenger.unlock(password)}
      onClose={onClose}
    />
  );
}
