/** Who may not be written to: decided from the store alone, so offline too (docs/protocol.md §5.5). Groups are not concerned. */

import { whoBlocks } from "../protocol/changes";
import type { RoomId } from "../protocol/ids";
import type { Db } from "../store/db";

export async function closedBy(db: Db, room: RoomId): Promise<"you" | "peer" | null> {
  const tx = db.transaction(["rooms", "relations", "changes"]);
  const known = await tx.objectStore("rooms").get(room);
  if (known?.kind !== "direct" || known.peer === null) return null;
  const peer = known.peer;
  const relation = await tx.objectStore("relations").get(peer);
  const changes = await tx.objectStore("changes").getAll();
  const about = changes.filter(
    (change) => change.user === peer || (change.user === null && change.username === relation?.username),
  );
  return whoBlocks(relation, about);
}
