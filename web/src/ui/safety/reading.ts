/** Reading a code off a picture: by the browser, where it can, otherwise by `qr`. */

import { decodeQR } from "qr/decode.js";

interface Detector {
  detect(picture: HTMLVideoElement): Promise<readonly { readonly rawValue: string }[]>;
}

interface Detectors {
  new (options: { formats: readonly string[] }): Detector;
  getSupportedFormats(): Promise<readonly string[]>;
}

/** Enough for a code that fills a third of the picture; more would only take longer. */
const LONGEST = 1_024;

export async function reader(): Promise<(video: HTMLVideoElement) => Promise<string | null>> {
  const { BarcodeDetector } = globalThis as { BarcodeDetector?: Detectors };
  if (BarcodeDetector !== undefined && (await BarcodeDetector.getSupportedFormats()).includes("qr_code")) {
    const detector = new BarcodeDetector({ formats: ["qr_code"] });
    return async (video) => (hasPicture(video) ? ((await detector.detect(video))[0]?.rawValue ?? null) : null);
  }
  const canvas = document.createElement("canvas");
  const context = canvas.getContext("2d", { willReadFrequently: true })!;
  return async (video) => {
    if (!hasPicture(video)) return null;
    const scale = Math.min(1, LONGEST / Math.max(video.videoWidth, video.videoHeight));
    canvas.width = Math.round(video.videoWidth * scale);
    canvas.height = Math.round(video.videoHeight * scale);
    context.drawImage(video, 0, 0, canvas.width, canvas.height);
    return codeIn(context.getImageData(0, 0, canvas.width, canvas.height));
  };
}

function hasPicture(video: HTMLVideoElement): boolean {
  return video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA && video.videoWidth > 0;
}

/** The text of the code in a picture; null where there is none, or none that can be read. */
export function codeIn(picture: {
  width: number;
  height: number;
  data: Uint8ClampedArray | Uint8Array;
}): string | null {
  try {
    return decodeQR(picture);
  } catch {
    return null;
  }
}
