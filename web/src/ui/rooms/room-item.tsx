import { memo } from "preact/compat";

import { when, words } from "../../i18n/words";
import type { RoomLine } from "../../messenger";
import { now } from "../clock";
import { Avatar } from "../parts/avatar";
import { Icon } from "../parts/icon";
import { Ticks } from "../parts/ticks";
import { follow, hashOf, roomRoute } from "../route";
import { previewText, roomTitle, typingText } from "../titles";

/** A conversation in the list of them. */
export const RoomItem = memo(function RoomItem({
  room,
  open,
  tabIndex,
}: {
  room: RoomLine;
  open: boolean;
  tabIndex: 0 | -1;
}) {
  const title = roomTitle(room);
  const to = roomRoute(room.id);
  return (
    <a
      class={`room-item ${open ? "room-item-open" : ""}`}
      href={hashOf(to)}
      onClick={follow(to)}
      tabIndex={tabIndex}
      aria-current={open ? "page" : undefined}
    >
      <Avatar name={title} group={room.kind === "group"} />
      <span class="room-item-line">
        <span class="room-item-title">
          <span class="cut" dir="auto">
            {title}
          </span>
          {room.muted && <Muted />}
        </span>
        <span class="room-item-time">{when.value.short(room.at, now.value)}</span>
      </span>
      <span class="room-item-line">
        <span class="room-item-preview">
          <PreviewLine room={room} />
        </span>
        {room.unread > 0 && (
          <span class={`badge ${room.muted ? "badge-muted" : ""}`}>
            <span aria-hidden="true">{room.unread > 999 ? "999+" : room.unread}</span>
            <span class="visually-hidden">{words.value.rooms.unread(room.unread)}</span>
          </span>
        )}
      </span>
    </a>
  );
});

function Muted() {
  return (
    <>
      <Icon name="bell-off" class="icon-small" />
      <span class="visually-hidden">{words.value.rooms.muted}</span>
    </>
  );
}

function PreviewLine({ room }: { room: RoomLine }) {
  if (room.typing.length > 0) {
    return (
      <span class="cut room-item-typing" dir="auto">
        {typingText(room)}
      </span>
    );
  }
  if (room.preview === null) return <span class="cut">{words.value.rooms.nothingYet}</span>;
  const { preview } = room;
  return (
    <>
      {preview.ticks !== null && <Ticks state={preview.ticks} />}
      <span class={`cut ${preview.text === null ? "unreadable" : ""}`} dir="auto">
        {previewText(room, preview)}
      </span>
    </>
  );
}
