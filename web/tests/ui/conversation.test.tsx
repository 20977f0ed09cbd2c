// @vitest-environment happy-dom
/** Messages and the box that they are written in, as alice has them before her. */

import { signal } from "@preact/signals";
import { cleanup, fireEvent, screen, waitFor } from "@testing-library/preact";
import { createRef } from "preact";
import { describe, expect, it } from "vitest";
import { Refusal, type Row, type Timeline } from "../../src/messenger";
import { Closed } from "../../src/ui/conversation/closed";
import { Composer } from "../../src/ui/conversation/composer";
import { MessageDialog } from "../../src/ui/conversation/message-dialog";
import { MessageList } from "../../src/ui/conversation/message-list";
import { MessageRow } from "../../src/ui/conversation/message-row";
import { dialog } from "../../src/ui/dialogs";
import type { MessageRow as Message } from "./fake";
import { asked, bob, messenger, press, show, type } from "./stage";

function row(more: Partial<Message> = {}, group = false): void {
  const message = messenger.say(bob, "alice", "Meet me at nine", more);
  show(<MessageRow row={message} first last group={group} tabIndex={0} flash={false} />);
}

describe("a message", () => {
  it.each([
    ["waiting", "Waiting to be sent"],
    ["sent", "Sent"],
    ["delivered", "Delivered"],
    ["read", "Read"],
    ["failed", "Not delivered"],
  ] as const)("says how far it has come, also to those who listen: %s", (ticks, word) => {
    row({ ticks });
    expect(screen.getByRole("img", { name: word })).toBeTruthy();
  });

  it("says in a group how many have it", () => {
    row({ ticks: "sent", reached: { delivered: 2, read: 1, of: 4 } }, true);
    expect(screen.getByText("2/4")).toBeTruthy();
    expect(screen.getByText("1 of 4 have read it, 2 of 4 have it")).toBeTruthy();
  });

  it("that could not be verified is shown as such, never as text", () => {
    row({ text: null, problem: "not_verified" });
    expect(screen.getByText(/could not be verified/i)).toBeTruthy();
    expect(screen.queryByText("Meet me at nine")).toBe(null);
  });

  it("that was refused as late is sent again under a press", async () => {
    row({ refused: { reason: "late", code: null, canSendAgain: true }, ticks: "failed" });
    expect(screen.getByText(/came too late/i)).toBeTruthy();
    // It stands in the mailbox, as it does for the others: there is nothing to discard.
    expect(screen.queryByRole("button", { name: "Discard" })).toBe(null);
    press("Send again");
    await waitFor(() => expect(asked("sendAgain")).toBeTruthy());
  });

  it("that failed says why, and can be discarded but not sent again where that is of no use", async () => {
    row({ seq: null, refused: { reason: "failed", code: "too_large", canSendAgain: false }, ticks: "failed" });
    expect(screen.getByText(/That is too large/)).toBeTruthy();
    expect(screen.queryByRole("button", { name: "Send again" })).toBe(null);
    press("Discard");
    await waitFor(() => expect(asked("discard")).toBeTruthy());
  });

  it("of somebody else's that came late offers nothing", () => {
    const late = messenger.say(bob, "bob", "late", { refused: { reason: "late", code: null, canSendAgain: false } });
    show(<MessageRow row={late} first last group={false} tabIndex={0} flash={false} />);
    expect(screen.getByText(/the sender was told/)).toBeTruthy();
    expect(screen.queryByRole("button", { name: "Discard" })).toBe(null);
  });

  it("that is long is folded, and stays unfolded when it comes back to the page", () => {
    const long = messenger.say(bob, "bob", `${"A line of a long message.\n".repeat(60)}The end.`);
    const element = () => <MessageRow row={long} first last group={false} tabIndex={0} flash={false} />;
    const page = show(element());
    expect(screen.queryByText(/The end/)).toBe(null);
    press("Show more");
    expect(screen.getByText(/The end/)).toBeTruthy();
    page.unmount();
    show(element());
    expect(screen.getByText(/The end/)).toBeTruthy();
    press("Show less");
  });

  it("links only to the web, and tells the other page nothing", () => {
    const links = messenger.say(bob, "bob", "https://example.org and javascript:alert(1) <img src=x onerror=alert(1)>");
    const page = show(<MessageRow row={links} first last group={false} tabIndex={0} flash={false} />);
    const link = screen.getByRole("link");
    expect(link.getAttribute("href")).toBe("https://example.org/");
    expect(link.getAttribute("rel")).toBe("noopener noreferrer");
    expect(link.getAttribute("target")).toBe("_blank");
    expect(page.container.querySelector("img")).toBe(null);
    expect(page.container.textContent).toContain("<img src=x onerror=alert(1)>");
  });

  it("opens its details with Enter", () => {
    row({ ticks: "read" });
    fireEvent.keyDown(screen.getByRole("article"), { key: "Enter" });
    expect(dialog.value?.kind).toBe("message");
  });

  it("can be discarded in its details where that does something", () => {
    const refused = { reason: "late", code: null, canSendAgain: true } as const;
    const details = (more: Partial<Message>) =>
      show(
        <MessageDialog row={messenger.say(bob, "alice", "hello", { refused, ...more })} onClose={() => undefined} />,
      );
    const stored = details({});
    expect(screen.queryByRole("button", { name: "Discard" })).toBe(null);
    stored.unmount();
    details({ seq: null });
    expect(screen.getByRole("button", { name: "Discard" })).toBeTruthy();
  });

  it("tells its details", () => {
    const message = messenger.say(bob, "alice", "hello", { reached: { delivered: 3, read: 2, of: 4 }, ticks: "sent" });
    show(<MessageDialog row={message} onClose={() => undefined} />);
    expect(screen.getByText("3 of 4 others")).toBeTruthy();
    expect(screen.getByText("2 of 4 others")).toBeTruthy();
    expect(screen.getByText(message.id)).toBeTruthy();
  });
});

describe("the list", () => {
  it("of a conversation of which nothing is here yet asks for it, page by page until there is something", async () => {
    const rows = signal<readonly Row[]>([]);
    const hasOlder = signal(true);
    let pages = 0;
    const nothing = async (): Promise<void> => undefined;
    const timeline: Timeline = {
      rows,
      hasOlder,
      hasNewer: signal(false),
      unreadFrom: null,
      older: async () => {
        pages += 1;
        if (pages < 3) return;
        rows.value = [messenger.say(bob, "bob", "from before")];
        hasOlder.value = false;
      },
      newer: nothing,
      around: nothing,
      newest: nothing,
      close: () => undefined,
    };
    const detail = messenger.room(bob).value;
    if (detail !== null) show(<MessageList room={detail} timeline={timeline} at={null} handle={createRef()} />);
    await waitFor(() => expect(hasOlder.value).toBe(false));
    expect(pages).toBe(3);
  });
});

describe("the box", () => {
  const box = (): HTMLTextAreaElement => screen.getByLabelText("Message");
  const open = (): void => {
    show(<Composer messenger={messenger} room={bob} onSent={() => undefined} />);
  };

  it("sends with Enter and is empty at once", async () => {
    open();
    type("Message", " hello ");
    fireEvent.keyDown(box(), { key: "Enter" });
    expect(box().value).toBe("");
    await waitFor(() => expect(asked("send")).toEqual(["send", bob, "hello"]));
  });

  it("makes a new line with Shift and Enter, and leaves Enter to the input method", () => {
    open();
    type("Message", "안녕");
    fireEvent.keyDown(box(), { key: "Enter", shiftKey: true });
    fireEvent.keyDown(box(), { key: "Enter", isComposing: true });
    fireEvent.keyDown(box(), { key: "Enter", keyCode: 229 });
    expect(asked("send")).toBe(undefined);
    expect(box().value).toBe("안녕");
  });

  it("sends nothing that is empty", () => {
    open();
    type("Message", " \n ");
    fireEvent.keyDown(box(), { key: "Enter" });
    expect(asked("send")).toBe(undefined);
  });

  it("gives the text back when it is refused, and says why", async () => {
    messenger.refusals.set("send", new Refusal("blocked"));
    open();
    type("Message", "hello");
    fireEvent.keyDown(box(), { key: "Enter" });
    await screen.findByText("One of you blocks the other.");
    expect(box().value).toBe("hello");
  });

  it("keeps the draft when one leaves, and has it when one comes back", async () => {
    open();
    type("Message", "half a sentence");
    cleanup();
    expect(await messenger.draft(bob)).toBe("half a sentence");
    open();
    await waitFor(() => expect(box().value).toBe("half a sentence"));
  });

  it("says that one is typing, not with every letter", () => {
    open();
    type("Message", "h");
    type("Message", "he");
    expect(messenger.asked.filter((call) => call[0] === "typing")).toHaveLength(1);
  });

  it("is not there where nothing can be written", () => {
    messenger.change(bob, { closed: "blocked-by-peer" });
    const detail = messenger.room(bob).value;
    if (detail !== null) show(<Closed room={detail} />);
    expect(screen.getByText(/bob blocks you/)).toBeTruthy();
    expect(screen.queryByRole("button")).toBe(null);
  });

  it("leads to the number that has to be compared before one writes", () => {
    messenger.change(bob, {
      closed: "unverified",
      members: [messenger.member("alice"), messenger.member("bob", "member", { held: true })],
    });
    const detail = messenger.room(bob).value;
    if (detail !== null) show(<Closed room={detail} />);
    press("Compare");
    expect(dialog.value).toMatchObject({ kind: "safety", username: "bob" });
  });

  it("leads, in a group, to everybody's number that has to be compared, whatever notices were put away", () => {
    const group = messenger.addRoom({
      closed: "unverified",
      members: [
        messenger.member("alice", "owner"),
        messenger.member("bob", "member", { held: true }),
        messenger.member("carol", "member", { verified: true }),
        messenger.member("dana", "member", { held: true }),
      ],
    });
    const detail = messenger.room(group).value;
    if (detail !== null) show(<Closed room={detail} />);
    expect(screen.getAllByRole("button").map((button) => button.textContent)).toEqual([
      "Compare with bob",
      "Compare with dana",
    ]);
    press("Compare with dana");
    expect(dialog.value).toMatchObject({ kind: "safety", user: messenger.user("dana"), username: "dana" });
  });
});
