import type { Ref } from "preact";
import { useEffect, useImperativeHandle, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { Virtualizer, type VirtualizerHandle } from "virtua";

import { words } from "../../i18n/words";
import type { RoomDetail, Row, Timeline } from "../../messenger";
import { announce } from "../announce";
import { useMessenger } from "../messenger";
import { usePaced } from "../paced";
import { type Item, itemsOf, nextRows } from "./items";
import { JumpButton } from "./jump-button";
import { useLoading } from "./loading";
import { MessageRow } from "./message-row";
import { arrived, firstPlace, indexOfSeq, type Place, seenUpTo } from "./place";
import { isLookedAt, useLookedAt } from "./reading";
import { useRowFocus } from "./row-focus";
import { BeginRow, DayRow, SystemRow, UnreadRow } from "./system-row";

/** Within this distance of an end, more is loaded; within the other one, the list stays at its end. */
const LOAD_WITHIN = 900;
const STUCK_WITHIN = 60;
const FLASH = 1_800;
/** How long a place is kept after a jump, while rows around it are drawn and measured. */
const SETTLES = 350;

export interface ListHandle {
  toNewest(): void;
}

/** The rows of a conversation: it stays at the newest ones until somebody scrolls up, and where one reads nothing moves. */
export function MessageList({
  room,
  timeline,
  at,
  handle,
}: {
  room: RoomDetail;
  timeline: Timeline;
  /** The number of the message that is looked for. */
  at: number | null;
  handle: Ref<ListHandle>;
}) {
  const messenger = useMessenger();
  const scroller = useRef<HTMLDivElement>(null);
  const virtual = useRef<VirtualizerHandle>(null);
  const stuck = useRef(true);
  const lastTop = useRef(0);
  const placed = useRef(false);
  const settling = useRef(false);
  const settled = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  const target = useRef<number | null>(at);
  const shown = useRef<{ rows: readonly Row[]; items: readonly Item[] }>({ rows: [], items: [] });
  const [step, setStep] = useState(0);
  const [isAtEnd, setAtEnd] = useState(true);
  const [flash, setFlash] = useState<string | null>(null);

  const rows = usePaced(timeline.rows);
  const hasOlder = timeline.hasOlder.value;
  const hasNewer = timeline.hasNewer.value;

  const view = useMemo(() => {
    const next = nextRows(shown.current.rows, rows);
    const items = itemsOf(next.rows, { unreadFrom: timeline.unreadFrom, atBeginning: !hasOlder }, shown.current.items);
    const fresh = placed.current && !hasNewer ? arrived(shown.current.rows, next.rows) : [];
    shown.current = { rows: next.rows, items };
    return { ...next, items, fresh };
  }, [rows, step, hasOlder, timeline]);
  const { items } = view;

  useEffect(() => {
    if (!view.rest) return;
    const frame = requestAnimationFrame(() => setStep((count) => count + 1));
    return () => cancelAnimationFrame(frame);
  }, [view]);

  useEffect(() => {
    const one = view.fresh[0];
    if (one === undefined) return;
    const w = words.value.conversation;
    const count = view.fresh.length;
    announce(() => (count === 1 ? w.newFrom(one.by, (one.text ?? "").slice(0, 200)) : w.newMany(count)));
  }, [view]);

  const toEnd = (): void => {
    const list = scroller.current;
    if (list === null) return;
    list.scrollTop = list.scrollHeight;
    lastTop.current = list.scrollTop;
  };

  /** Scrolls to a place within. Until its surroundings are measured, what the list says of its own position is not to be trusted. */
  const toPlace = (place: Place): void => {
    const { index, align } = place;
    stuck.current = align === "end";
    if (align === "end") {
      toEnd();
      return;
    }
    virtual.current?.scrollToIndex(index, align === "start" ? { align, offset: -8 } : { align });
    settling.current = true;
    clearTimeout(settled.current);
    settled.current = setTimeout(() => {
      settling.current = false;
      onScroll();
      if (stuck.current) toEnd();
    }, SETTLES);
  };
  useEffect(() => () => clearTimeout(settled.current), []);

  // Rows are measured after they are drawn, and only then is the list as long as it is: whoever stood at its end still does.
  useLayoutEffect(() => {
    const list = scroller.current;
    if (list === null) return;
    const observer = new ResizeObserver(() => {
      if (stuck.current && target.current === null && !timeline.hasNewer.peek()) toEnd();
    });
    for (const element of [list, ...list.children]) observer.observe(element);
    return () => observer.disconnect();
  }, [timeline]);

  const load = useLoading(timeline);
  const pages = load.pages.value;
  const look = (): void => {
    const list = virtual.current;
    if (list === null || !placed.current || settling.current) return;
    if (list.scrollOffset < LOAD_WITHIN) load("older");
    if (belowView(scroller.current) < LOAD_WITHIN) load("newer");
    if (!isLookedAt()) return;
    const seq = seenUpTo(shown.current.items, list.findItemIndex(list.scrollOffset + list.viewportSize - 12));
    if (seq !== null) messenger.markRead(room.id, seq);
  };
  useLookedAt(look);
  // Where nothing is here yet, nothing can be scrolled either.
  useEffect(() => {
    if (rows.length === 0 && hasOlder) load("older");
  }, [rows, hasOlder, load, pages]);

  const onScroll = (): void => {
    const top = scroller.current?.scrollTop ?? 0;
    const rose = top < lastTop.current;
    lastTop.current = top;
    if (!placed.current || settling.current) return;
    // The end is left by scrolling up, not by what grows below.
    stuck.current = belowView(scroller.current) < STUCK_WITHIN || (stuck.current && !rose);
    setAtEnd(stuck.current);
    look();
  };

  useLayoutEffect(() => {
    if (items.length === 0 || rows.length === 0) return;
    if (!placed.current) {
      toPlace(firstPlace(items, at));
      requestAnimationFrame(() => {
        placed.current = true;
        onScroll();
      });
    } else if (stuck.current && !hasNewer && target.current === null) toEnd();
    reachTarget();
  }, [items]);
  useEffect(look, [items, pages]);

  const reachTarget = (): void => {
    const index = target.current === null ? -1 : indexOfSeq(shown.current.items, target.current);
    const item = shown.current.items[index];
    if (item === undefined) return;
    target.current = null;
    toPlace({ index, align: "center" });
    setFlash(item.key);
  };
  useEffect(() => {
    if (flash === null) return;
    const timer = setTimeout(() => setFlash(null), FLASH);
    return () => clearTimeout(timer);
  }, [flash]);

  useEffect(() => {
    if (at === null) return;
    target.current = at;
    const isHere = timeline.rows.peek().some((row) => row.seq === at);
    if (isHere) reachTarget();
    else
      void timeline.around(at).then(
        () => setStep((count) => count + 1),
        () => undefined,
      );
  }, [at, timeline]);

  const toNewest = async (): Promise<void> => {
    if (timeline.hasNewer.peek()) await timeline.newest().catch(() => undefined);
    settling.current = false;
    clearTimeout(settled.current);
    stuck.current = true;
    setAtEnd(true);
    setStep((count) => count + 1);
    requestAnimationFrame(toEnd);
  };
  useImperativeHandle(handle, () => ({ toNewest: () => void toNewest() }));

  const focus = useRowFocus(items, (index) => virtual.current?.scrollToIndex(index, { align: "nearest" }));
  const group = room.kind === "group";
  return (
    <div class="timeline-frame">
      <section
        class="timeline"
        ref={scroller}
        aria-label={words.value.conversation.messages}
        onKeyDown={focus.onKeyDown}
      >
        <div class="timeline-spacer" />
        <Virtualizer
          ref={virtual}
          data={items}
          scrollRef={scroller}
          shift={view.shift}
          keepMounted={focus.keepMounted}
          bufferSize={500}
          onScroll={onScroll}
        >
          {(item) => (
            <ItemRow
              key={item.key}
              item={item}
              group={group}
              tabIndex={item.key === focus.stop ? 0 : -1}
              flash={item.key === flash}
            />
          )}
        </Virtualizer>
      </section>
      {hasOlder && load.isLoading.value && (
        <div class="timeline-loading" role="status" aria-label={words.value.conversation.loadingOlder}>
          <span class="spinner" aria-hidden="true" />
        </div>
      )}
      {(!isAtEnd || hasNewer) && <JumpButton count={room.unread} onClick={() => void toNewest()} />}
    </div>
  );
}

/** How much of the list lies below what is seen. Asked of the page: the virtual list does not know its own size at first. */
function belowView(list: HTMLElement | null): number {
  return list === null ? 0 : list.scrollHeight - list.scrollTop - list.clientHeight;
}

function ItemRow({ item, group, tabIndex, flash }: { item: Item; group: boolean; tabIndex: 0 | -1; flash: boolean }) {
  switch (item.kind) {
    case "begin":
      return <BeginRow />;
    case "day":
      return <DayRow at={item.at} />;
    case "unread":
      return <UnreadRow />;
    case "row":
      if (item.row.kind === "system") return <SystemRow change={item.row.change} />;
      return (
        <MessageRow
          row={item.row}
          first={item.first}
          last={item.last}
          group={group}
          tabIndex={tabIndex}
          flash={flash}
        />
      );
  }
}
