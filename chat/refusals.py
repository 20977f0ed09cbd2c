"""Why a send is refused, as the committer sees it: the errors of its own, and the order in which it asks."""

from accounts.tokens import Suspended
from chat.drafts import SEALED_ALG, Draft
from chat.models import reasons_of
from chat.roster import Checked, Roster, Standing
from kernel.errors import Conflict, DomainError, Forbidden, InvalidInput, NotFound, Unauthenticated, Unavailable


class IdConflict(Conflict):
    """The id is stored with other content; `accepted_at` is told only to whose it is."""

    code = "id_conflict"
    title = "This message id is stored with other content."


class EpochStale(Conflict):
    """The room has another epoch, or needs one: make it if need be, seal anew and send again under the same id.

    `epoch`: the newest, 0 for none yet. `stale`: whether it is outdated; `reasons` (`left`, `keys`, `joined`) say by what.
    """

    code = "epoch_stale"
    title = "The room has another epoch, or needs a new one."


class DeviceNotListed(Forbidden):
    """The user's signed key document does not list this device: nobody could verify what it seals."""

    code = "device_not_listed"
    title = "Your key document does not list this device."


class EarlierSendRefused(Unavailable):
    """An earlier send of this lane in this room was refused for the time being."""

    code = "earlier_send_refused"
    title = "An earlier send in this room was refused for the time being; repeat that one first."


def why_not(draft: Draft, *, user: str, device: str, outdated: int, checked: Checked) -> DomainError | None:
    """Why this send of the user's device may not be stored now: device, membership, recipient, epoch, suspension; None if it may.

    `outdated`: the newest epoch under which a send of the same lane in this room was refused, 0 for none.
    """
    sender = checked.senders.get(device)
    if sender is None or sender.is_revoked:
        return Unauthenticated("the device was revoked")
    if draft.room in checked.locked_out:
        return Unavailable("the room is being changed", retry_after=1)
    roster = checked.rooms.get(draft.room)
    if roster is None or user not in roster.members:
        return NotFound("there is no such room, or you are not in it")
    if sender.is_suspended:
        return Suspended()
    if draft.recipient != "" and draft.recipient != roster.other(user):
        return InvalidInput("recipient is not the other user of this room", field="recipient")
    standing = checked.standings[draft.room]
    if draft.alg != SEALED_ALG:
        return None if draft.epoch == roster.epoch else _outdated(roster, standing)
    if not sender.is_listed:
        return DeviceNotListed()
    is_newest = draft.epoch == roster.epoch > 0
    # Not behind one that was refused: that one is on its way again under the newest epoch, and must not be overtaken.
    is_next_to_it = draft.epoch > outdated and draft.epoch == roster.epoch - 1
    if standing.stale or not (is_newest or (standing.in_grace and is_next_to_it)):
        return _outdated(roster, standing)
    return None


def _outdated(roster: Roster, standing: Standing) -> EpochStale:
    return EpochStale(epoch=roster.epoch, stale=bool(standing.stale), reasons=reasons_of(standing.stale))
