/**
 * The rule for late messages (docs/protocol.md §3.3), on its own: the same answer on every device of a recipient.
 *
 * An entry is *late* when an entry with a lower seq, of the same sending device and room, has a greater `sent_at`. Only one
 * device's own times are compared with each other, because clocks of different devices cannot be compared. So the greatest
 * `sent_at` so far, per room and sending device, is all that has to be remembered.
 */

import type { DeviceId, MessageId, RoomId } from "./ids";

/** The greatest `sent_at` that a device has reached in a room, and the message that reached it. */
export interface Mark {
  readonly room: RoomId;
  readonly device: DeviceId;
  readonly sentAt: number;
  readonly message: MessageId;
}

export interface Sent {
  readonly id: MessageId;
  readonly room: RoomId;
  readonly device: DeviceId;
  readonly sent_at: number;
}

export class Marks {
  private readonly marks = new Map<string, Mark>();

  constructor(marks: Iterable<Mark> = []) {
    for (const mark of marks) this.marks.set(key(mark), mark);
  }

  /** Take the next entry, in the order of seq. Returns the message that proves that it is late, or null if it is not. */
  advance(entry: Sent): MessageId | null {
    const mark = this.marks.get(key(entry));
    if (mark !== undefined && mark.sentAt > entry.sent_at) return mark.message;
    if (mark === undefined || entry.sent_at > mark.sentAt) {
      const { room, device, id, sent_at } = entry;
      this.marks.set(key(entry), { room, device, sentAt: sent_at, message: id });
    }
    return null;
  }

  /** The mark of a room and a device. */
  of(where: { room: RoomId; device: DeviceId }): Mark | null {
    return this.marks.get(key(where)) ?? null;
  }
}

function key(where: { room: RoomId; device: DeviceId }): string {
  return `${where.room} ${where.device}`;
}
