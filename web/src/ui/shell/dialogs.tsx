import { MessageDialog } from "../conversation/message-dialog";
import { closeDialog, dialog } from "../dialogs";
import { lazily } from "../parts/lazily";
import { BlockDialog } from "../people/block-dialog";
import { AddMembers } from "../room/add-members";
import { UnlockDialog } from "./unlock-dialog";

const SafetyDialog = lazily(async () => (await import("../safety/safety-dialog")).SafetyDialog);
const ShortcutsDialog = lazily(async () => (await import("./shortcuts-dialog")).ShortcutsDialog);

/** Whichever dialog is open over the page. */
export function Dialogs() {
  const shown = dialog.value;
  switch (shown?.kind) {
    case undefined:
      return null;
    case "safety":
      return <SafetyDialog key={shown.user} user={shown.user} username={shown.username} onClose={closeDialog} />;
    case "message":
      return <MessageDialog key={shown.row.key} row={shown.row} onClose={closeDialog} />;
    case "block":
    case "unblock":
      return (
        <BlockDialog
          key={shown.kind}
          kind={shown.kind}
          user={shown.user}
          username={shown.username}
          onClose={closeDialog}
        />
      );
    case "add-members":
      return <AddMembers key="add-members" id={shown.room} onClose={closeDialog} />;
    case "unlock":
      return <UnlockDialog key="unlock" onClose={closeDialog} />;
    case "shortcuts":
      return <ShortcutsDialog key="shortcuts" onClose={closeDialog} />;
  }
}
