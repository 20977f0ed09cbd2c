"""Rooms and who is in them (design §4)."""

from django.db import models
from django.db.models import F, Q

from kernel.ids import uuid7


class Room(models.Model):
    """A direct room (exactly two users, one per pair) or a group of 2 to 1 000 members.

    `members_version` rises with every change of membership or role, under `SELECT … FOR UPDATE` of this row;
    a send checks it under `FOR KEY SHARE`, so that a removed member cannot post after the removal was answered.
    """

    class Kind(models.TextChoices):
        DIRECT = "direct"
        GROUP = "group"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    kind = models.CharField(max_length=8, choices=Kind.choices)
    # Direct rooms only: the pair, lower id first.
    first_user = models.UUIDField(null=True, blank=True)
    second_user = models.UUIDField(null=True, blank=True)
    members_version = models.BigIntegerField(default=1)
    epoch = models.IntegerField(default=0)
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
