import { useEffect, useState } from "preact/hooks";

import { words } from "../../i18n/words";
import type { Connection } from "../../messenger";
import { shareOf } from "../entry/restoring";
import { useMessenger } from "../messenger";
import { Icon } from "../parts/icon";

/** States that pass by in a moment are not shown. */
const PATIENCE = 800;

function useSettled(connection: Connection): Connection | null {
  const [shown, setShown] = useState<Connection | null>(null);
  const { state } = connection;
  useEffect(() => {
    if (state === "live") {
      setShown(null);
      return;
    }
    const timer = setTimeout(() => setShown(connection), shown === null ? PATIENCE : 0);
    return () => clearTimeout(timer);
  }, [connection]);
  return state === "live" ? null : shown;
}

/** What comes cannot be kept: the browser has no space left. */
export function isFull(connection: Connection): boolean {
  return connection.state === "offline" && connection.reason === "storage_full";
}

/** How this device stands to the server, as long as that is not “connected”; and how far the history has come. */
export function ConnectionStrip() {
  const messenger = useMessenger();
  const connection = useSettled(messenger.connection.value);
  const restoring = messenger.restoring.value;
  const w = words.value;
  if (connection === null || connection.state === "live" || connection.state === "stopped") {
    if (restoring === null) return <div role="status" class="visually-hidden" />;
    return (
      <div class="strip" role="status">
        <span class="spinner" aria-hidden="true" />
        <span>{w.restoring.title}</span>
        <progress class="progress" max={1} value={shareOf(restoring)} aria-label={w.restoring.title} />
      </div>
    );
  }
  return (
    <div class={`strip strip-${connection.state}`}>
      {connection.state === "offline" ? (
        <>
          <Icon name="alert" class="icon-small" />
          {isFull(connection) ? (
            <span role="status">{w.connection.full}</span>
          ) : (
            <Offline retryAt={connection.retryAt} />
          )}
          <button type="button" class="text-button" onClick={() => messenger.hurry()}>
            {w.connection.tryNow}
          </button>
        </>
      ) : (
        <>
          <span class="spinner" aria-hidden="true" />
          <span role="status">
            {connection.state === "connecting"
              ? w.connection.connecting
              : connection.of > 0
                ? w.connection.catchingUpCount(connection.done, connection.of)
                : w.connection.catchingUp}
          </span>
        </>
      )}
    </div>
  );
}

/** The countdown is for the eye; aloud it is said once that there is no connection. */
function Offline({ retryAt }: { retryAt: number | null }) {
  const w = words.value.connection;
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    setNow(Date.now());
    if (retryAt === null) return;
    const timer = setInterval(() => setNow(Date.now()), 500);
    return () => clearInterval(timer);
  }, [retryAt]);
  const seconds = retryAt === null ? 0 : Math.ceil((retryAt - now) / 1_000);
  return (
    <>
      <span aria-hidden="true">{seconds > 0 ? w.offlineRetry(seconds) : w.offline}</span>
      <span class="visually-hidden" role="status">
        {w.offline}
      </span>
    </>
  );
}
