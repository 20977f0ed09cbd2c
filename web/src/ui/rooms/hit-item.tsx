import { when } from "../../i18n/words";
import type { Hit } from "../../messenger";
import { now } from "../clock";
import { useMessenger } from "../messenger";
import { follow, hashOf, roomRoute } from "../route";
import { excerpt, pieces } from "../text/highlight";
import { nameOf, roomTitle } from "../titles";

/** A message that was found; it leads to its place. */
export function HitItem({ hit, query, tabIndex }: { hit: Hit; query: string; tabIndex: 0 | -1 }) {
  const messenger = useMessenger();
  const room = messenger.rooms.value.find((line) => line.id === hit.room);
  const to = roomRoute(hit.room, hit.seq);
  return (
    <a class="hit-item" href={hashOf(to)} onClick={follow(to)} tabIndex={tabIndex}>
      <span class="hit-item-head">
        <span class="cut" dir="auto">
          {room === undefined ? hit.by : roomTitle(room)}
        </span>
        <span class="room-item-time">{when.value.short(hit.at, now.value)}</span>
      </span>
      <span class="hit-item-text" dir="auto">
        {room?.kind === "group" && <span class="hit-item-by">{nameOf(hit.by, messenger.account.value)}: </span>}
        {pieces(excerpt(hit.text, query), query).map((piece, index) =>
          piece.hit ? <mark key={index}>{piece.text}</mark> : piece.text,
        )}
      </span>
    </a>
  );
}
