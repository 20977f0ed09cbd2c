import { useState } from "preact/hooks";

import { words } from "../../i18n/words";
import { useAction } from "../actions";
import { useMessenger } from "../messenger";
import { NO_PASSWORD, SecretField } from "../parts/secret";
import { follow, hashOf, type Route } from "../route";
import { AccountForm } from "./account-form";
import { Frame } from "./frame";

const SIGN_UP: Route = { page: "sign-up" };

/** `again`: the name of the account that is here, and was signed out. */
export function SignIn({ again }: { again?: string | undefined }) {
  const messenger = useMessenger();
  const w = words.value.entry;
  const [username, setUsername] = useState(again ?? "");
  const [secret, setSecret] = useState(NO_PASSWORD);
  const action = useAction();
  return (
    <Frame title={w.signIn}>
      <AccountForm
        action={action}
        username={username}
        onUsername={setUsername}
        label={w.signIn}
        working={w.signingIn}
        onSubmit={(name, device) => messenger.signIn(name, secret, device)}
      >
        <SecretField
          value={secret}
          onChange={(changed) => {
            action.forget();
            setSecret(changed);
          }}
        />
      </AccountForm>
      {again === undefined && (
        <p class="entry-other">
          <a href={hashOf(SIGN_UP)} onClick={follow(SIGN_UP)}>
            {w.toSignUp}
          </a>
        </p>
      )}
    </Frame>
  );
}
