import { useState } from "preact/hooks";

import { words } from "../../i18n/words";
import { useMessenger } from "../messenger";
import { Button } from "../parts/button";
import { Confirm } from "../parts/confirm";
import { Section } from "../parts/page";
import { go } from "../route";

/** The way out, with what it costs. */
export function AccountPage() {
  const messenger = useMessenger();
  const w = words.value.settings;
  const [asking, setAsking] = useState(false);
  const unconfirmed = messenger.recoveryKey.value !== null;
  return (
    <Section>
      <p>{w.signOutHint}</p>
      {unconfirmed && (
        <div class="warning">
          <p>{w.signOutUnconfirmed}</p>
          <Button onClick={() => go({ page: "recovery" })}>{words.value.notices.show}</Button>
        </div>
      )}
      <Button kind="danger" icon="out" onClick={() => setAsking(true)}>
        {w.signOut}
      </Button>
      {asking && (
        <Confirm
          title={w.signOutTitle}
          confirm={w.signOutNow}
          danger
          onConfirm={() => messenger.signOut()}
          onClose={() => setAsking(false)}
        >
          <p>{w.signOutHint}</p>
          {unconfirmed && <p class="strong">{w.signOutUnconfirmed}</p>}
        </Confirm>
      )}
    </Section>
  );
}
