import { useState } from "preact/hooks";

import { words } from "../../i18n/words";
import type { Relation } from "../../messenger";
import { useAction } from "../actions";
import { toast } from "../announce";
import { useMessenger } from "../messenger";
import { Button } from "../parts/button";
import { Field } from "../parts/field";
import { Empty, Page, Section } from "../parts/page";
import { Problem } from "../parts/problem";
import { offers, placeOf } from "./offers";
import { RelationLine } from "./relation-line";

/** Contacts, who asks to be one, whom one has asked, and who is blocked. */
export function Contacts() {
  const relations = useMessenger().relations.value;
  const w = words.value.people;
  const at = (place: ReturnType<typeof placeOf>): readonly Relation[] =>
    relations.filter((one) => placeOf(one) === place);
  const requests = at("requests");
  const contacts = at("contacts");
  const requested = at("requested");
  const blocked = at("blocked");
  return (
    <Page title={w.contactsTitle}>
      {requests.length > 0 && (
        <Section title={w.requestsTitle} hint={w.requestsHint}>
          <ul class="people">
            {requests.map((one) => (
              <Request key={one.user} relation={one} />
            ))}
          </ul>
        </Section>
      )}
      <Section>
        <AddContact />
      </Section>
      <Section title={`${w.contactsTitle} · ${contacts.length}`}>
        {contacts.length === 0 ? (
          <Empty title={w.noContacts} hint={w.noContactsHint} />
        ) : (
          <People relations={contacts} />
        )}
      </Section>
      {requested.length > 0 && (
        <Section title={w.requestedTitle}>
          <People relations={requested} />
        </Section>
      )}
      {blocked.length > 0 && (
        <Section title={w.blockedTitle}>
          <People relations={blocked} />
        </Section>
      )}
    </Page>
  );
}

function People({ relations }: { relations: readonly Relation[] }) {
  return (
    <ul class="people">
      {relations.map((one) => (
        <RelationLine key={one.user} relation={one} />
      ))}
    </ul>
  );
}

function Request({ relation }: { relation: Relation }) {
  const messenger = useMessenger();
  const w = words.value.people;
  const action = useAction();
  const press = (what: "accept" | "decline"): void =>
    void action.run(() => messenger.press(what, { user: relation.user }));
  return (
    <RelationLine relation={relation}>
      <Problem text={action.problem} />
      {relation.waiting === null && offers(relation).includes("accept") && (
        <span class="button-row">
          <Button kind="primary" onClick={() => press("accept")}>
            {w.accept}
          </Button>
          <Button onClick={() => press("decline")}>{w.decline}</Button>
        </span>
      )}
    </RelationLine>
  );
}

function AddContact() {
  const messenger = useMessenger();
  const w = words.value.people;
  const [name, setName] = useState("");
  const action = useAction();
  const ask = async (event: Event): Promise<void> => {
    event.preventDefault();
    const username = name.trim();
    if (username === "") return;
    if (await action.run(() => messenger.press("add", { username }))) {
      toast(w.asked(username));
      setName("");
    }
  };
  return (
    <form class="field-line" onSubmit={ask}>
      <Field
        label={w.addContactLabel}
        value={name}
        onInput={setName}
        autocomplete="off"
        autocapitalize="none"
        spellcheck={false}
      />
      <Button type="submit" busy={action.busy}>
        {w.addContact}
      </Button>
      <Problem text={action.problem} />
    </form>
  );
}
