import { words } from "../../i18n/words";
import { useAction } from "../actions";
import { useMessenger } from "../messenger";
import { Section } from "../parts/page";
import { Problem } from "../parts/problem";
import { Choice, Switch } from "../parts/switch";

export function Privacy() {
  const messenger = useMessenger();
  const w = words.value.settings;
  const action = useAction();
  const settings = messenger.settings.value;
  const who = [
    ["anyone", w.anyone],
    ["contacts", w.contactsOnly],
  ] as const;
  return (
    <>
      <Section>
        <Switch
          label={w.readReceipts}
          hint={w.readReceiptsHint}
          on={messenger.account.value?.readReceipts ?? false}
          onChange={(on) => void action.run(() => messenger.setReadReceipts(on))}
        />
      </Section>
      <Problem text={action.problem} />
      {settings === null ? (
        <p class="hint">{w.needsConnection}</p>
      ) : (
        <Section>
          <Choice
            label={w.whoMayOpen}
            options={who}
            value={settings.whoMayOpen}
            onChange={(whoMayOpen) => void action.run(() => messenger.changeSettings({ whoMayOpen }))}
          />
          <Choice
            label={w.whoMayAdd}
            options={who}
            value={settings.whoMayAdd}
            onChange={(whoMayAdd) => void action.run(() => messenger.changeSettings({ whoMayAdd }))}
          />
          <Choice
            label={w.strangers}
            options={[
              ["mailbox", w.strangersDirect],
              ["requests", w.strangersRequests],
            ]}
            value={settings.strangers}
            onChange={(strangers) => void action.run(() => messenger.changeSettings({ strangers }))}
          />
        </Section>
      )}
    </>
  );
}
