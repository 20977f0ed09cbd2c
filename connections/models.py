"""Contacts and blocks: one row per (owner, peer), and per user the version that every change raises (design §7)."""

from django.db import models


class Book(models.Model):
    """A user's connections as a whole: their version and the user's settings. Its row's lock orders all changes of a user."""

    class Audience(models.TextChoices):
        ANYONE = "anyone"
        CONTACTS = "contacts"

    class Strangers(models.TextChoices):
        MAILBOX = "mailbox"
        REQUESTS = "requests"

    user_id = models.UUIDField(primary_key=True)
    version = models.BigIntegerField(default=0)
    who_may_open = models.CharField(max_length=8, choices=Audience.choices, default=Audience.ANYONE)
    who_may_add = models.CharField(max_length=8, choices=Audience.choices, default=Audience.ANYONE)
    # Where the first messages of somebody who is no contact go: to the mailbox, or held until the request is accepted.
    strangers = models.CharField(max_length=8, choices=Strangers.choices, default=Strangers.MAILBOX)
    settings_version = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return f"connections of {self.user_id}, version {self.version}"


class Connection(models.Model):
    """What one user has with another, as the owner sees it. Versions are the owner's."""

    class State(models.TextChoices):
        NONE = "none"
        REQUESTED = "requested"  # the owner has asked
        INCOMING = "incoming"  # the peer has asked, or has written and is held
        CONTACT = "contact"

    owner_id = models.UUIDField()
    peer = models.ForeignKey("accounts.User", on_delete=models.CASCADE, related_name="+")
    state = models.CharField(max_length=9, choices=State.choices, default=State.NONE)
    blocked = models.BooleanField(default=False)
    # The peer blocks the owner, and the owner was told.
    blocked_by = models.BooleanField(default=False)
    # What the peer writes in their direct room waits in the request box: from a stranger's first room until the owner
    # accepts or adds. A request that was declined leaves it so.
    held = models.BooleanField(default=False)
    # The direct room that the peer, who was not told of the owner's block, has opened since: not shown while the block lasts.
    hidden_room = models.UUIDField(null=True)
    # Ciphertext of the owner's clients: an alias, a note.
    note = models.BinaryField(default=b"")
    # The newest change; and those at which the present blocks came, 0 without.
    version = models.BigIntegerField()
    # The newest change by one of the owner's devices, and which: what a device must know of before it changes anything.
    own_version = models.BigIntegerField(default=0)
    own_changed_by = models.UUIDField(null=True)
    own_changed_at = models.DateTimeField(null=True)
    blocked_version = models.BigIntegerField(default=0)
    blocked_by_version = models.BigIntegerField(default=0)
    # Whose doing the newest change was: a device of the owner's, or none (the peer).
    changed_by = models.UUIDField(null=True)
    changed_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["owner_id", "peer"], name="one_connection_per_pair")]
        indexes = [
            models.Index(fields=["owner_id", "version"], name="connection_changes"),
            models.Index(fields=["owner_id"], name="hidden_rooms", condition=models.Q(hidden_room__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"{self.owner_id} → {self.peer_id}: {self.state}"
