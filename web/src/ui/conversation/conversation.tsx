import { useCallback, useEffect, useMemo, useRef, useState } from "preact/hooks";

import { words } from "../../i18n/words";
import type { RoomDetail, Timeline } from "../../messenger";
import type { RoomId } from "../../protocol/ids";
import { useMessenger } from "../messenger";
import { usePaced } from "../paced";
import { Avatar } from "../parts/avatar";
import { IconButton } from "../parts/button";
import { Icon } from "../parts/icon";
import { Empty } from "../parts/page";
import { membersOf } from "../room/roles";
import { back, follow, go, hashOf, ROOMS, type Route } from "../route";
import { roomTitle } from "../titles";
import { Closed } from "./closed";
import { Composer } from "./composer";
import { type ListHandle, MessageList } from "./message-list";
import { beginsAbove } from "./place";

/** One conversation. It is given its room's id as a key, so that nothing of one room stays in the next. */
export function Conversation({ id, at }: { id: RoomId; at: number | null }) {
  const messenger = useMessenger();
  const room = usePaced(useMemo(() => messenger.room(id), [messenger, id]));
  const timeline = useTimeline(id, at);
  const list = useRef<ListHandle>(null);
  const onSent = useCallback(() => list.current?.toNewest(), []);

  useEffect(() => {
    const newest = (event: KeyboardEvent): void => {
      if (!event.altKey || event.code !== "End") return;
      event.preventDefault();
      list.current?.toNewest();
    };
    document.addEventListener("keydown", newest);
    return () => document.removeEventListener("keydown", newest);
  }, []);

  if (room === null) {
    return (
      <section class="conversation">
        <header class="bar">
          <span class="only-narrow">
            <IconButton icon="back" label={words.value.common.back} onClick={() => back(ROOMS)} />
          </span>
        </header>
        {timeline === "absent" && <Empty title={words.value.conversation.notThere} heading />}
      </section>
    );
  }
  return (
    <section class="conversation" aria-label={words.value.conversation.with(roomTitle(room))}>
      <Header room={room} />
      {typeof timeline === "object" ? (
        <MessageList room={room} timeline={timeline} at={at} handle={list} />
      ) : (
        <div class="timeline-frame" />
      )}
      <div class="typing" dir="auto" aria-live="off">
        {room.typing.length > 0 && (
          <>
            <span class="typing-dots" aria-hidden="true">
              <i />
              <i />
              <i />
            </span>
            <span class="cut">{words.value.rooms.typing(room.typing)}</span>
          </>
        )}
      </div>
      {room.closed === null ? <Composer messenger={messenger} room={id} onSent={onSent} /> : <Closed room={room} />}
    </section>
  );
}

/** The window on a room, closed when the page leaves it. Where what is unread begins above it, it moves there first. */
function useTimeline(id: RoomId, at: number | null): Timeline | "loading" | "absent" {
  const messenger = useMessenger();
  const [timeline, setTimeline] = useState<Timeline | "loading" | "absent">("loading");
  useEffect(() => {
    let left = false;
    let opened: Timeline | null = null;
    const openIt = async (): Promise<void> => {
      const fresh = await messenger.timeline(id);
      if (left) return fresh.close();
      opened = fresh;
      const { unreadFrom } = opened;
      if (at !== null) await opened.around(at).catch(() => undefined);
      else if (unreadFrom !== null && beginsAbove(opened.rows.peek(), unreadFrom, opened.hasOlder.peek())) {
        await opened.around(unreadFrom).catch(() => undefined);
      }
      if (!left) setTimeline(opened);
    };
    openIt().catch(() => {
      if (!left) setTimeline("absent");
    });
    return () => {
      left = true;
      opened?.close();
    };
  }, [messenger, id]);
  return timeline;
}

function Header({ room }: { room: RoomDetail }) {
  const w = words.value;
  const title = roomTitle(room);
  const to: Route = { page: "room", id: room.id, at: null, details: true };
  const relations = useMessenger().relations.value;
  const isContact = relations.some((one) => one.user === room.peer && one.state === "contact");
  const verified =
    room.kind === "direct" && room.members.some((member) => member.user === room.peer && member.verified);
  return (
    <header class="bar">
      <span class="only-narrow">
        <IconButton icon="back" label={w.common.back} onClick={() => back(ROOMS)} />
      </span>
      <a class="bar-room" href={hashOf(to)} onClick={follow(to)}>
        <Avatar name={title} group={room.kind === "group"} />
        <span class="bar-room-words">
          <h1 class="bar-title">
            <span class="cut" dir="auto">
              {title}
            </span>
            {verified && (
              <>
                <Icon name="shield" class="icon-small verified" />
                <span class="visually-hidden">{w.room.verified}</span>
              </>
            )}
          </h1>
          <span class="bar-sub cut" dir="auto">
            {room.kind === "group"
              ? w.conversation.members(membersOf(room).length)
              : isContact
                ? w.questions.states.contact
                : w.room.direct}
          </span>
        </span>
      </a>
      <IconButton icon="info" label={w.conversation.details} onClick={() => go(to)} />
    </header>
  );
}
