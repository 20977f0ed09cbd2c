"""What a push is signed with: whoever we are by the settings, push services hear it."""

import time

import jwt
import pytest

from delivery.webpush import vapid


@pytest.mark.parametrize(
    "subject",
    [
        "https://chat.example.org",
        "https://chat.example.org:8443",
        "https://chat.example.org/talk",
        "https://intranet",
        "https://[2606:4700::1111]:8443",
        "mailto:letterlock@localhost",
        "mailto:staff@example.org",
    ],
)
def test_every_public_url_and_mail_address_can_be_named(settings, subject):
    settings.VAPID_SUBJECT = subject
    token = vapid.token("https://push.example.org", at=time.time())
    claims = jwt.decode(token, vapid._key().public_key(), algorithms=["ES256"], audience="https://push.example.org")
    assert claims["sub"] == subject
    assert 0 < claims["exp"] - time.time() <= 24 * 3_600
