import { signal } from "@preact/signals";

import type { Catalog } from "../../i18n/catalog";
import { when, words } from "../../i18n/words";
import type { Question, Relation } from "../../messenger";
import { now } from "../clock";
import { useMessenger } from "../messenger";
import { Button } from "../parts/button";
import { Dialog, DialogButtons } from "../parts/dialog";

/** Questions that were put off in this page: they wait in a line above, and open again from there. */
const putOff = signal<ReadonlySet<string>>(new Set());

export function waitingQuestions(questions: readonly Question[]): readonly Question[] {
  return questions.filter((question) => putOff.value.has(question.id));
}

export function lookAgain(): void {
  putOff.value = new Set();
}

/** What the connection service asks back, one question after the other. */
export function Questions() {
  const messenger = useMessenger();
  const question = messenger.questions.value.find((one) => !putOff.value.has(one.id));
  if (question === undefined) return null;
  const later = (): void => {
    putOff.value = new Set([...putOff.value, question.id]);
  };
  return question.kind === "conflict" ? (
    <Conflict key={question.id} question={question} onLater={later} />
  ) : (
    <Lag key={question.id} question={question} onLater={later} />
  );
}

/** What there is with somebody, in a few words. */
export function relationInWords(relation: Relation, w: Catalog["questions"]): string {
  const blocks = [...(relation.blocked ? [w.blocked] : []), ...(relation.blockedBy ? [w.blockedBy] : [])];
  const state = relation.state === "none" && blocks.length > 0 ? [] : [w.states[relation.state]];
  return [...state, ...blocks].join(" · ");
}

/** A sentence's beginning, unless that is somebody's name: in some languages it comes first, and stays as it is. */
export function capital(text: string, name: string): string {
  return text.startsWith(name) ? text : text.charAt(0).toLocaleUpperCase() + text.slice(1);
}

type Asked<Kind extends Question["kind"]> = { question: Extract<Question, { kind: Kind }>; onLater: () => void };

function Conflict({ question, onLater }: Asked<"conflict">) {
  const messenger = useMessenger();
  const w = words.value.questions;
  return (
    <Dialog title={w.conflictTitle} onClose={onLater}>
      <p class="dialog-text">{w.conflict(question.username, question.changedByDevice)}</p>
      <dl class="sides">
        <div class="side">
          <dt>{w.yours}</dt>
          <dd dir="auto">{capital(w.actions[question.action](question.username), question.username)}</dd>
        </div>
        <div class="side">
          <dt>{w.now}</dt>
          <dd dir="auto">{relationInWords(question.now, w)}</dd>
          {question.changedAt !== null && (
            <dd class="hint">{w.changedAt(when.value.ago(question.changedAt, now.value))}</dd>
          )}
        </div>
      </dl>
      <DialogButtons>
        <Button onClick={() => messenger.answer(question.id, "drop")}>{w.drop}</Button>
        <Button kind="primary" onClick={() => messenger.answer(question.id, "confirm")}>
          {w.confirm}
        </Button>
      </DialogButtons>
    </Dialog>
  );
}

function Lag({ question, onLater }: Asked<"lag">) {
  const messenger = useMessenger();
  const w = words.value;
  return (
    <Dialog title={w.questions.lagTitle} onClose={onLater}>
      <p class="dialog-text">{w.questions.lag(question.username)}</p>
      <ul class="lagging">
        {question.devices.map((device) => (
          <li key={device.name}>
            <span dir="auto">{device.name}</span>
            <span class="hint">
              {device.lastSeenAt === null
                ? w.settings.neverSeen
                : w.settings.lastSeen(when.value.ago(device.lastSeenAt, now.value))}
            </span>
          </li>
        ))}
      </ul>
      <DialogButtons>
        <Button onClick={() => messenger.answer(question.id, "drop")}>{w.questions.dropUnblock}</Button>
        <Button kind="primary" onClick={() => messenger.answer(question.id, "wait")}>
          {w.questions.wait}
        </Button>
      </DialogButtons>
    </Dialog>
  );
}
