import { useState } from "preact/hooks";

import { words } from "../../i18n/words";
import type { Connection } from "../../messenger";
import { useAction } from "../actions";
import { useMessenger } from "../messenger";
import { Button } from "../parts/button";
import { Problem } from "../parts/problem";
import { Frame } from "./frame";
import { SignIn } from "./sign-in";
import { ToReload } from "./to-reload";

type Reason = Extract<Connection, { state: "stopped" }>["reason"];

/** Nothing goes on in this browser, and why. */
export function Stopped({ reason }: { reason: Reason }) {
  const messenger = useMessenger();
  const w = words.value.stopped;
  const action = useAction();
  const [again, setAgain] = useState(false);
  switch (reason) {
    case "signed_out":
      if (again) return <SignIn again={messenger.account.value?.username} />;
      return (
        <Frame title={w.signedOutTitle}>
          <p>{w.signedOut}</p>
          <p class="hint">{w.signInAgainHint}</p>
          <Problem text={action.problem} />
          <div class="entry-submit">
            <Button kind="primary" onClick={() => setAgain(true)}>
              {w.signInAgain}
            </Button>
            <Button busy={action.busy} onClick={() => void action.run(() => messenger.signOut())}>
              {w.signedOutForget}
            </Button>
          </div>
        </Frame>
      );
    case "suspended":
      return (
        <Frame title={w.suspendedTitle}>
          <p>{w.suspended}</p>
          <div class="entry-submit">
            <Button onClick={() => messenger.hurry()}>{words.value.common.tryAgain}</Button>
          </div>
        </Frame>
      );
    case "fault":
      return <ToReload title={w.faultTitle} text={w.fault} />;
  }
}
