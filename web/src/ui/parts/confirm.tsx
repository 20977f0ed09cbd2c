import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";

import { words } from "../../i18n/words";
import { useAction } from "../actions";
import { Button } from "./button";
import { Dialog, DialogButtons } from "./dialog";
import { Form } from "./form";
import { CurrentPassword } from "./secret";

interface Asked {
  title: string;
  confirm: string;
  danger?: boolean;
  disabled?: boolean;
  onDone?: (() => void) | undefined;
  onClose: () => void;
  children?: ComponentChildren;
}

/** Asks before something that cannot simply be undone. It stays open, with the reason, when it could not be done. */
export function Confirm({
  title,
  confirm,
  danger = false,
  disabled = false,
  onConfirm,
  onDone,
  onClose,
  children,
}: Asked & { onConfirm: () => Promise<unknown> }) {
  const action = useAction();
  return (
    <Dialog title={title} onClose={onClose}>
      <Form
        action={action}
        onSubmit={onConfirm}
        onDone={() => {
          onClose();
          onDone?.();
        }}
        buttons={
          <DialogButtons>
            <Button onClick={onClose}>{words.value.common.cancel}</Button>
            <Button type="submit" kind={danger ? "danger" : "primary"} busy={action.busy} disabled={disabled}>
              {confirm}
            </Button>
          </DialogButtons>
        }
      >
        {children}
      </Form>
    </Dialog>
  );
}

/** The same for what takes the password, which alone opens the keys. */
export function ConfirmWithPassword({
  text,
  onConfirm,
  children,
  ...asked
}: Asked & { text: string; onConfirm: (password: string) => Promise<unknown> }) {
  const [password, setPassword] = useState("");
  return (
    <Confirm {...asked} onConfirm={() => onConfirm(password)}>
      <p class="dialog-text">{text}</p>
      <CurrentPassword value={password} onInput={setPassword} autofocus />
      {children}
    </Confirm>
  );
}
