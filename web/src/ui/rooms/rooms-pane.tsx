import type { RefObject } from "preact";
import { useEffect, useRef } from "preact/hooks";

import { words } from "../../i18n/words";
import type { Hit, RoomLine } from "../../messenger";
import { useMessenger } from "../messenger";
import { usePaced } from "../paced";
import { Button, IconButton } from "../parts/button";
import { Icon, Mark } from "../parts/icon";
import { List } from "../parts/list";
import { Empty } from "../parts/page";
import { go, route } from "../route";
import { HitItem } from "./hit-item";
import { RoomItem } from "./room-item";
import { hits, isSearching, matchingRooms, query, search } from "./search";

/** The left-hand pane: all conversations, and what is searched in them. */
export function RoomsPane() {
  const w = words.value;
  const scroll = useRef<HTMLDivElement>(null);
  const heading = useRef<HTMLHeadingElement>(null);
  const alone = route.value.page === "rooms";
  useEffect(() => {
    // On a narrow screen whatever had the focus is gone with the page that was left.
    if (alone && document.activeElement === document.body) heading.current?.focus();
  }, [alone]);
  return (
    <nav class="rooms" aria-label={w.rooms.title}>
      <header class="bar rooms-bar">
        <Mark />
        <h1 ref={heading} class="bar-title" tabIndex={-1}>
          {w.app.name}
        </h1>
        <IconButton icon="compose" label={w.rooms.newConversation} onClick={() => go({ page: "new" })} />
        <ContactsButton />
        <IconButton icon="settings" label={w.rooms.settings} onClick={() => go({ page: "settings", section: null })} />
      </header>
      <SearchBox />
      <div class="rooms-scroll" ref={scroll}>
        {isSearching.value ? <Found /> : <AllRooms scrollRef={scroll} />}
      </div>
    </nav>
  );
}

function ContactsButton() {
  const w = words.value.rooms;
  const incoming = useMessenger().relations.value.filter((one) => one.state === "incoming" && !one.blocked).length;
  return (
    <IconButton
      icon="people"
      label={incoming > 0 ? `${w.contacts}, ${w.requests(incoming)}` : w.contacts}
      badge={incoming}
      onClick={() => go({ page: "contacts" })}
    />
  );
}

function SearchBox() {
  const messenger = useMessenger();
  const w = words.value.rooms;
  return (
    <search class="search">
      <Icon name="search" />
      <input
        id="search"
        type="search"
        class="search-input"
        placeholder={w.search}
        aria-label={w.searchLabel}
        autocomplete="off"
        spellcheck={false}
        dir="auto"
        value={query.value}
        onInput={(event) => search(messenger, event.currentTarget.value)}
        onKeyDown={(event) => {
          if (event.key === "Escape" && query.value !== "") {
            event.stopPropagation();
            search(messenger, "");
          }
        }}
      />
      {isSearching.value && <IconButton icon="close" label={w.clearSearch} onClick={() => search(messenger, "")} />}
    </search>
  );
}

type ScrollRef = { readonly scrollRef: RefObject<HTMLElement | null> };

function AllRooms({ scrollRef }: ScrollRef) {
  const w = words.value.rooms;
  const rooms = usePaced(useMessenger().rooms);
  if (rooms.length === 0) {
    return (
      <Empty title={w.empty} hint={w.emptyHint}>
        <Button kind="primary" icon="compose" onClick={() => go({ page: "new" })}>
          {w.newConversation}
        </Button>
      </Empty>
    );
  }
  return <RoomList label={w.conversations} rooms={rooms} scrollRef={scrollRef} />;
}

function RoomList({ label, rooms, scrollRef }: Partial<ScrollRef> & { label: string; rooms: readonly RoomLine[] }) {
  const open = route.value.page === "room" ? route.value.id : null;
  return (
    <List
      label={label}
      items={rooms}
      keyOf={(room) => room.id}
      render={(room, tabIndex) => <RoomItem room={room} open={room.id === open} tabIndex={tabIndex} />}
      {...(scrollRef === undefined ? {} : { scrollRef })}
    />
  );
}

function Found() {
  const w = words.value.rooms;
  const rooms = matchingRooms(usePaced(useMessenger().rooms), query.value);
  const found = hits.value;
  if (rooms.length === 0 && found?.length === 0) return <Empty title={w.noMatch(query.value.trim())} />;
  return (
    <>
      {rooms.length > 0 && (
        <>
          <h2 class="list-title">{w.conversations}</h2>
          <RoomList label={w.conversations} rooms={rooms.slice(0, 8)} />
        </>
      )}
      {found !== null && found.length > 0 && (
        <>
          <h2 class="list-title">{w.messages}</h2>
          <List<Hit>
            label={w.messages}
            items={found}
            keyOf={(hit) => `${hit.room}/${hit.seq}`}
            render={(hit, tabIndex) => <HitItem hit={hit} query={query.value} tabIndex={tabIndex} />}
          />
        </>
      )}
    </>
  );
}
