"""Suspending somebody, and taking it back: nothing is revoked, so whoever is restored goes on with the devices they had."""

from uuid import UUID

from django.db import transaction
from django.db.models.functions import Now

from accounts import revocations
from accounts.models import User


def suspend(user_id: UUID) -> bool:
    """Close the account until it is restored: within two seconds tokens are refused everywhere and sockets close.

    Signing in, refreshing and sending are refused from the commit on. Answers False for who is suspended already.
    """
    with transaction.atomic():
        # PostgreSQL's clock, since every process compares it with PostgreSQL's.
        changed = User.objects.filter(pk=user_id, suspended_at=None).update(suspended_at=Now())
        transaction.on_commit(revocations.look)
    return bool(changed)


def restore(user_id: UUID) -> bool:
    """Open the account again, with all its devices; tokens that have not expired hold again. False if it was open."""
    with transaction.atomic():
        changed = User.objects.filter(pk=user_id, suspended_at__isnull=False).update(suspended_at=None)
        transaction.on_commit(revocations.look)
    return bool(changed)
