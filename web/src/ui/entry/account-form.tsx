import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";

import { words } from "../../i18n/words";
import type { Action } from "../actions";
import { Button } from "../parts/button";
import { Field } from "../parts/field";
import { Form } from "../parts/form";
import { defaultDeviceName } from "./device-name";

/** Who one is, what opens the keys (`children`), and what this device is called. */
export function AccountForm({
  action,
  username,
  onUsername,
  hint,
  label,
  working,
  onSubmit,
  onDone,
  children,
}: {
  action: Action;
  username: string;
  onUsername: (username: string) => void;
  hint?: string;
  /** Of its button; and what is said while it works, which takes a while. */
  label: string;
  working: string;
  onSubmit: (username: string, device: string) => Promise<unknown>;
  onDone?: () => void;
  children: ComponentChildren;
}) {
  const w = words.value;
  const [device, setDevice] = useState(() => defaultDeviceName(navigator.userAgent));
  return (
    <Form
      action={action}
      onSubmit={() => onSubmit(username.trim(), device.trim())}
      onDone={onDone}
      buttons={
        <div class="entry-submit">
          <Button type="submit" kind="primary" busy={action.busy}>
            {label}
          </Button>
          {action.busy && (
            <p class="hint" role="status">
              {working}
            </p>
          )}
        </div>
      }
    >
      <Field
        label={w.common.userName}
        {...(hint !== undefined && { hint })}
        name="username"
        value={username}
        onInput={onUsername}
        autocomplete="username"
        autocapitalize="none"
        spellcheck={false}
        required
      />
      {children}
      <Field
        label={w.entry.deviceName}
        hint={w.entry.deviceNameHint}
        name="device"
        value={device}
        onInput={setDevice}
        autocomplete="off"
        required
      />
    </Form>
  );
}
