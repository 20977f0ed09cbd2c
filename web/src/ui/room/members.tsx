import { useState } from "preact/hooks";

import { words } from "../../i18n/words";
import type { Member, RoomDetail } from "../../messenger";
import { useAction } from "../actions";
import { open } from "../dialogs";
import { useMessenger } from "../messenger";
import { Avatar } from "../parts/avatar";
import { Confirm } from "../parts/confirm";
import { Icon } from "../parts/icon";
import { Menu, type MenuItem } from "../parts/menu";
import { Problem } from "../parts/problem";
import { go, roomRoute } from "../route";
import { memberActions } from "./roles";

const ORDER = ["owner", "admin", "member", null] as const;
const SHOWN = 100;

/** The members of a room, those with a role first. */
export function Members({ room }: { room: RoomDetail }) {
  const [all, setAll] = useState(false);
  const sorted = room.members.toSorted(
    (one, other) => ORDER.indexOf(one.role) - ORDER.indexOf(other.role) || one.username.localeCompare(other.username),
  );
  const shown = all ? sorted : sorted.slice(0, SHOWN);
  return (
    <>
      <ul class="people">
        {shown.map((member) => (
          <MemberLine key={member.user} room={room} member={member} />
        ))}
      </ul>
      {shown.length < sorted.length && (
        <button type="button" class="text-button" onClick={() => setAll(true)}>
          {words.value.conversation.showMore}
        </button>
      )}
    </>
  );
}

type Asking = "hand-over" | "remove";

function MemberLine({ room, member }: { room: RoomDetail; member: Member }) {
  const messenger = useMessenger();
  const w = words.value;
  const action = useAction();
  const [asking, setAsking] = useState<Asking | null>(null);
  const me = messenger.account.value;
  const isMe = me?.user === member.user;
  const allowed = me ? memberActions(room, me.user, member) : [];

  const items: MenuItem[] = isMe
    ? []
    : [
        ...(room.kind === "group"
          ? [
              {
                label: w.room.write,
                icon: "compose" as const,
                onPick: () => void action.run(async () => go(roomRoute(await messenger.openDirect(member.user)))),
              },
            ]
          : []),
        {
          label: w.room.safety,
          icon: "shield",
          onPick: () => open({ kind: "safety", user: member.user, username: member.username }),
        },
      ];
  if (allowed.includes("promote")) {
    items.push({
      label: w.room.promote,
      icon: "up",
      onPick: () => void action.run(() => messenger.setRole(room.id, member.user, "admin")),
    });
  }
  if (allowed.includes("demote")) {
    items.push({
      label: w.room.demote,
      icon: "down",
      onPick: () => void action.run(() => messenger.setRole(room.id, member.user, "member")),
    });
  }
  if (allowed.includes("hand-over")) {
    items.push({ label: w.room.handOver, icon: "crown", onPick: () => setAsking("hand-over") });
  }
  if (allowed.includes("remove")) {
    items.push({ label: w.room.removeMember, icon: "person-out", danger: true, onPick: () => setAsking("remove") });
  }

  return (
    <li class="person">
      <Avatar name={member.username} />
      <span class="person-words">
        <span class="person-name" dir="auto">
          <span class="cut">{isMe ? `${member.username} (${w.common.you})` : member.username}</span>
          {member.verified && (
            <>
              <Icon name="shield" class="icon-small verified" />
              <span class="visually-hidden">{w.room.verified}</span>
            </>
          )}
        </span>
        <span class="hint">
          {member.role === null ? w.room.readsBeyond : w.room.roles[member.role]}
          {!member.reads && ` · ${w.room.cannotRead}`}
        </span>
        <Problem text={action.problem} />
      </span>
      <Menu label={w.room.actionsFor(member.username)} items={items} />
      {asking === "hand-over" && (
        <Confirm
          title={w.room.handOver}
          confirm={w.room.handOver}
          onConfirm={() => messenger.handOver(room.id, member.user)}
          onClose={() => setAsking(null)}
        >
          <p>{w.room.handOverAsk(member.username)}</p>
        </Confirm>
      )}
      {asking === "remove" && (
        <Confirm
          title={w.room.removeMember}
          confirm={w.common.remove}
          danger
          onConfirm={() => messenger.removeMember(room.id, member.user)}
          onClose={() => setAsking(null)}
        >
          <p>{w.room.removeAsk(member.username)}</p>
        </Confirm>
      )}
    </li>
  );
}
