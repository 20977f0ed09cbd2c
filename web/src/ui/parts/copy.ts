import { words } from "../../i18n/words";
import { toast } from "../announce";

export async function copyText(text: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
    toast(words.value.common.copied);
  } catch {
    // The browser has refused, and has said so itself.
  }
}

/** Hands a text over as a file. The address is revoked once the browser has taken it. */
export function download(name: string, text: string): void {
  const address = URL.createObjectURL(new Blob([text], { type: "text/plain;charset=utf-8" }));
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
