import type { Catalog } from "../../i18n/catalog";
import { when, words } from "../../i18n/words";
import type { Row } from "../../messenger";
import { now } from "../clock";
import { open } from "../dialogs";
import { useMessenger } from "../messenger";
import { Icon } from "../parts/icon";

type Change = Extract<Row, { kind: "system" }>["change"];

/** A change of a conversation as sentences; `me` is called “you”. */
export function changeInWords(change: Change, me: string, w: Catalog): readonly string[] {
  const name = (username: string): string => (username === me ? w.system.you : username);
  const doer = (by: string | null): string | null => (by === null ? null : name(by));
  const whom = (users: readonly string[]): string =>
    w.common.and(users.map((username) => (username === me ? w.system.youObject : username)));
  switch (change.what) {
    case "created":
      return [w.system.created(doer(change.by))];
    case "added":
      return [w.system.added(doer(change.by), whom(change.users))];
    case "removed":
      return [w.system.removed(doer(change.by), whom(change.users))];
    case "owner":
      return [w.system.owner(doer(change.by), whom(change.users))];
    case "left":
      return [w.system.left(w.common.and((change.users.length > 0 ? change.users : [change.by ?? ""]).map(name)))];
    case "role":
      return [(change.role === "admin" ? w.system.admin : w.system.member)(doer(change.by), whom(change.users))];
    case "readers":
      return [
        ...(change.added.length > 0 ? [w.system.canRead(change.added.map(name))] : []),
        ...(change.removed.length > 0 ? [w.system.cannotRead(change.removed.map(name))] : []),
        ...(change.rekeyed.length > 0 ? [w.system.rekeyed(change.rekeyed.map(name))] : []),
      ];
    case "identity":
      return [w.system.identity(change.username)];
  }
}

export function SystemRow({ change }: { change: Change }) {
  const me = useMessenger().account.value?.username ?? "";
  const w = words.value;
  return (
    <div class="system" dir="auto">
      {change.what === "readers" && <Icon name="key" class="icon-small" />}
      {change.what === "identity" && <Icon name="alert" class="icon-small" />}
      <span>{changeInWords(change, me, w).join(" · ")}</span>
      {change.what === "identity" && (
        <button
          type="button"
          class="text-button"
          onClick={() => open({ kind: "safety", user: change.user, username: change.username })}
        >
          {w.notices.compare}
        </button>
      )}
    </div>
  );
}

export function DayRow({ at }: { at: number }) {
  return (
    <div class="day">
      <time dateTime={new Date(at).toISOString().slice(0, 10)}>{when.value.day(at, now.value)}</time>
    </div>
  );
}

export function UnreadRow() {
  return (
    <div class="unread-marker">
      <span>{words.value.conversation.unread}</span>
    </div>
  );
}

export function BeginRow() {
  return (
    <div class="begin">
      <Icon name="lock" />
      <p>{words.value.conversation.begin}</p>
    </div>
  );
}
