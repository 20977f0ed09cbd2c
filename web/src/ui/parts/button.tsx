import type { ButtonHTMLAttributes, ComponentChildren } from "preact";

import { Icon, type IconName } from "./icon";

type Native = Pick<
  ButtonHTMLAttributes,
  | "onClick"
  | "disabled"
  | "type"
  | "aria-expanded"
  | "aria-haspopup"
  | "aria-pressed"
  | "aria-describedby"
  | "autofocus"
  | "ref"
>;

export function Button({
  kind = "plain",
  icon,
  busy = false,
  children,
  ...native
}: Native & {
  kind?: "primary" | "plain" | "quiet" | "danger";
  icon?: IconName;
  busy?: boolean;
  children: ComponentChildren;
}) {
  return (
    <button
      type="button"
      {...native}
      class={`button button-${kind}`}
      aria-disabled={busy}
      disabled={native.disabled ?? false}
    >
      {busy ? <span class="spinner" aria-hidden="true" /> : icon !== undefined && <Icon name={icon} />}
      <span>{children}</span>
    </button>
  );
}

/** A button that is only an icon; `label` says what it does. */
export function IconButton({
  icon,
  label,
  badge = 0,
  ...native
}: Native & { icon: IconName; label: string; badge?: number }) {
  return (
    <button type="button" {...native} class="icon-button" aria-label={label} title={label}>
      <Icon name={icon} />
      {badge > 0 && (
        <span class="icon-badge" aria-hidden="true">
          {badge > 99 ? "99+" : badge}
        </span>
      )}
    </button>
  );
}
