import { useEffect, useState } from "preact/hooks";

import { words } from "../../i18n/words";
import type { Safety } from "../../messenger";
import type { UserId } from "../../protocol/ids";
import { useAction } from "../actions";
import { toast } from "../announce";
import { useMessenger } from "../messenger";
import { Button } from "../parts/button";
import { Dialog, DialogButtons } from "../parts/dialog";
import { Field } from "../parts/field";
import { Icon } from "../parts/icon";
import { lazily } from "../parts/lazily";
import { Problem } from "../parts/problem";
import { type CameraProblem, type Eyes, eyesOfBrowser } from "./camera";
import { digitGroups } from "./digits";
import { Qr } from "./qr";

const Scanner = lazily(async () => (await import("./scanner")).Scanner);

/** The number and the code by which two people find out that nobody sits between them. */
export function SafetyDialog({
  user,
  username,
  onClose,
  eyes = eyesOfBrowser,
}: {
  user: UserId;
  username: string;
  onClose: () => void;
  eyes?: Eyes;
}) {
  const messenger = useMessenger();
  const w = words.value.safety;
  const [safety, setSafety] = useState<Safety | null>(null);
  const reading = useAction();
  const marking = useAction();
  const read = (): Promise<boolean> => reading.run(async () => setSafety(await messenger.safety(user)));
  useEffect(() => void read(), [messenger, user]);

  const mark = (on: boolean): Promise<boolean> =>
    marking.run(async () => {
      await messenger.verify(user, on);
      await read();
    });

  return (
    <Dialog title={w.title(username)} onClose={onClose}>
      {safety === null ? (
        <div class="lazy">
          {reading.problem === null ? (
            <span class="spinner" role="status" aria-label={words.value.common.loading} />
          ) : (
            <>
              <Problem text={`${w.unavailable} ${reading.problem}`} />
              <Button onClick={() => void read()}>{words.value.common.tryAgain}</Button>
            </>
          )}
        </div>
      ) : (
        <>
          <p class={`safety-state ${safety.verified ? "verified" : ""}`}>
            <Icon name={safety.verified ? "shield" : "lock"} class="icon-small" />
            {safety.verified ? w.verified : w.notVerified}
          </p>
          <p class="dialog-text">{w.hint(username)}</p>
          <ol class="digits" aria-label={w.number}>
            {digitGroups(safety.number).map((group, index) => (
              <li key={index}>{group}</li>
            ))}
          </ol>
          <Qr text={safety.qr} label={w.qr} />
          <TheirCode user={user} username={username} eyes={eyes} onMatched={() => void read()} />
          <Problem text={marking.problem} />
          <DialogButtons>
            {safety.verified ? (
              <Button busy={marking.busy} onClick={() => void mark(false)}>
                {w.unmark}
              </Button>
            ) : (
              <Button kind="primary" icon="shield" busy={marking.busy} onClick={() => void mark(true)}>
                {w.markVerified}
              </Button>
            )}
          </DialogButtons>
        </>
      )}
    </Dialog>
  );
}

/** The other one's code: held before the camera, or its text by hand. */
function TheirCode({
  user,
  username,
  eyes,
  onMatched,
}: {
  user: UserId;
  username: string;
  eyes: Eyes;
  onMatched: () => void;
}) {
  const messenger = useMessenger();
  const w = words.value.safety;
  const [text, setText] = useState("");
  const [scanning, setScanning] = useState(false);
  const [noPicture, setNoPicture] = useState<CameraProblem | null>(null);
  const action = useAction();

  const check = (code: string): Promise<boolean> =>
    action.run(async () => {
      await messenger.scanned(code, user);
      toast(w.matched(username));
      setText("");
      onMatched();
    });
  const scan = (on: boolean): void => {
    setScanning(on);
    setNoPicture(null);
    action.forget();
  };

  return (
    <>
      <Button icon="camera" aria-expanded={scanning} onClick={() => scan(!scanning)}>
        {scanning ? w.stopScanning : w.scan}
      </Button>
      {scanning && (
        <Scanner
          eyes={eyes}
          onRead={(code) => {
            scan(false);
            void check(code);
          }}
          onHidden={() => scan(false)}
          onProblem={(why) => {
            scan(false);
            setNoPicture(why);
          }}
        />
      )}
      <Problem text={noPicture === null ? action.problem : w.noPicture[noPicture]} />
      <form
        class="field-line"
        onSubmit={(event) => {
          event.preventDefault();
          scan(false);
          if (text.trim() !== "") void check(text.trim());
        }}
      >
        <Field label={w.paste} value={text} onInput={setText} autocomplete="off" spellcheck={false} mono />
        <Button type="submit" busy={action.busy}>
          {w.check}
        </Button>
      </form>
    </>
  );
}
