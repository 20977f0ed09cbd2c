/** What the screens' tests stand on: a scripted messenger in which alice has a room with bob, new for each test. */

import { cleanup, fireEvent, render, screen } from "@testing-library/preact";
import type { JSX } from "preact";
import { afterEach, beforeEach } from "vitest";

import { speak } from "../../src/i18n/words";
import type { RoomId } from "../../src/protocol/ids";
import { closeDialog } from "../../src/ui/dialogs";
import { MessengerContext } from "../../src/ui/messenger";
import { FakeMessenger } from "./fake";

export let messenger: FakeMessenger;
export let bob: RoomId;

beforeEach(() => {
  messenger = new FakeMessenger();
  bob = messenger.addRoom({ members: [messenger.member("alice"), messenger.member("bob")] });
});

afterEach(async () => {
  cleanup();
  closeDialog();
  await speak("en");
  location.hash = "";
});

export function show(element: JSX.Element) {
  return render(<MessengerContext.Provider value={messenger}>{element}</MessengerContext.Provider>);
}

export function type(label: string | RegExp, text: string): HTMLInputElement {
  const field = screen.getByLabelText<HTMLInputElement>(label, { selector: "input, textarea" });
  fireEvent.input(field, { target: { value: text } });
  return field;
}

export const press = (name: string | RegExp): void => {
  fireEvent.click(screen.getByRole("button", { name, hidden: true }));
};
export const asked = (name: string): unknown[] | undefined => messenger.asked.findLast((call) => call[0] === name);
