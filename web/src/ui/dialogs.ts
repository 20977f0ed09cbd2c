/** Which dialog is open over the page. One at a time: what opens another one replaces it. */

import { signal } from "@preact/signals";

import type { Row } from "../messenger";
import type { RoomId, UserId } from "../protocol/ids";

export type Message = Extract<Row, { kind: "message" }>;

export type OpenDialog =
  | { readonly kind: "safety"; readonly user: UserId; readonly username: string }
  | { readonly kind: "message"; readonly row: Message }
  | { readonly kind: "block" | "unblock"; readonly user: UserId; readonly username: string }
  | { readonly kind: "add-members"; readonly room: RoomId }
  | { readonly kind: "unlock" }
  | { readonly kind: "shortcuts" };

export const dialog = signal<OpenDialog | null>(null);

export function open(wanted: OpenDialog): void {
  dialog.value = wanted;
}

export function closeDialog(): void {
  dialog.value = null;
}
