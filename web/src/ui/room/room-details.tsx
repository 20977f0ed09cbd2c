import { useMemo, useState } from "preact/hooks";

import { when, words } from "../../i18n/words";
import type { RoomDetail } from "../../messenger";
import type { RoomId } from "../../protocol/ids";
import { useAction } from "../actions";
import { open } from "../dialogs";
import { useMessenger } from "../messenger";
import { Avatar } from "../parts/avatar";
import { Button } from "../parts/button";
import { Confirm } from "../parts/confirm";
import { Icon } from "../parts/icon";
import { Empty, Page, Section } from "../parts/page";
import { Problem } from "../parts/problem";
import { Switch } from "../parts/switch";
import { go, ROOMS, roomRoute } from "../route";
import { roomTitle } from "../titles";
import { Members } from "./members";
import { mayAdd, mayLeave, membersOf } from "./roles";

/** Who is in a conversation, who can read it, and what can be done about that. */
export function RoomDetails({ id }: { id: RoomId }) {
  const messenger = useMessenger();
  const room = useMemo(() => messenger.room(id), [messenger, id]).value;
  const w = words.value;
  return (
    <Page title={w.room.title} backTo={roomRoute(id)} always>
      {room === null ? <Empty title={w.conversation.notThere} /> : <Details room={room} />}
    </Page>
  );
}

function Details({ room }: { room: RoomDetail }) {
  const messenger = useMessenger();
  const w = words.value;
  const title = roomTitle(room);
  const group = room.kind === "group";
  const action = useAction();
  return (
    <>
      <div class="profile">
        <Avatar name={title} group={group} large />
        <p class="profile-name" dir="auto">
          {title}
        </p>
        <p class="hint">
          {group ? w.room.group : w.room.direct} · {w.room.since(when.value.date(room.createdAt))}
        </p>
      </div>
      <Section>
        <Switch
          label={w.room.mute}
          hint={w.room.muteHint}
          on={room.muted}
          onChange={(on) => void action.run(() => messenger.mute(room.id, on))}
        />
        <Problem text={action.problem} />
      </Section>
      {group ? (
        <Section title={`${w.room.membersTitle} · ${membersOf(room).length}`}>
          {mayAdd(room) && (
            <Button icon="people" onClick={() => open({ kind: "add-members", room: room.id })}>
              {w.room.add}
            </Button>
          )}
          <Members room={room} />
        </Section>
      ) : (
        <Peer room={room} />
      )}
      <Readers room={room} />
      {group && (
        <Section title={w.room.history}>
          <p>{room.history === "all" ? w.room.historyAll : w.room.historyJoined}</p>
        </Section>
      )}
      {group ? <Leave room={room} /> : <BlockPeer room={room} />}
    </>
  );
}

/** The other one of a room of two: whether the keys were compared, and where that is done. */
function Peer({ room }: { room: RoomDetail }) {
  const w = words.value;
  const peer = room.members.find((member) => member.user === room.peer);
  if (peer === undefined) return null;
  const { user, username, verified } = peer;
  return (
    <Section title={w.room.safety}>
      <p class={`safety-state ${verified ? "verified" : ""}`}>
        <Icon name={verified ? "shield" : "lock"} class="icon-small" />
        {verified ? w.safety.verified : w.safety.notVerified}
      </p>
      <Button icon="shield" onClick={() => open({ kind: "safety", user, username })}>
        {verified ? w.room.safety : w.notices.compare}
      </Button>
    </Section>
  );
}

function Readers({ room }: { room: RoomDetail }) {
  const w = words.value.room;
  const beyond = room.members.filter((member) => member.role === null).map((member) => member.username);
  const cannot = room.members.filter((member) => !member.reads).map((member) => member.username);
  return (
    <Section title={w.readers}>
      {beyond.length > 0 && <p class="strong">{w.readersBeyond(beyond)}</p>}
      <p>{cannot.length > 0 ? w.readersSome(cannot) : room.kind === "group" ? w.readersAll : w.readersBoth}</p>
    </Section>
  );
}

function Leave({ room }: { room: RoomDetail }) {
  const messenger = useMessenger();
  const w = words.value.room;
  const [asking, setAsking] = useState(false);
  if (room.myRole === null) return null;
  if (!mayLeave(room)) {
    return (
      <Section>
        <p class="hint">{w.leaveOwner}</p>
      </Section>
    );
  }
  return (
    <Section>
      <Button kind="danger" icon="out" onClick={() => setAsking(true)}>
        {w.leave}
      </Button>
      {asking && (
        <Confirm
          title={w.leave}
          confirm={w.leave}
          danger
          onConfirm={async () => {
            await messenger.leave(room.id);
            go(ROOMS);
          }}
          onClose={() => setAsking(false)}
        >
          <p>{w.leaveAsk}</p>
        </Confirm>
      )}
    </Section>
  );
}

function BlockPeer({ room }: { room: RoomDetail }) {
  const messenger = useMessenger();
  const w = words.value.room;
  const user = room.peer;
  if (user === null) return null;
  const blocked = messenger.relations.value.some((one) => one.user === user && one.blocked);
  const kind = blocked ? "unblock" : "block";
  return (
    <Section>
      <Button kind={blocked ? "plain" : "danger"} onClick={() => open({ kind, user, username: roomTitle(room) })}>
        {w[kind]}
      </Button>
    </Section>
  );
}
