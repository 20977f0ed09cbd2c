import { useState } from "preact/hooks";

import { words } from "../../i18n/words";
import { useAction } from "../actions";
import { useMessenger } from "../messenger";
import { Button } from "../parts/button";
import { Page, Section } from "../parts/page";
import { Problem } from "../parts/problem";
import { Switch } from "../parts/switch";
import { go, roomRoute } from "../route";
import { PeoplePicker, type Person } from "./picker";

/** One name begins a conversation of two, several begin a group. */
export function NewConversation() {
  const messenger = useMessenger();
  const w = words.value.people;
  const [chosen, setChosen] = useState<readonly Person[]>([]);
  const [history, setHistory] = useState(false);
  const action = useAction();
  const group = chosen.length > 1;

  const begin = (): Promise<boolean> =>
    action.run(async () => {
      const [first] = chosen;
      if (first === undefined) return;
      const users = chosen.map((one) => one.user);
      const room = group
        ? await messenger.createGroup(users, history ? "all" : "joined")
        : await messenger.openDirect(first.user);
      go(roomRoute(room), { replace: true });
    });

  return (
    <Page title={w.newTitle}>
      <Section>
        <PeoplePicker chosen={chosen} onChange={setChosen} />
      </Section>
      <div class="page-foot">
        {group && <Switch label={w.groupHistory} on={history} onChange={setHistory} />}
        <Problem text={action.problem} />
        <Button kind="primary" busy={action.busy} disabled={chosen.length === 0} onClick={() => void begin()}>
          {group ? w.beginGroup(chosen.length) : w.begin}
        </Button>
      </div>
    </Page>
  );
}
