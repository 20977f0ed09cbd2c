/** What opens the keys: the password, or the recovery key in its place. */

import { words } from "../../i18n/words";
import { Field, PasswordField } from "./field";

export type Secret = { readonly password: string } | { readonly recoveryKey: string };

export const NO_PASSWORD: Secret = { password: "" };

export function CurrentPassword({
  label,
  value,
  onInput,
  autofocus = false,
}: {
  label?: string;
  value: string;
  onInput: (value: string) => void;
  autofocus?: boolean;
}) {
  return (
    <PasswordField
      label={label ?? words.value.common.password}
      value={value}
      onInput={onInput}
      autocomplete="current-password"
      autofocus={autofocus}
      required
    />
  );
}

/** One of the two. Whoever has typed one and goes over to the other begins with nothing. */
export function SecretField({
  label,
  value,
  onChange,
}: {
  /** What the password is called here. */
  label?: string;
  value: Secret;
  onChange: (secret: Secret) => void;
}) {
  const w = words.value.entry;
  const byKey = "recoveryKey" in value;
  return (
    <>
      {byKey ? (
        <Field
          label={w.recoveryKey}
          hint={w.recoveryKeyHint}
          name="recovery-key"
          value={value.recoveryKey}
          onInput={(recoveryKey) => onChange({ recoveryKey })}
          autocomplete="off"
          autocapitalize="none"
          spellcheck={false}
          mono
          required
        />
      ) : (
        <CurrentPassword
          {...(label !== undefined && { label })}
          value={value.password}
          onInput={(password) => onChange({ password })}
        />
      )}
      <button type="button" class="text-button" onClick={() => onChange(byKey ? NO_PASSWORD : { recoveryKey: "" })}>
        {byKey ? w.usePassword : w.useRecoveryKey}
      </button>
    </>
  );
}
