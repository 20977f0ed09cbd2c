// @vitest-environment happy-dom
/** Scanning a safety code: alice holds her camera before bob's telephone. */

import { fireEvent, screen, waitFor } from "@testing-library/preact";
import { encode } from "uqr";
import { afterEach, describe, expect, it } from "vitest";
import { Toasts } from "../../src/ui/announce";
import { type CameraProblem, type Eyes, NoPicture } from "../../src/ui/safety/camera";
import { codeIn } from "../../src/ui/safety/reading";
import { SafetyDialog } from "../../src/ui/safety/safety-dialog";
import { asked, messenger, press, show } from "./stage";

/** A camera that shows what it is given. */
class FakeEyes implements Eyes {
  /** The text of the code that is held before it. */
  code: string | null = null;
  opened = 0;
  running = 0;
  stopped = 0;
  looked = 0;
  /** While this waits, the browser asks the user for leave. */
  leave: Promise<void> = Promise.resolve();

  constructor(private readonly refused: CameraProblem | null = null) {}

  async open(): Promise<MediaStream> {
    this.opened += 1;
    await this.leave;
    if (this.refused !== null) throw new NoPicture(this.refused);
    const stream = new MediaStream();
    let isOn = true;
    this.running += 1;
    const track = {
      stop: () => {
        if (isOn) this.stopped += 1;
        if (isOn) this.running -= 1;
        isOn = false;
      },
    };
    Object.defineProperty(stream, "getTracks", { value: () => [track] });
    Object.defineProperty(stream, "active", { get: () => this.running > 0 });
    return stream;
  }

  async reader() {
    return async (): Promise<string | null> => {
      this.looked += 1;
      return this.code;
    };
  }
}

const codeOf = (name: string): string => `letterlock:1:${messenger.user(name)}:${"x".repeat(43)}`;

async function compare(eyes: Eyes) {
  const page = show(
    <>
      <SafetyDialog user={messenger.user("bob")} username="bob" onClose={() => undefined} eyes={eyes} />
      <Toasts />
    </>,
  );
  await screen.findByText("Scan the other code");
  press("Scan the other code");
  return page;
}

function hide(isHidden: boolean): void {
  Object.defineProperty(document, "hidden", { configurable: true, get: () => isHidden });
  document.dispatchEvent(new Event("visibilitychange"));
}

afterEach(() => hide(false));

describe("scanning", () => {
  it("verifies whoever shows the code, and the camera is off again", async () => {
    const eyes = new FakeEyes();
    await compare(eyes);
    await screen.findByText(/Hold the code of the other device/);
    await waitFor(() => expect(eyes.looked).toBeGreaterThan(1));
    expect(eyes.running).toBe(1);
    expect(asked("scanned")).toBe(undefined);

    eyes.code = codeOf("bob");
    await screen.findByText("bob is verified.");
    expect(asked("scanned")).toEqual(["scanned", codeOf("bob"), messenger.user("bob")]);
    expect(eyes.running).toBe(0);
    await screen.findByText("Verified");
    expect(screen.getByRole("button", { name: "Scan the other code", hidden: true })).toBeTruthy();
  });

  it("warns of a code that is somebody else's, and verifies nobody", async () => {
    const eyes = new FakeEyes();
    eyes.code = codeOf("mallory");
    await compare(eyes);
    expect((await screen.findByText(/belongs to somebody else/)).closest("[role=alert]")).toBeTruthy();
    expect(screen.getByText("Not verified")).toBeTruthy();
    expect(eyes.running).toBe(0);
  });

  it("says of any other code that it is none", async () => {
    const eyes = new FakeEyes();
    eyes.code = "https://example.org";
    await compare(eyes);
    await screen.findByText("That is no code of this messenger.");
    expect(screen.getByText("Not verified")).toBeTruthy();
  });

  it.each([
    ["denied", /does not let this page use the camera/],
    ["missing", /There is no camera/],
    ["busy", /perhaps another program/],
  ] as const)("says why there is no picture, and the text can still be pasted: %s", async (why, words) => {
    await compare(new FakeEyes(why));
    await screen.findByText(words);
    expect(screen.queryByText("Stop the camera")).toBe(null);
    const field = screen.getByLabelText<HTMLInputElement>("Text of the other code");
    fireEvent.input(field, { target: { value: codeOf("bob") } });
    press("Check");
    await screen.findByText("bob is verified.");
    expect(screen.queryByText(words)).toBe(null);
  });

  it("says so when the camera is taken away", async () => {
    const eyes = new FakeEyes();
    await compare(eyes);
    await waitFor(() => expect(eyes.looked).toBeGreaterThan(0));
    eyes.running = 0;
    await screen.findByText(/perhaps another program/);
  });

  it.each([
    ["stopped", () => press("Stop the camera")],
    ["hidden", () => hide(true)],
  ])("ends at once when it is %s", async (_, end) => {
    const eyes = new FakeEyes();
    await compare(eyes);
    await waitFor(() => expect(eyes.running).toBe(1));
    end();
    await waitFor(() => expect(eyes.running).toBe(0));
    await screen.findByText("Scan the other code");
    expect(asked("scanned")).toBe(undefined);
  });

  it("ends at once when the dialog closes, also while the browser still asks for leave", async () => {
    const eyes = new FakeEyes();
    const page = await compare(eyes);
    await waitFor(() => expect(eyes.looked).toBeGreaterThan(0));
    page.unmount();
    expect(eyes.running).toBe(0);

    let give = (): void => undefined;
    eyes.leave = new Promise((resolve) => {
      give = resolve;
    });
    const again = await compare(eyes);
    await waitFor(() => expect(eyes.opened).toBe(2));
    again.unmount();
    give();
    await waitFor(() => expect(eyes.stopped).toBe(2));
    expect(eyes.running).toBe(0);
  });
});

describe("a picture", () => {
  const text = `chatverify:1:01a20000-0000-7000-8000-000000000002:${"Ab3_-".repeat(8)}xyz`;

  /** The code of a text, as the safety number's page draws it, at some place of a grey picture. */
  function picture(scale: number, left: number, top: number) {
    const [width, height] = [640, 480];
    const data = new Uint8ClampedArray(width * height * 4).fill(128);
    const code = encode(text, { ecc: "M", border: 2 });
    for (let y = 0; y < code.size * scale; y += 1) {
      for (let x = 0; x < code.size * scale; x += 1) {
        const isDark = code.data[Math.floor(y / scale)]?.[Math.floor(x / scale)];
        data.fill(isDark ? 27 : 255, ((top + y) * width + left + x) * 4, ((top + y) * width + left + x) * 4 + 3);
      }
    }
    return { width, height, data };
  }

  it.each([
    [3, 20, 40],
    [7, 200, 60],
    [9, 100, 20],
  ])("is read: %d pixels a module at %d, %d", (scale, left, top) => {
    expect(codeIn(picture(scale, left, top))).toBe(text);
  });

  it("without a code says nothing", () => {
    expect(codeIn({ width: 64, height: 48, data: new Uint8ClampedArray(64 * 48 * 4).fill(200) })).toBe(null);
  });
});
