/** The camera, and a code that is held before it. */

/** Why there is no picture. */
export type CameraProblem = "denied" | "missing" | "busy";

export class NoPicture extends Error {
  constructor(readonly why: CameraProblem) {
    super(`no picture: ${why}`);
  }
}

/** What a browser gives for it; tests give something else. */
export interface Eyes {
  /** Rejected with `NoPicture`. */
  open(): Promise<MediaStream>;
  /** Reads what the picture shows now; null: no code is in it. */
  reader(): Promise<(video: HTMLVideoElement) => Promise<string | null>>;
}

/** Somewhat more than a hand that holds a telephone still needs. */
const LOOK_EVERY = 100;

/**
 * The text of the first code that is held before the camera. The camera is off when this is over, however it ends, and at once when
 * `signal` is aborted, also if it was only just being asked for. Rejected with `NoPicture`.
 */
export async function look(
  video: HTMLVideoElement,
  eyes: Eyes,
  signal: AbortSignal,
  onPicture: () => void,
): Promise<string> {
  const stream = await eyes.open();
  const stop = (): void => {
    for (const track of stream.getTracks()) track.stop();
    video.srcObject = null;
  };
  signal.addEventListener("abort", stop);
  try {
    signal.throwIfAborted();
    video.srcObject = stream;
    const [read] = await Promise.all([eyes.reader(), video.play()]);
    onPicture();
    for (;;) {
      signal.throwIfAborted();
      if (!stream.active) throw new NoPicture("busy"); // pulled out, or taken away in the browser's settings
      const text = await read(video);
      if (text !== null) return text;
      await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY));
    }
  } finally {
    signal.removeEventListener("abort", stop);
    stop();
  }
}

export const eyesOfBrowser: Eyes = {
  async open() {
    // Not there on pages that are not secure.
    const devices = navigator.mediaDevices as MediaDevices | undefined;
    if (devices?.getUserMedia === undefined) throw new NoPicture("missing");
    try {
      const size = { width: { ideal: 1280 }, height: { ideal: 720 } };
      return await devices.getUserMedia({ video: { facingMode: "environment", ...size }, audio: false });
    } catch (error) {
      throw new NoPicture(WHY[error instanceof DOMException ? error.name : ""] ?? "busy");
    }
  },
  async reader() {
    return (await import("./reading")).reader();
  },
};

const WHY: Readonly<Record<string, CameraProblem>> = {
  NotAllowedError: "denied",
  SecurityError: "denied",
  NotFoundError: "missing",
  OverconstrainedError: "missing",
};
