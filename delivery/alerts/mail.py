"""Alerts by e-mail to settings.ADMINS: all that are due go in one mail, so that a device that writes to hundreds makes one."""

import smtplib
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

from django.conf import settings
from django.core.mail import EmailMessage

from delivery.alerts.reports import Report, name_of
from delivery.alerts.untold import Untold

AT_ONCE: Final = 100

_INTRODUCTION: Final = """\
Devices keep sending to somebody who blocks them, or whom their own user blocks, although they had synced the block:
their client is broken or hostile. Nothing of it was delivered. Of each of these you hear again after an hour at the
earliest, if it goes on, until somebody acknowledges it.
"""


def is_on() -> bool:
    """Whether there is somebody to write to and a server to do it by."""
    return bool(settings.ADMINS) and not settings.EMAIL_BACKEND.endswith("dummy.EmailBackend")


def tell(reports: Sequence[Report]) -> None:
    """Send one mail about all of these. Raises `Untold`."""
    if len(reports) == 1:
        (only,) = reports
        subject = f"Abuse alert {only.alert}: {only.count} messages in spite of a block"
    else:
        subject = f"{len(reports)} abuse alerts: messages in spite of a block"
    host = urlsplit(settings.PUBLIC_URL).hostname or "localhost"
    mail = EmailMessage(
        subject=f"[Letterlock] {subject}",
        body="\n\n".join([_INTRODUCTION, *(report.as_text() for report in reports)]) + "\n",
        to=[address for _, address in settings.ADMINS],
        from_email=settings.SERVER_EMAIL,
        # A mail that comes twice has one id; RFC 3834: nobody's absence is answered to us.
        headers={"Message-ID": f"<{name_of(reports)}@{host}>", "Auto-Submitted": "auto-generated"},
    )
    try:
        mail.send()
    except (OSError, smtplib.SMTPException) as error:
        # The server's own words may repeat what we said to it, so that only their kind and code are kept.
        raise Untold(" ".join([type(error).__name__, str(getattr(error, "smtp_code", ""))]).strip()) from error
