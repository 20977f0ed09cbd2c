import { useSignal } from "@preact/signals";
import { memo } from "preact/compat";

import type { Catalog } from "../../i18n/catalog";
import { when, words } from "../../i18n/words";
import { useAction } from "../actions";
import { toast } from "../announce";
import { type Message, open } from "../dialogs";
import { useMessenger } from "../messenger";
import { Avatar, hueOf } from "../parts/avatar";
import { Icon } from "../parts/icon";
import { Ticks } from "../parts/ticks";
import { codeInWords } from "../refusals";
import { folded, isOnlyEmoji } from "../text/fold";
import { RichText } from "../text/text";

interface Given {
  readonly row: Message;
  readonly first: boolean;
  readonly last: boolean;
  readonly group: boolean;
  readonly tabIndex: 0 | -1;
  readonly flash: boolean;
}

/** A message in its bubble. */
export const MessageRow = memo(function MessageRow({ row, first, last, group, tabIndex, flash }: Given) {
  const sides = row.mine ? "row-mine" : "row-theirs";
  const spaced = first ? "row-first" : "";
  const big = row.text !== null && row.refused === null && isOnlyEmoji(row.text);
  const showsName = group && !row.mine && first;
  return (
    <article
      class={`row ${sides} ${spaced} ${last ? "row-last" : ""} ${flash ? "row-flash" : ""}`}
      tabIndex={tabIndex}
      data-row={row.key}
      aria-label={row.mine ? words.value.common.you : row.by}
      onKeyDown={(event) => {
        if (event.key !== "Enter" || event.target !== event.currentTarget) return;
        event.preventDefault();
        open({ kind: "message", row });
      }}
    >
      {group && !row.mine && <span class="row-avatar">{last && <Avatar name={row.by} />}</span>}
      <div class="row-main">
        <div class={`bubble ${big ? "bubble-emoji" : ""} ${row.text === null ? "bubble-unreadable" : ""}`}>
          {showsName && (
            <span class={`bubble-name name-hue-${hueOf(row.by)}`} dir="auto">
              {row.by}
            </span>
          )}
          <Body row={row} big={big} />
        </div>
        {row.refused !== null && <RefusedLine row={row} />}
      </div>
      <button
        type="button"
        class="row-more"
        tabIndex={-1}
        aria-label={words.value.conversation.more}
        title={words.value.conversation.more}
        onClick={() => open({ kind: "message", row })}
      >
        <Icon name="dots" />
      </button>
    </article>
  );
});

function Body({ row, big }: { row: Message; big: boolean }) {
  const w = words.value.conversation;
  const unfolded = useSignal(isUnfolded(row.key));
  const meta = <Meta row={row} />;
  if (row.text === null) {
    return (
      <div class="bubble-text">
        <Icon name="lock" class="icon-small" />
        <em>{w.problem[row.problem ?? "not_verified"]}</em>
        {meta}
      </div>
    );
  }
  const short = folded(row.text);
  if (short === null) {
    return (
      <div class={`bubble-text ${big ? "text-emoji" : ""}`} dir="auto">
        <RichText text={row.text} />
        {meta}
      </div>
    );
  }
  return (
    <>
      <div class="bubble-text" dir="auto">
        <RichText text={unfolded.value ? row.text : `${short}…`} />
      </div>
      <div class="bubble-foot">
        <button
          type="button"
          class="text-button"
          aria-expanded={unfolded.value}
          onClick={() => {
            unfolded.value = !unfolded.value;
            keepUnfolded(row.key, unfolded.value);
          }}
        >
          {unfolded.value ? w.showLess : w.showMore}
        </button>
        {meta}
      </div>
    </>
  );
}

/** Rows leave the page when they are scrolled away; what was unfolded is still so when they come back. */
const unfoldedKeys = new Set<string>();
const isUnfolded = (key: string): boolean => unfoldedKeys.has(key);
function keepUnfolded(key: string, on: boolean): void {
  if (on) unfoldedKeys.add(key);
  else unfoldedKeys.delete(key);
}

function Meta({ row }: { row: Message }) {
  const w = words.value.conversation;
  const reached = row.reached;
  const told =
    reached !== null && reached.of > 1 && row.ticks !== "read" && row.ticks !== "waiting" && row.ticks !== "failed";
  return (
    <span class="meta">
      {told && (
        <span title={w.reached(reached.read, reached.delivered, reached.of)}>
          <span aria-hidden="true">
            {Math.max(reached.read, reached.delivered)}/{reached.of}
          </span>
          <span class="visually-hidden">{w.reached(reached.read, reached.delivered, reached.of)}</span>
        </span>
      )}
      <time dateTime={new Date(row.at).toISOString()} title={when.value.full(row.at)}>
        {when.value.time(row.at)}
      </time>
      {row.ticks !== null && <Ticks state={row.ticks} />}
    </span>
  );
}

/** Why a message was refused, in the words of whoever reads it. */
export function refusalOf(row: Message, w: Catalog["conversation"]["refused"]): string {
  switch (row.refused?.reason) {
    case "late":
      return row.mine ? w.lateMine : w.lateTheirs;
    case "blocked":
      return w.blocked;
    case "signed_out":
      return w.signedOut;
    default:
      return w.failed;
  }
}

function RefusedLine({ row }: { row: Message }) {
  const messenger = useMessenger();
  const w = words.value.conversation;
  const action = useAction();
  const { refused } = row;
  if (refused === null) return null;
  const why = refusalOf(row, w.refused);
  return (
    <div class="refused">
      <span>
        <Icon name="alert" class="icon-small" /> {why}
        {refused.code !== null && `: ${codeInWords(refused.code)}`}
        {action.problem !== null && <span role="alert"> {action.problem}</span>}
      </span>
      {refused.canSendAgain && (
        <button
          type="button"
          class="text-button"
          onClick={async () => {
            if (await action.run(() => messenger.sendAgain(row.id))) toast(w.sentAgain);
          }}
        >
          {w.sendAgain}
        </button>
      )}
      {row.mine && row.seq === null && (
        <button type="button" class="text-button" onClick={() => void action.run(() => messenger.discard(row.id))}>
          {w.discard}
        </button>
      )}
    </div>
  );
}
