"""Rooms and who is in them (design §4)."""

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from kernel.ids import uuid7


class Room(models.Model):
    """A direct room (exactly two users, one per pair) or a group of 2 to 1 000 members.

    `members_version` rises with every change of membership or role, under `SELECT … FOR UPDATE` of this row;
    a send checks it under `FOR KEY SHARE`, so that a removed member cannot post after the removal was answered.
    """

    class Kind(models.TextChoices):
        DIRECT = "direct"
        GROUP = "group"

    class History(models.TextChoices):
        JOINED = "joined"
        ALL = "all"

    class Stale(models.IntegerChoices):
        """Why an epoch is outdated; each is a bit of `stale`."""

        LEFT = 1  # somebody left or was put out, and knows its key
        KEYS = 2  # a member's encryption key is another one, or a member has one at last
        JOINED = 4  # somebody came who shall not read what was before

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    kind = models.CharField(max_length=8, choices=Kind.choices)
    # Direct rooms only: the pair, lower id first.
    first_user = models.UUIDField(null=True, blank=True)
    second_user = models.UUIDField(null=True, blank=True)
    members_version = models.BigIntegerField(default=1)
    # The newest epoch; 0 until there is one. `stale` says why the next sender has to make another: bits of `Stale`.
    epoch = models.IntegerField(default=0)
    stale = models.PositiveSmallIntegerField(default=0, db_default=0)
    # Until then messages of the epoch before are still taken: set when only joins led to the newest one.
    grace_until = models.DateTimeField(null=True, blank=True)
    # Whether who comes later may read what was written before: then members give them the keys of all epochs.
    history = models.CharField(max_length=8, choices=History.choices, default=History.JOINED, db_default="joined")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["first_user", "second_user"], name="a_pair_has_one_direct_room"),
            models.CheckConstraint(
                name="a_direct_room_names_its_pair_in_order",
                condition=Q(kind="group", first_user__isnull=True, second_user__isnull=True)
                | Q(kind="direct", first_user__lt=F("second_user")),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.id}"


def reasons_of(stale: int) -> list[str]:
    """The reasons that the bits of `Room.stale` stand for, as the protocol names them."""
    return [reason.name.lower() for reason in Room.Stale if stale & reason]


class Membership(models.Model):
    """That a user is in a room, and as what."""

    class Role(models.TextChoices):
        OWNER = "owner"
        ADMIN = "admin"
        MEMBER = "member"

    room = models.ForeignKey(Room, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey("accounts.User", on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=8, choices=Role.choices, default=Role.MEMBER)
    joined_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["room", "user"], name="a_user_is_in_a_room_once"),
            models.UniqueConstraint(fields=["room"], condition=Q(role="owner"), name="a_group_has_one_owner"),
        ]


class RoomEpoch(models.Model):
    """The signed record of a room's epoch, byte for byte, and the list that it signs (docs/protocol.md §6.4)."""

    room = models.ForeignKey(Room, on_delete=models.CASCADE, related_name="epochs")
    epoch = models.IntegerField()
    payload = models.BinaryField()
    signature = models.BinaryField()
    digest = models.BinaryField()
    creator = models.ForeignKey("accounts.User", on_delete=models.CASCADE, related_name="+")
    device = models.UUIDField()
    # The text of which the record signs the hash: `user:identity key:version` of each, by user (epoch_documents.roster_text).
    roster = models.TextField()
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["room", "epoch"], name="an_epoch_is_made_once")]


class EpochWrap(models.Model):
    """An epoch's key, sealed to one user's encryption key of this version (80 bytes)."""

    pk = models.CompositePrimaryKey("user_id", "room_id", "epoch")
    # In the order in which a new device reads all of its user's. No constraints: PostgreSQL would look up room and user for
    # each of 1 000 rows, while the room is locked and all of them are its members.
    user = models.ForeignKey(
        "accounts.User", on_delete=models.CASCADE, related_name="+", db_index=False, db_constraint=False
    )
    room = models.ForeignKey(Room, on_delete=models.CASCADE, related_name="+", db_index=False, db_constraint=False)
    epoch = models.IntegerField()
    version = models.IntegerField()
    sealed = models.BinaryField()

    class Meta:
        indexes = [models.Index(fields=["room", "epoch"], name="wraps_of_an_epoch")]
