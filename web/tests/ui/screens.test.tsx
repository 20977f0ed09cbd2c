// @vitest-environment happy-dom
/** The rules that live in components, on the scripted messenger: alice uses it, bob and mallory are the others. */

import { fireEvent, screen, waitFor, within } from "@testing-library/preact";
import { describe, expect, it } from "vitest";
import { Refusal } from "../../src/messenger";
import type { DeviceId, UserId } from "../../src/protocol/ids";
import { Recovery } from "../../src/ui/entry/recovery";
import { Restoring } from "../../src/ui/entry/restoring";
import { SignIn } from "../../src/ui/entry/sign-in";
import { SignUp } from "../../src/ui/entry/sign-up";
import { Stopped } from "../../src/ui/entry/stopped";
import { BlockDialog } from "../../src/ui/people/block-dialog";
import { Contacts } from "../../src/ui/people/contacts";
import { NewConversation } from "../../src/ui/people/new-conversation";
import { Questions, waitingQuestions } from "../../src/ui/people/questions";
import { Members } from "../../src/ui/room/members";
import { RoomItem } from "../../src/ui/rooms/room-item";
import { route } from "../../src/ui/route";
import { SafetyDialog } from "../../src/ui/safety/safety-dialog";
import { AccountPage } from "../../src/ui/settings/account";
import { Devices } from "../../src/ui/settings/devices";
import { Notices } from "../../src/ui/shell/notices";
import { ConnectionStrip } from "../../src/ui/shell/strip";
import { titleOf } from "../../src/ui/shell/title";
import { ALICE, id, KEY } from "./fake";
import { asked, bob, messenger, press, show, type } from "./stage";

describe("signing up and in", () => {
  it("makes an account, and goes on to the recovery key", async () => {
    messenger.account.value = null;
    show(<SignUp />);
    type("User name", " alice ");
    type("Password", "correct horse battery");
    type("Name of this device", "Desk");
    press("Create account");
    await waitFor(() => expect(asked("signUp")).toEqual(["signUp", "alice", "correct horse battery", "Desk"]));
    await waitFor(() => expect(route.value).toEqual({ page: "recovery" }));
  });

  it("says why not", async () => {
    messenger.refusals.set("signUp", new Refusal("username_taken"));
    show(<SignUp />);
    type("User name", "alice");
    type("Password", "correct horse battery");
    press("Create account");
    await screen.findByText("Somebody has this name. Choose another.");
  });

  it("asks for two groups of the recovery key before it counts as kept", async () => {
    messenger.recoveryKey.value = KEY;
    show(<Recovery />);
    expect(within(screen.getByRole("list", { name: /groups/ })).getAllByRole("listitem")).toHaveLength(12);
    press("I have kept it");
    const fields = screen.getAllByRole<HTMLInputElement>("textbox");
    expect(fields).toHaveLength(2);
    const groups = KEY.split(" ");
    const numbers = screen.getAllByText(/^Group \d+$/).map((label) => Number(label.textContent?.slice(6)));
    fields.forEach((field) => {
      fireEvent.input(field, { target: { value: "nope" } });
    });
    press("Confirm");
    await screen.findByText(/That is not what stands there/);
    expect(asked("confirmRecoveryKey")).toBe(undefined);
    fields.forEach((field, index) => {
      fireEvent.input(field, { target: { value: groups[(numbers[index] ?? 0) - 1] } });
    });
    press("Confirm");
    await waitFor(() => expect(asked("confirmRecoveryKey")).toBeTruthy());
  });

  it("takes the recovery key in place of the password", async () => {
    messenger.account.value = null;
    show(<SignIn />);
    type("User name", "alice");
    press("Use the recovery key instead");
    type("Recovery key", KEY);
    type("Name of this device", "Desk");
    press("Sign in");
    await waitFor(() => expect(asked("signIn")).toEqual(["signIn", "alice", { recoveryKey: KEY }, "Desk"]));
  });

  it("speaks Korean as soon as it is chosen", async () => {
    messenger.account.value = null;
    show(<SignIn />);
    press("한국어");
    await screen.findByRole("heading", { name: "로그인" });
    expect(document.documentElement.lang).toBe("ko");
  });

  it("offers to sign in again, with the same account", async () => {
    show(<Stopped reason="signed_out" />);
    press("Sign in again");
    expect(((await screen.findByLabelText("User name")) as HTMLInputElement).value).toBe("alice");
    expect(screen.queryByText("New here? Create an account")).toBe(null);
  });

  it("offers to forget everything once the device is signed out", async () => {
    show(<Stopped reason="signed_out" />);
    press("Remove everything from this browser");
    await waitFor(() => expect(asked("signOut")).toBeTruthy());
  });
});

describe("the list of rooms", () => {
  it("says what is unread, and whose message is the newest", () => {
    messenger.say(bob, "bob", "first line\nsecond line");
    const line = messenger.rooms.value[0];
    if (line === undefined) throw new Error("no room");
    show(<RoomItem room={line} open={false} tabIndex={0} />);
    expect(screen.getByRole("link").textContent).toContain("1 unread message");
    expect(screen.getByText("first line second line")).toBeTruthy();
  });

  it("shows typing in place of the preview", () => {
    messenger.say(bob, "bob", "hello");
    messenger.change(bob, { typing: ["bob"] });
    const line = messenger.rooms.value[0];
    if (line === undefined) throw new Error("no room");
    show(<RoomItem room={line} open={false} tabIndex={0} />);
    expect(screen.getByText("typing…")).toBeTruthy();
    expect(screen.queryByText("hello")).toBe(null);
  });

  it("counts into the title, muted rooms aside", () => {
    messenger.say(bob, "bob", "hello");
    expect(titleOf(messenger)).toBe("(1) Letterlock");
    messenger.change(bob, { muted: true });
    expect(titleOf(messenger)).toBe("Letterlock");
  });
});

describe("people", () => {
  it("a room of one name is direct, of several a group", async () => {
    for (const name of ["bob", "carol"]) messenger.user(name);
    messenger.relate("bob", "contact");
    show(<NewConversation />);
    type("User name", "carol");
    press("Find");
    await screen.findByRole("button", { name: "Take carol out" });
    expect(screen.getByRole("button", { name: "Begin conversation" })).toBeTruthy();
    fireEvent.click(screen.getByRole("checkbox"));
    press("Begin a group of 3");
    await waitFor(() =>
      expect(asked("createGroup")).toEqual(["createGroup", [messenger.user("carol"), messenger.user("bob")], "joined"]),
    );
    await waitFor(() => expect(route.value.page).toBe("room"));
  });

  it("says that there is nobody of a name", async () => {
    show(<NewConversation />);
    type("User name", "nobody");
    press("Find");
    await screen.findByText("There is nobody with the name “nobody”.");
  });

  it("a request is accepted or declined", async () => {
    const peter = messenger.relate("Peter Pettigrew", "incoming");
    show(<Contacts />);
    press("Accept");
    await waitFor(() => expect(asked("press")).toEqual(["press", "accept", { user: peter.user }]));
    await waitFor(() => expect(screen.queryByRole("button", { name: "Accept" })).toBe(null));
  });

  it("a block is asked for twice, and pressed", async () => {
    const user = messenger.user("mallory");
    let closed = false;
    show(
      <BlockDialog
        kind="block"
        user={user}
        username="mallory"
        onClose={() => {
          closed = true;
        }}
      />,
    );
    expect(screen.getByText("Block mallory?")).toBeTruthy();
    press("Block");
    await waitFor(() => expect(asked("press")).toEqual(["press", "block", { user }]));
    await waitFor(() => expect(closed).toBe(true));
  });

  it("a block is not lifted where that needs a connection", () => {
    messenger.canUnblock.value = false;
    show(<BlockDialog kind="unblock" user={id<UserId>(6)} username="mallory" onClose={() => undefined} />);
    expect(screen.getByText(/only with a connection/)).toBeTruthy();
    expect(screen.queryByRole("button", { name: "Unblock", hidden: true })).toBe(null);
  });

  it("a member's menu has what the role allows", () => {
    const group = messenger.addRoom({
      members: [messenger.member("alice", "admin"), messenger.member("bob", "owner"), messenger.member("carol")],
    });
    const detail = messenger.room(group).value;
    if (detail === null) throw new Error("no room");
    show(<Members room={detail} />);
    press("Actions for carol");
    expect(screen.getAllByRole("menuitem", { hidden: true }).map((item) => item.textContent)).toEqual([
      "Write a message",
      "Safety number",
      "Remove from the group",
    ]);
    fireEvent.keyDown(screen.getByRole("menu", { hidden: true }), { key: "Escape" });
    expect(screen.queryByRole("menu", { hidden: true })).toBe(null);
    press("Actions for bob");
    expect(screen.getAllByRole("menuitem", { hidden: true })).toHaveLength(2);
  });
});

describe("a browser without space", () => {
  it("is not called a missing connection", async () => {
    messenger.connection.value = { state: "offline", retryAt: Date.now() + 60_000, reason: "storage_full" };
    show(<ConnectionStrip />);
    await screen.findByText(/This browser has no space left/);
    expect(screen.queryByText(/No connection/)).toBe(null);
    press("Try now");
    expect(asked("hurry")).toBeTruthy();
  });

  it("says so while the history of a new device comes", () => {
    const progress = { step: "messages", done: 1, of: 2 } as const;
    show(<Restoring progress={progress} isFull onGoOn={() => undefined} />);
    expect(screen.getByRole("alert").textContent).toMatch(/This browser has no space left/);
  });
});

describe("questions", () => {
  const conflict = () => ({
    kind: "conflict" as const,
    id: "q1",
    action: "block" as const,
    username: "carol",
    now: messenger.relate("carol", "contact", { blockedBy: true }),
    changedByDevice: "Telephone",
    changedAt: Date.now() - 200_000,
  });

  it("show what one wants beside what is so, and the answer is the user's", () => {
    messenger.questions.value = [conflict()];
    show(<Questions />);
    expect(screen.getByText("Block carol")).toBeTruthy();
    expect(screen.getByText("Contact · Blocks you")).toBeTruthy();
    expect(screen.getByText(/“Telephone” has changed/)).toBeTruthy();
    press("Do it nevertheless");
    expect(asked("answer")).toEqual(["answer", "q1", "confirm"]);
  });

  it("name the devices that have to catch up", () => {
    messenger.questions.value = [
      { kind: "lag", id: "q2", username: "mallory", devices: [{ name: "Telephone", lastSeenAt: null }] },
    ];
    show(<Questions />);
    expect(screen.getByText("Telephone")).toBeTruthy();
    press("Wait for them");
    expect(asked("answer")).toEqual(["answer", "q2", "wait"]);
  });

  it("that are put off are answered by nobody, and wait in sight", () => {
    messenger.questions.value = [{ ...conflict(), id: "q3" }];
    show(
      <>
        <Notices />
        <Questions />
      </>,
    );
    press("Close");
    expect(asked("answer")).toBe(undefined);
    expect(waitingQuestions(messenger.questions.value)).toHaveLength(1);
    press("Look");
    expect(screen.getByText("Changed on another device")).toBeTruthy();
    press("Leave it as it is");
    expect(asked("answer")).toEqual(["answer", "q3", "drop"]);
  });
});

describe("keys and devices", () => {
  it("shows sixty digits in twelve groups, a code, and what was compared", async () => {
    show(<SafetyDialog user={messenger.user("bob")} username="bob" onClose={() => undefined} />);
    const digits = await screen.findByRole("list", { name: "Safety number", hidden: true });
    const groups = within(digits).getAllByRole("listitem", { hidden: true });
    expect(groups.map((group) => group.textContent?.length)).toEqual(Array(12).fill(5));
    expect(screen.getByRole("img", { name: /scanned/, hidden: true })).toBeTruthy();
    press(/mark as verified/);
    await waitFor(() => expect(asked("verify")).toEqual(["verify", messenger.user("bob"), true]));
    await screen.findByText("Verified");
  });

  it("says that a code is somebody else's", async () => {
    show(<SafetyDialog user={messenger.user("bob")} username="bob" onClose={() => undefined} />);
    await screen.findByLabelText("Text of the other code");
    type("Text of the other code", "letterlock:1:rubbish");
    press("Check");
    await screen.findByText(/belongs to somebody else/);
  });

  it("signs another device out with the password, never this one from the list", async () => {
    messenger.deviceLines = [
      { id: ALICE.device, name: "Desk", client: "web", createdAt: 1, lastSeenAt: 2, isThis: true },
      { id: id<DeviceId>(12), name: "Telephone", client: "web", createdAt: 1, lastSeenAt: null, isThis: false },
    ];
    show(<Devices />);
    await screen.findByText("Telephone");
    press("Actions for Desk");
    expect(screen.getAllByRole("menuitem", { hidden: true }).map((item) => item.textContent)).toEqual(["Rename"]);
    press("Actions for Desk");
    press("Actions for Telephone");
    fireEvent.click(screen.getByRole("menuitem", { name: "Sign out", hidden: true }));
    messenger.refusals.set("revokeDevice", new Refusal("wrong_secret"));
    type("Password", "wrong");
    fireEvent.submit(screen.getByLabelText<HTMLInputElement>("Password").form as HTMLFormElement);
    await screen.findByText("That does not open your keys.");
    type("Password", "right");
    fireEvent.submit(screen.getByLabelText<HTMLInputElement>("Password").form as HTMLFormElement);
    await waitFor(() => expect(asked("revokeDevice")).toEqual(["revokeDevice", id(12), "right"]));
    await waitFor(() => expect(screen.queryByText("Telephone")).toBe(null));
  });

  it("warns before signing out that the recovery key is not confirmed", async () => {
    messenger.recoveryKey.value = KEY;
    show(<AccountPage />);
    press("Sign out");
    expect(screen.getAllByText(/You have not confirmed your recovery key yet/)).toHaveLength(2);
    expect(asked("signOut")).toBe(undefined);
    press("Sign out and delete");
    await waitFor(() => expect(asked("signOut")).toBeTruthy());
  });

  it("offers a new build, below everything else, and loads it only when it is asked to", async () => {
    messenger.notices.value = [{ kind: "recovery-unconfirmed", id: "1" }];
    show(<Notices />);
    expect(screen.queryByText("A new version is ready.")).toBe(null);
    messenger.newBuild.value = true;
    await screen.findByText("A new version is ready.");
    expect(screen.getByRole("status").lastElementChild?.textContent).toContain("A new version is ready.");
    expect(asked("loadNewBuild")).toBe(undefined);
    press("Reload");
    expect(asked("loadNewBuild")).toEqual(["loadNewBuild"]);
    fireEvent.click(screen.getAllByRole("button", { name: "Put away" }).at(-1)!);
    await waitFor(() => expect(screen.queryByText("A new version is ready.")).toBe(null));
    expect(screen.getByText(/not confirmed/)).toBeTruthy();
  });

  it("shows the gravest notice first, and puts it away", async () => {
    messenger.notices.value = [
      { kind: "recovery-unconfirmed", id: "1" },
      { kind: "vault-opened", id: "2", device: null, deviceName: "Chrome on Windows" },
    ];
    show(<Notices />);
    expect(screen.getByText(/“Chrome on Windows” has opened your keys/)).toBeTruthy();
    expect(screen.queryByText(/not confirmed/)).toBe(null);
    press("Put away");
    await screen.findByText(/not confirmed/);
  });
});
