import type { ComponentChildren } from "preact";

import { when, words } from "../../i18n/words";
import { useAction } from "../actions";
import { toast } from "../announce";
import type { Message } from "../dialogs";
import { useMessenger } from "../messenger";
import { Button } from "../parts/button";
import { copyText } from "../parts/copy";
import { Dialog, DialogButtons } from "../parts/dialog";
import { Problem } from "../parts/problem";
import { Ticks } from "../parts/ticks";
import { codeInWords } from "../refusals";
import { nameOf } from "../titles";
import { refusalOf } from "./message-row";

/** Everything that is known of a message, and what can be done with it. */
export function MessageDialog({ row, onClose }: { row: Message; onClose: () => void }) {
  const messenger = useMessenger();
  const w = words.value;
  const action = useAction();
  const { reached, refused } = row;
  const { text } = row;
  const doAndClose = async (what: () => Promise<unknown>, said?: string): Promise<void> => {
    if (!(await action.run(what))) return;
    if (said !== undefined) toast(said);
    onClose();
  };
  return (
    <Dialog title={w.message.title} onClose={onClose}>
      {text !== null && (
        <blockquote class="message-quote" dir="auto">
          {text.length > 600 ? `${text.slice(0, 600)}…` : text}
        </blockquote>
      )}
      {text === null && <p class="message-quote">{w.conversation.problem[row.problem ?? "not_verified"]}</p>}
      <dl class="facts">
        <Fact name={w.message.by}>
          <span dir="auto">{nameOf(row.by, messenger.account.value)}</span>
        </Fact>
        <Fact name={row.seq === null ? w.message.waitingSince : w.message.accepted}>{when.value.full(row.at)}</Fact>
        {row.ticks !== null && (
          <Fact name={w.message.state}>
            <Ticks state={row.ticks} /> {w.conversation.ticks[row.ticks]}
          </Fact>
        )}
        {reached !== null && (
          <>
            <Fact name={w.message.delivered}>{w.message.ofOthers(reached.delivered, reached.of)}</Fact>
            <Fact name={w.message.read}>{w.message.ofOthers(reached.read, reached.of)}</Fact>
          </>
        )}
        {refused !== null && (
          <Fact name={w.message.why}>
            {refusalOf(row, w.conversation.refused)}
            {refused.code !== null && `: ${codeInWords(refused.code)}`}
          </Fact>
        )}
        {row.seq !== null && <Fact name={w.message.number}>{row.seq}</Fact>}
        <Fact name={w.message.identifier}>
          <code>{row.id}</code>
        </Fact>
      </dl>
      <Problem text={action.problem} />
      <DialogButtons>
        {row.mine && row.seq === null && refused !== null && (
          <Button kind="danger" onClick={() => void doAndClose(() => messenger.discard(row.id))}>
            {w.conversation.discard}
          </Button>
        )}
        {refused?.canSendAgain && (
          <Button
            kind="primary"
            onClick={() => void doAndClose(() => messenger.sendAgain(row.id), w.conversation.sentAgain)}
          >
            {w.conversation.sendAgain}
          </Button>
        )}
        {text !== null && <Button onClick={() => void copyText(text).then(onClose)}>{w.message.copyText}</Button>}
      </DialogButtons>
    </Dialog>
  );
}

function Fact({ name, children }: { name: string; children: ComponentChildren }) {
  return (
    <div class="fact">
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}
