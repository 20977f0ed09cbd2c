import { useState } from "preact/hooks";

import { words } from "../../i18n/words";
import { useAction } from "../actions";
import { toast } from "../announce";
import { NewPassword, useStrength } from "../entry/strength";
import { useMessenger } from "../messenger";
import { Button } from "../parts/button";
import { Form } from "../parts/form";
import { Section } from "../parts/page";
import { CurrentPassword, NO_PASSWORD, SecretField } from "../parts/secret";
import { go } from "../route";
import { Reset } from "./reset";

export function Security() {
  return (
    <>
      <ChangePassword />
      <NewRecoveryKey />
      <Reset />
    </>
  );
}

function ChangePassword() {
  const messenger = useMessenger();
  const w = words.value.settings;
  const [old, setOld] = useState(NO_PASSWORD);
  const [password, setPassword] = useState("");
  const strength = useStrength(password, messenger.account.value?.username ?? "");
  const action = useAction();
  return (
    <Section title={w.changePassword}>
      <Form
        action={action}
        onSubmit={() => messenger.changePassword(old, password)}
        onDone={() => {
          toast(w.passwordChanged);
          setOld(NO_PASSWORD);
          setPassword("");
        }}
        buttons={
          <Button type="submit" kind="primary" busy={action.busy}>
            {w.changePassword}
          </Button>
        }
      >
        <SecretField
          label={w.oldPassword}
          value={old}
          onChange={(changed) => {
            action.forget();
            setOld(changed);
          }}
        />
        <NewPassword label={w.newPassword} value={password} onInput={setPassword} strength={strength} />
      </Form>
    </Section>
  );
}

function NewRecoveryKey() {
  const messenger = useMessenger();
  const w = words.value.settings;
  const [password, setPassword] = useState("");
  const action = useAction();
  return (
    <Section title={w.newRecoveryKey} hint={w.newRecoveryKeyHint}>
      <Form
        action={action}
        onSubmit={() => messenger.newRecoveryKey(password)}
        onDone={() => go({ page: "recovery" })}
        buttons={
          <Button type="submit" busy={action.busy}>
            {w.makeRecoveryKey}
          </Button>
        }
      >
        <CurrentPassword value={password} onInput={setPassword} />
      </Form>
    </Section>
  );
}
