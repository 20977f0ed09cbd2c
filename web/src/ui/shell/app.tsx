import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";

import { words } from "../../i18n/words";
import type { Messenger } from "../../messenger";
import { Announcer, Toasts } from "../announce";
import { startClock } from "../clock";
import { Conversation } from "../conversation/conversation";
import { Recovery } from "../entry/recovery";
import { Restoring } from "../entry/restoring";
import { SignIn } from "../entry/sign-in";
import { SignUp } from "../entry/sign-up";
import { Stopped } from "../entry/stopped";
import { MessengerContext, useMessenger } from "../messenger";
import { Mark } from "../parts/icon";
import { lazily } from "../parts/lazily";
import { Contacts } from "../people/contacts";
import { NewConversation } from "../people/new-conversation";
import { Questions } from "../people/questions";
import { RoomDetails } from "../room/room-details";
import { RoomsPane } from "../rooms/rooms-pane";
import { followAddress, type Route, route } from "../route";
import { Boundary } from "./boundary";
import { Dialogs } from "./dialogs";
import { listenForKeys } from "./keys";
import { Notices } from "./notices";
import { ConnectionStrip, isFull } from "./strip";
import { keepTitle } from "./title";

const Settings = lazily(async () => (await import("../settings/settings")).Settings);

/** Whether the user has gone on while the history of this device is still being restored. */
const goesOn = signal(false);

/** The messenger's page: who is signed in decides what it is. */
export function App({ messenger }: { messenger: Messenger }) {
  useEffect(() => {
    const ends = [followAddress(), startClock(), keepTitle(messenger)];
    return () => {
      for (const end of ends) end();
    };
  }, [messenger]);
  return (
    <MessengerContext.Provider value={messenger}>
      <Boundary>
        <Screen />
      </Boundary>
      <Announcer />
      <Toasts />
    </MessengerContext.Provider>
  );
}

function Screen() {
  const messenger = useMessenger();
  const account = messenger.account.value;
  const connection = messenger.connection.value;
  const restoring = messenger.restoring.value;
  if (account === undefined) return <Opening />;
  if (account === null) return route.value.page === "sign-up" ? <SignUp /> : <SignIn />;
  if (connection.state === "stopped") return <Stopped reason={connection.reason} />;
  if (route.value.page === "recovery") return <Recovery />;
  if (restoring !== null && !goesOn.value) {
    return (
      <Restoring
        progress={restoring}
        isFull={isFull(connection)}
        onGoOn={() => {
          goesOn.value = true;
        }}
      />
    );
  }
  return <Panes />;
}

function Opening() {
  return (
    <main class="entry">
      <div class="opening" role="status">
        <Mark />
        <h1 class="visually-hidden">{words.value.app.loading}</h1>
      </div>
    </main>
  );
}

function Panes() {
  const messenger = useMessenger();
  useEffect(() => listenForKeys(messenger), [messenger]);
  const place = route.value;
  return (
    <div class={`shell ${place.page === "rooms" ? "shell-list" : "shell-place"}`}>
      <button type="button" class="skip" onClick={() => document.getElementById("place")?.focus()}>
        {words.value.app.skip}
      </button>
      <ConnectionStrip />
      <Notices />
      <main class="panes">
        <RoomsPane />
        <div class="place" id="place" tabIndex={-1}>
          <Place place={place} />
        </div>
      </main>
      <Dialogs />
      <Questions />
    </div>
  );
}

function Place({ place }: { place: Route }) {
  const w = words.value;
  switch (place.page) {
    case "room":
      return (
        <div class={`room ${place.details ? "room-with-details" : ""}`}>
          <Conversation key={place.id} id={place.id} at={place.at} />
          {place.details && <RoomDetails id={place.id} />}
        </div>
      );
    case "new":
      return <NewConversation />;
    case "contacts":
      return <Contacts />;
    case "settings":
      return <Settings section={place.section} />;
    default:
      return (
        <div class="nowhere">
          <Mark />
          <p class="empty-title">{w.rooms.pick}</p>
          <p class="hint">{w.rooms.pickHint}</p>
        </div>
      );
  }
}
