import { useState } from "preact/hooks";

import { words } from "../../i18n/words";
import type { UserId } from "../../protocol/ids";
import { useAction } from "../actions";
import { useMessenger } from "../messenger";
import { Avatar } from "../parts/avatar";
import { Button } from "../parts/button";
import { Field } from "../parts/field";
import { Icon } from "../parts/icon";
import { Problem } from "../parts/problem";

export interface Person {
  readonly user: UserId;
  readonly username: string;
}

/** Chooses people: by exact name, or from one's contacts. `without` are those who cannot be chosen. */
export function PeoplePicker({
  chosen,
  onChange,
  without = [],
}: {
  chosen: readonly Person[];
  onChange: (chosen: readonly Person[]) => void;
  without?: readonly UserId[];
}) {
  const messenger = useMessenger();
  const w = words.value.people;
  const [name, setName] = useState("");
  const [problem, setProblem] = useState<string | null>(null);
  const action = useAction();

  const contacts = messenger.relations.value.filter(
    (one) => one.state === "contact" && !one.blocked && !one.blockedBy && !without.includes(one.user),
  );
  const has = (user: UserId): boolean => chosen.some((one) => one.user === user);
  const add = (one: Person): void => {
    if (!has(one.user)) onChange([...chosen, { user: one.user, username: one.username }]);
  };
  const remove = (user: UserId): void => onChange(chosen.filter((one) => one.user !== user));

  const find = async (event: Event): Promise<void> => {
    event.preventDefault();
    const wanted = name.trim();
    if (wanted === "") return;
    setProblem(null);
    await action.run(async () => {
      const found = await messenger.findUser(wanted);
      if (found === null) setProblem(w.notFound(wanted));
      else if (found.user === messenger.account.value?.user) setProblem(w.itsYou);
      else {
        add(found);
        setName("");
      }
    });
  };

  return (
    <>
      <form class="field-line" onSubmit={find}>
        <Field
          label={words.value.common.userName}
          hint={w.newHint}
          value={name}
          onInput={setName}
          autocomplete="off"
          autocapitalize="none"
          spellcheck={false}
          autofocus
        />
        <Button type="submit" icon="search" busy={action.busy}>
          {w.find}
        </Button>
      </form>
      <Problem text={problem ?? action.problem} />
      {chosen.length > 0 && (
        <ul class="chips" aria-label={w.chosen}>
          {chosen.map((one) => (
            <li key={one.user}>
              <button type="button" class="chip" onClick={() => remove(one.user)}>
                <Avatar name={one.username} />
                <span class="cut" dir="auto" aria-hidden="true">
                  {one.username}
                </span>
                <span class="visually-hidden">{w.removeChosen(one.username)}</span>
                <Icon name="close" class="icon-small" />
              </button>
            </li>
          ))}
        </ul>
      )}
      {contacts.length > 0 && (
        <fieldset class="people-pick">
          <legend>{w.yourContacts}</legend>
          {contacts.map((one) => (
            <label key={one.user} class="person">
              <Avatar name={one.username} />
              <span class="person-words cut" dir="auto">
                {one.username}
              </span>
              <input
                type="checkbox"
                checked={has(one.user)}
                onChange={(event) => (event.currentTarget.checked ? add(one) : remove(one.user))}
              />
            </label>
          ))}
        </fieldset>
      )}
    </>
  );
}
