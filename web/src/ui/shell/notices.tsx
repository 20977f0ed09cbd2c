import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";

import type { Catalog } from "../../i18n/catalog";
import { words } from "../../i18n/words";
import type { Notice } from "../../messenger";
import { open } from "../dialogs";
import { useMessenger } from "../messenger";
import { IconButton } from "../parts/button";
import { Icon } from "../parts/icon";
import { lookAgain, waitingQuestions } from "../people/questions";
import { problemInWords } from "../refusals";
import { go } from "../route";

export function noticeInWords(notice: Notice, w: Catalog): string {
  switch (notice.kind) {
    case "identity":
      return (notice.wasVerified ? w.notices.identityVerified : w.notices.identity)(notice.username);
    case "name":
      return w.notices.otherName(notice.username);
    case "vault-opened":
      return w.notices.vaultOpened(notice.deviceName);
    case "keys-locked":
      return w.notices.locked;
    case "recovery-unconfirmed":
      return w.notices.unconfirmed;
    case "change-failed":
      return w.notices.changeFailed(
        w.questions.actions[notice.action](notice.username),
        problemInWords(notice.problem),
      );
  }
}

/** What can be done about a notice, beside putting it away. */
function remedy(notice: Notice, w: Catalog): { readonly label: string; readonly act: () => void } | null {
  switch (notice.kind) {
    case "identity":
    case "name":
      return {
        label: w.notices.compare,
        act: () => open({ kind: "safety", user: notice.user, username: notice.username }),
      };
    case "vault-opened":
      return { label: w.notices.devices, act: () => go({ page: "settings", section: "devices" }) };
    case "keys-locked":
      return { label: w.notices.unlock, act: () => open({ kind: "unlock" }) };
    case "recovery-unconfirmed":
      return { label: w.notices.show, act: () => go({ page: "recovery" }) };
    case "change-failed":
      return null;
  }
}

/** What the gravest is goes first; the others are one press away. */
const GRAVITY: readonly Notice["kind"][] = [
  "identity",
  "name",
  "vault-opened",
  "keys-locked",
  "change-failed",
  "recovery-unconfirmed",
];

const GRAVE: ReadonlySet<Notice["kind"]> = new Set(["identity", "name", "vault-opened"]);

export function byGravity(notices: readonly Notice[]): readonly Notice[] {
  return notices.toSorted((one, other) => GRAVITY.indexOf(one.kind) - GRAVITY.indexOf(other.kind));
}

export function Notices() {
  const messenger = useMessenger();
  const w = words.value;
  const [all, setAll] = useState(false);
  const [later, setLater] = useState(false);
  const notices = byGravity(messenger.notices.value);
  const waiting = waitingQuestions(messenger.questions.value).length;
  const shown = all ? notices : notices.slice(0, 1);
  const others = notices.length - shown.length;
  return (
    <div class="notices" role="status">
      {waiting > 0 && (
        <div class="notice">
          <Icon name="info" />
          <p>{w.questions.waiting(waiting)}</p>
          <button type="button" class="text-button" onClick={lookAgain}>
            {w.questions.look}
          </button>
        </div>
      )}
      {shown.map((notice, index) => (
        <NoticeLine key={notice.id} notice={notice}>
          {index === 0 && notices.length > 1 && (
            <button type="button" class="text-button notice-more" aria-expanded={all} onClick={() => setAll(!all)}>
              {all ? w.notices.fewer : w.notices.more(others)}
            </button>
          )}
        </NoticeLine>
      ))}
      {messenger.newBuild.value && !later && (
        <div class="notice">
          <Icon name="info" />
          <p>{w.notices.newBuild}</p>
          <button type="button" class="text-button" onClick={() => void messenger.loadNewBuild()}>
            {w.notices.reload}
          </button>
          <IconButton icon="close" label={w.notices.putAway} onClick={() => setLater(true)} />
        </div>
      )}
    </div>
  );
}

function NoticeLine({ notice, children }: { notice: Notice; children: ComponentChildren }) {
  const messenger = useMessenger();
  const w = words.value;
  const grave = GRAVE.has(notice.kind);
  const help = remedy(notice, w);
  return (
    <div class={`notice ${grave ? "notice-grave" : ""}`}>
      <Icon name={grave ? "alert" : notice.kind === "change-failed" ? "info" : "key"} />
      <p dir="auto">{noticeInWords(notice, w)}</p>
      {children}
      {help !== null && (
        <button type="button" class="text-button" onClick={help.act}>
          {help.label}
        </button>
      )}
      <IconButton icon="close" label={w.notices.putAway} onClick={() => void messenger.putAway(notice.id)} />
    </div>
  );
}
