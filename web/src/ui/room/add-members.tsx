import { useMemo, useState } from "preact/hooks";

import { words } from "../../i18n/words";
import type { RoomId } from "../../protocol/ids";
import { useAction } from "../actions";
import { useMessenger } from "../messenger";
import { Button } from "../parts/button";
import { Dialog, DialogButtons } from "../parts/dialog";
import { Problem } from "../parts/problem";
import { PeoplePicker, type Person } from "../people/picker";

export function AddMembers({ id, onClose }: { id: RoomId; onClose: () => void }) {
  const messenger = useMessenger();
  const room = useMemo(() => messenger.room(id), [messenger, id]).value;
  const w = words.value;
  const [chosen, setChosen] = useState<readonly Person[]>([]);
  const action = useAction();
  const add = async (): Promise<void> => {
    const users = chosen.map((one) => one.user);
    if (await action.run(() => messenger.addMembers(id, users))) onClose();
  };
  return (
    <Dialog title={w.room.add} onClose={onClose}>
      <PeoplePicker chosen={chosen} onChange={setChosen} without={room?.members.map((member) => member.user) ?? []} />
      {room !== null && <p class="hint">{room.history === "all" ? w.room.historyAll : w.room.historyJoined}</p>}
      <Problem text={action.problem} />
      <DialogButtons>
        <Button onClick={onClose}>{w.common.cancel}</Button>
        <Button kind="primary" busy={action.busy} disabled={chosen.length === 0} onClick={() => void add()}>
          {w.room.add}
        </Button>
      </DialogButtons>
    </Dialog>
  );
}
