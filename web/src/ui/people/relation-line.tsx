import type { ComponentChildren } from "preact";

import { words } from "../../i18n/words";
import type { Relation } from "../../messenger";
import { useAction } from "../actions";
import { open } from "../dialogs";
import { useMessenger } from "../messenger";
import { Avatar } from "../parts/avatar";
import { IconButton } from "../parts/button";
import { Icon } from "../parts/icon";
import { Menu, type MenuItem } from "../parts/menu";
import { Problem } from "../parts/problem";
import { go, roomRoute } from "../route";
import { offers } from "./offers";

/** Somebody one has something with, and what can be done about it. */
export function RelationLine({ relation, children }: { relation: Relation; children?: ComponentChildren }) {
  const messenger = useMessenger();
  const w = words.value;
  const action = useAction();
  const { user, username } = relation;

  const maySend = !relation.blocked && !relation.blockedBy && relation.state !== "incoming";
  const items: MenuItem[] = [];
  if (!relation.blocked) {
    items.push({ label: w.room.safety, icon: "shield", onPick: () => open({ kind: "safety", user, username }) });
  }
  for (const offer of offers(relation)) {
    if (offer === "remove") {
      items.push({
        label: relation.state === "requested" ? w.people.withdraw : w.people.removeContact,
        icon: "person-out",
        onPick: () => void action.run(() => messenger.press("remove", { user })),
      });
    } else if (offer === "block" || offer === "unblock") {
      items.push({
        label: w.people[offer],
        icon: "block",
        danger: offer === "block",
        onPick: () => open({ kind: offer, user, username }),
      });
    }
  }

  return (
    <li class="person">
      <Avatar name={username} />
      <span class="person-words">
        <span class="person-name" dir="auto">
          <span class="cut">{username}</span>
          {relation.verified && (
            <>
              <Icon name="shield" class="icon-small verified" />
              <span class="visually-hidden">{w.room.verified}</span>
            </>
          )}
        </span>
        {relation.waiting !== null && (
          <span class="hint person-waiting">
            <Icon name="waiting" class="icon-small" /> {w.people.waiting}
          </span>
        )}
        {relation.blockedBy && <span class="hint">{w.people.blocksYou}</span>}
        <Problem text={action.problem} />
        {children}
      </span>
      {maySend && (
        <IconButton
          icon="compose"
          label={w.people.writeTo(username)}
          onClick={() => void action.run(async () => go(roomRoute(await messenger.openDirect(user))))}
        />
      )}
      <Menu label={w.room.actionsFor(username)} items={items} />
    </li>
  );
}
