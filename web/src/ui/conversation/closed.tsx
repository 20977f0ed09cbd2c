import { words } from "../../i18n/words";
import type { RoomDetail } from "../../messenger";
import { open } from "../dialogs";
import { Button } from "../parts/button";
import { roomTitle } from "../titles";

/** In place of the box: why nothing can be written here, and what can be done about it. */
export function Closed({ room }: { room: RoomDetail }) {
  const w = words.value.composer;
  const name = roomTitle(room);
  const peer = room.peer;
  switch (room.closed) {
    case "blocked-by-you":
      return (
        <div class="closed">
          <p>{w.blockedByYou(name)}</p>
          {peer !== null && (
            <Button onClick={() => open({ kind: "unblock", user: peer, username: name })}>{w.unblock}</Button>
          )}
        </div>
      );
    case "blocked-by-peer":
      return (
        <div class="closed">
          <p>{w.blockedByPeer(name)}</p>
        </div>
      );
    case "left":
      return (
        <div class="closed">
          <p>{w.left}</p>
        </div>
      );
    default:
      return (
        <div class="closed">
          <p>{w.unverified}</p>
          {room.members
            .filter((member) => member.held)
            .map(({ user, username }) => (
              <Button key={user} kind="primary" onClick={() => open({ kind: "safety", user, username })}>
                {room.kind === "direct" ? w.compare : w.compareWith(username)}
              </Button>
            ))}
        </div>
      );
  }
}
