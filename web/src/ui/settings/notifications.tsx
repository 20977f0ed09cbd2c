import { words } from "../../i18n/words";
import { useAction } from "../actions";
import { useMessenger } from "../messenger";
import { Section } from "../parts/page";
import { Problem } from "../parts/problem";
import { Switch } from "../parts/switch";

export function Notifications() {
  const messenger = useMessenger();
  const w = words.value.settings;
  const state = messenger.push.value;
  const action = useAction();
  const hint = { unsupported: w.pushUnsupported, denied: w.pushDenied, off: w.pushHint, on: w.pushHint }[state];
  return (
    <Section>
      <Switch
        label={w.push}
        hint={hint}
        on={state === "on"}
        disabled={action.busy || state === "unsupported" || state === "denied"}
        onChange={(on) => void action.run(() => (on ? messenger.enablePush() : messenger.disablePush()))}
      />
      <Problem text={action.problem} />
    </Section>
  );
}
