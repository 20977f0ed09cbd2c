import type { ComponentChildren, InputHTMLAttributes } from "preact";
import { useId, useState } from "preact/hooks";

import { words } from "../../i18n/words";
import { IconButton } from "./button";

type Native = Pick<
  InputHTMLAttributes,
  | "autocomplete"
  | "required"
  | "maxLength"
  | "autofocus"
  | "spellcheck"
  | "autocapitalize"
  | "disabled"
  | "inputMode"
  | "placeholder"
>;

interface FieldProps extends Native {
  label: string;
  value: string;
  onInput: (value: string) => void;
  hint?: ComponentChildren;
  name?: string;
  mono?: boolean;
}

export function Field({ label, value, onInput, hint, name, mono = false, ...native }: FieldProps) {
  const id = useId();
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <input
        {...native}
        id={id}
        name={name ?? id}
        class={`input ${mono ? "input-mono" : ""}`}
        dir="auto"
        value={value}
        aria-describedby={hint === undefined ? undefined : `${id}-hint`}
        onInput={(event) => onInput(event.currentTarget.value)}
      />
      {hint !== undefined && (
        <div class="hint" id={`${id}-hint`}>
          {hint}
        </div>
      )}
    </div>
  );
}

/** A password, which can be looked at. */
export function PasswordField({ label, value, onInput, hint, name, ...native }: Omit<FieldProps, "mono">) {
  const id = useId();
  const [shown, setShown] = useState(false);
  const w = words.value.common;
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <div class="input-with-button">
        <input
          {...native}
          id={id}
          name={name ?? "password"}
          class="input"
          type={(shown ? "text" : "password") as "password"}
          spellcheck={false}
          autocapitalize="none"
          value={value}
          aria-describedby={hint === undefined ? undefined : `${id}-hint`}
          onInput={(event) => onInput(event.currentTarget.value)}
        />
        <IconButton
          icon={shown ? "eye-off" : "eye"}
          label={shown ? w.hidePassword : w.showPassword}
          onClick={() => setShown(!shown)}
        />
      </div>
      {hint !== undefined && (
        <div class="hint" id={`${id}-hint`}>
          {hint}
        </div>
      )}
    </div>
  );
}
