import type { ComponentChildren } from "preact";

import type { Action } from "../actions";
import { Problem } from "./problem";

/** Does one thing with what its fields say, and then what follows; where it could not be done, it stays and says why. */
export function Form({
  action,
  onSubmit,
  onDone,
  buttons,
  children,
}: {
  action: Action;
  onSubmit: () => Promise<unknown>;
  onDone?: (() => void) | undefined;
  buttons: ComponentChildren;
  children: ComponentChildren;
}) {
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    if (await action.run(onSubmit)) onDone?.();
  };
  return (
    <form onSubmit={submit}>
      {children}
      <Problem text={action.problem} />
      {buttons}
    </form>
  );
}
