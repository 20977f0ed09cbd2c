import { useState } from "preact/hooks";

import { words } from "../../i18n/words";
import { useAction } from "../actions";
import { useMessenger } from "../messenger";
import { Icon } from "../parts/icon";
import { follow, go, hashOf, ROOMS } from "../route";
import { AccountForm } from "./account-form";
import { Frame } from "./frame";
import { NewPassword, useStrength } from "./strength";

export function SignUp() {
  const messenger = useMessenger();
  const w = words.value;
  const [username, setUsername] = useState("");
  const [password, setPassword] = useState("");
  const strength = useStrength(password, username);
  const action = useAction();
  return (
    <Frame title={w.entry.signUp}>
      <p class="entry-slogan">{w.app.slogan}</p>
      <AccountForm
        action={action}
        username={username}
        onUsername={setUsername}
        hint={w.entry.userNameHint}
        label={w.entry.signUp}
        working={w.entry.signingUp}
        onSubmit={(name, device) => messenger.signUp(name, password, device)}
        onDone={() => go({ page: "recovery" }, { replace: true })}
      >
        <NewPassword
          label={w.common.password}
          value={password}
          onInput={setPassword}
          strength={strength}
          hint={strength !== null && strength < 3 ? w.strength.hint : w.entry.passwordHint}
        />
      </AccountForm>
      <ul class="entry-points">
        {w.entry.points.map((point) => (
          <li key={point}>
            <Icon name="check" />
            {point}
          </li>
        ))}
      </ul>
      <p class="entry-other">
        <a href={hashOf(ROOMS)} onClick={follow(ROOMS)}>
          {w.entry.toSignIn}
        </a>
      </p>
    </Frame>
  );
}
