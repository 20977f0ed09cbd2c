"""One subscription per device: taken, replaced, given up."""

from typing import Final
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric import ec
from django.db import IntegrityError, transaction

from delivery.webpush import endpoints
from delivery.webpush.models import Subscription
from kernel.errors import Conflict, InvalidInput
from kernel.sealed import unb64
from messages import unseen

POINT_BYTES: Final = 65
AUTH_BYTES: Final = 16


def put(user: UUID, device: UUID, *, endpoint: str, p256dh: str, auth: str) -> None:
    """From now on the device is told there. What is in the mailbox already is no news. Raises `InvalidInput`.

    A browser that was signed out and in again is another device with the same endpoint: the newer one has it.
    """
    endpoints.check(endpoint)
    point = unb64(p256dh, "p256dh", length=POINT_BYTES)
    try:
        ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    except ValueError as error:
        raise InvalidInput("p256dh must be an uncompressed point of P-256", field="p256dh") from error
    fields = {"user_id": user, "endpoint": endpoint, "p256dh": point, "auth": unb64(auth, "auth", length=AUTH_BYTES)}
    if Subscription.objects.filter(pk=device, **fields).update(failures=0):
        return
    fresh = {"looked_seq": unseen.last_seq_of(user), "due_at": None, "claimed_until": None, "quiet_until": None}
    try:
        with transaction.atomic():
            Subscription.objects.filter(endpoint=endpoint).exclude(pk=device).delete()
            Subscription.objects.update_or_create(pk=device, defaults=fields | fresh | {"failures": 0})
    except IntegrityError as error:
        raise Conflict("another device took this endpoint at the same time", field="endpoint") from error


def drop(device: UUID) -> None:
    """Tell this device no more; twice is as once."""
    Subscription.objects.filter(pk=device).delete()
