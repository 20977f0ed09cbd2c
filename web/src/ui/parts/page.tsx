import type { ComponentChildren } from "preact";
import { useRef } from "preact/hooks";

import { words } from "../../i18n/words";
import { back, ROOMS, type Route } from "../route";
import { IconButton } from "./button";
import { usePageFocus } from "./focus";

/** A page of the right-hand pane, with a way back where there is one pane only. */
export function Page({
  title,
  backTo = ROOMS,
  always = false,
  actions,
  children,
}: {
  title: string;
  backTo?: Route;
  /** Whether the way back is there in two panes, too. */
  always?: boolean;
  actions?: ComponentChildren;
  children: ComponentChildren;
}) {
  const page = useRef<HTMLElement>(null);
  usePageFocus(page);
  return (
    <section ref={page} class="page" aria-label={title}>
      <header class="bar">
        <span class={always ? "" : "only-narrow"}>
          <IconButton icon="back" label={words.value.common.back} onClick={() => back(backTo)} />
        </span>
        <h1 class="bar-title" dir="auto" tabIndex={-1}>
          {title}
        </h1>
        {actions}
      </header>
      <div class="page-scroll" tabIndex={-1}>
        <div class="page-column">{children}</div>
      </div>
    </section>
  );
}

export function Section({ title, hint, children }: { title?: string; hint?: string; children: ComponentChildren }) {
  return (
    <section class="section">
      {title !== undefined && <h2 class="section-title">{title}</h2>}
      {hint !== undefined && <p class="hint section-hint">{hint}</p>}
      {children}
    </section>
  );
}

export function Empty({
  title,
  hint,
  heading = false,
  children,
}: {
  title: string;
  hint?: string;
  /** Whether the page has no other one. */
  heading?: boolean;
  children?: ComponentChildren;
}) {
  const Title = heading ? "h1" : "p";
  return (
    <div class="empty">
      <Title class="empty-title">{title}</Title>
      {hint !== undefined && <p class="hint">{hint}</p>}
      {children}
    </div>
  );
}
