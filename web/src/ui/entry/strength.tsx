import { useEffect, useState } from "preact/hooks";

import { words } from "../../i18n/words";
import { useMessenger } from "../messenger";
import { PasswordField } from "../parts/field";

const PAUSE = 250;

/** How hard a password is to guess, 0 to 4; null while nobody knows. The dictionary is loaded with the first letter. */
export function useStrength(password: string, username: string): number | null {
  const messenger = useMessenger();
  const [strength, setStrength] = useState<number | null>(null);
  useEffect(() => {
    let outdated = false;
    if (password === "") {
      setStrength(null);
      return;
    }
    const timer = setTimeout(async () => {
      const found = await messenger.strength(password, username).catch(() => null);
      if (!outdated) setStrength(found);
    }, PAUSE);
    return () => {
      outdated = true;
      clearTimeout(timer);
    };
  }, [password, username, messenger]);
  return strength;
}

/** A field for a password that is chosen now. */
export function NewPassword({
  strength,
  hint,
  ...field
}: {
  label: string;
  value: string;
  onInput: (value: string) => void;
  strength: number | null;
  hint?: string;
}) {
  return (
    <PasswordField
      {...field}
      name="new-password"
      hint={
        <>
          <Strength value={strength} />
          {hint}
        </>
      }
      autocomplete="new-password"
      required
    />
  );
}

function Strength({ value }: { value: number | null }) {
  const w = words.value.strength;
  return (
    <div class="strength">
      <div class={`strength-bar strength-${value ?? "none"}`} aria-hidden="true">
        <i />
        <i />
        <i />
        <i />
      </div>
      <span class="strength-word" role="status" aria-label={w.label}>
        {value === null ? "" : w.levels[value]}
      </span>
    </div>
  );
}
