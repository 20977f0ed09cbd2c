import { useState } from "preact/hooks";

import { words } from "../../i18n/words";
import { toast } from "../announce";
import { useMessenger } from "../messenger";
import { Button } from "../parts/button";
import { ConfirmWithPassword } from "../parts/confirm";
import { Section } from "../parts/page";
import { go } from "../route";

/** The last resort: new keys. It says what is lost, and wants to hear that this was understood. */
export function Reset() {
  const w = words.value.settings;
  const [asking, setAsking] = useState(false);
  return (
    <Section title={w.reset} hint={w.resetHint}>
      <Button kind="danger" onClick={() => setAsking(true)}>
        {w.reset}
      </Button>
      {asking && <ResetDialog onClose={() => setAsking(false)} />}
    </Section>
  );
}

function ResetDialog({ onClose }: { onClose: () => void }) {
  const messenger = useMessenger();
  const w = words.value.settings;
  const [understood, setUnderstood] = useState(false);
  return (
    <ConfirmWithPassword
      title={w.resetAsk}
      text={w.resetHint}
      confirm={w.reset}
      danger
      disabled={!understood}
      onConfirm={(password) => messenger.reset(password)}
      onDone={() => {
        toast(w.resetDone);
        go({ page: "recovery" });
      }}
      onClose={onClose}
    >
      <label class="check">
        <input type="checkbox" checked={understood} onChange={(event) => setUnderstood(event.currentTarget.checked)} />
        <span>{w.resetConfirm}</span>
      </label>
    </ConfirmWithPassword>
  );
}
