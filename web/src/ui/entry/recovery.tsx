import { useState } from "preact/hooks";

import { words } from "../../i18n/words";
import { useAction } from "../actions";
import { toast } from "../announce";
import { useMessenger } from "../messenger";
import { Button } from "../parts/button";
import { copyText, download } from "../parts/copy";
import { Field } from "../parts/field";
import { Problem } from "../parts/problem";
import { go, ROOMS } from "../route";
import { Frame } from "./frame";
import { groupsOf, sameGroup, twoGroups } from "./groups";

/** Shows the recovery key, and asks for two of its groups once it is kept. */
export function Recovery() {
  const messenger = useMessenger();
  const w = words.value.recovery;
  const key = messenger.recoveryKey.value;
  const [kept, setKept] = useState(false);

  if (key === null) {
    return (
      <Frame title={w.title}>
        <p>{w.nothing}</p>
        <Button kind="primary" onClick={() => go(ROOMS, { replace: true })}>
          {words.value.common.done}
        </Button>
      </Frame>
    );
  }
  return kept ? (
    <Check recoveryKey={key} onBack={() => setKept(false)} />
  ) : (
    <Show recoveryKey={key} onKept={() => setKept(true)} />
  );
}

function Show({ recoveryKey, onKept }: { recoveryKey: string; onKept: () => void }) {
  const username = useMessenger().account.value?.username ?? "";
  const w = words.value;
  return (
    <Frame title={w.recovery.title}>
      <p>{w.recovery.why}</p>
      <ol class="key-groups" aria-label={w.recovery.groups}>
        {groupsOf(recoveryKey).map((group, index) => (
          // By index: groups may be equal, and never move.
          <li key={index}>
            <span class="key-number" aria-hidden="true">
              {index + 1}
            </span>
            <code>{group}</code>
          </li>
        ))}
      </ol>
      <div class="button-row">
        <Button onClick={() => void copyText(recoveryKey)}>{w.recovery.copy}</Button>
        <Button onClick={() => download(w.recovery.fileName, w.recovery.fileText(username, recoveryKey))}>
          {w.recovery.download}
        </Button>
      </div>
      <div class="entry-submit">
        <Button kind="primary" onClick={onKept}>
          {w.recovery.next}
        </Button>
        <Button kind="quiet" onClick={() => go(ROOMS, { replace: true })}>
          {w.common.later}
        </Button>
      </div>
    </Frame>
  );
}

function Check({ recoveryKey, onBack }: { recoveryKey: string; onBack: () => void }) {
  const messenger = useMessenger();
  const w = words.value.recovery;
  const groups = groupsOf(recoveryKey);
  const [asked] = useState(() => twoGroups(groups.length, Math.random));
  const [typed, setTyped] = useState<readonly [string, string]>(["", ""]);
  const [wrong, setWrong] = useState(false);
  const action = useAction();

  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    const right = asked.every((group, index) => sameGroup(typed[index] ?? "", groups[group] ?? ""));
    setWrong(!right);
    if (right && (await action.run(() => messenger.confirmRecoveryKey()))) {
      toast(w.confirmed);
      go(ROOMS, { replace: true });
    }
  };

  return (
    <Frame title={w.confirmTitle}>
      <p>{w.confirmHint}</p>
      <form onSubmit={submit}>
        <div class="field-pair">
          <Field
            label={w.group(asked[0] + 1)}
            value={typed[0]}
            onInput={(text) => setTyped([text, typed[1]])}
            autocomplete="off"
            autocapitalize="none"
            spellcheck={false}
            autofocus
            mono
          />
          <Field
            label={w.group(asked[1] + 1)}
            value={typed[1]}
            onInput={(text) => setTyped([typed[0], text])}
            autocomplete="off"
            autocapitalize="none"
            spellcheck={false}
            mono
          />
        </div>
        <Problem text={wrong ? w.wrong : action.problem} />
        <div class="entry-submit">
          <Button type="submit" kind="primary" busy={action.busy}>
            {w.confirm}
          </Button>
          <Button kind="quiet" onClick={onBack}>
            {w.showAgain}
          </Button>
        </div>
      </form>
    </Frame>
  );
}
