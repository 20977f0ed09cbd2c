"""Where alerts go is said in the environment, and said to be nowhere when nothing is set."""

import pytest

from tests.alerts.conftest import SECRET
from tests.up.test_settings import check, shown


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("", "dummy.EmailBackend  25 False False  "),
        ("smtp://127.0.0.1:2525", "smtp.EmailBackend 127.0.0.1 2525 False False  "),
        ("smtps://me%40x:p%2Fw@mail.example.org", "smtp.EmailBackend mail.example.org 465 True False me@x p/w"),
        ("smtp+tls://mail.example.org", "smtp.EmailBackend mail.example.org 587 False True  "),
    ],
)
def test_a_mail_server_is_one_url(url, expected):
    names = ("HOST", "PORT", "USE_SSL", "USE_TLS", "HOST_USER", "HOST_PASSWORD")
    wanted = "settings.EMAIL_BACKEND.partition('backends.')[2], " + ", ".join(
        f"settings.EMAIL_{name}" for name in names
    )

    assert shown(wanted, EMAIL_URL=url) == expected.strip()


def test_mails_go_to_several_addresses_and_secrets_may_come_from_files(tmp_path):
    (tmp_path / "secret").write_text(SECRET + "\n")

    assert shown("settings.ADMINS", ALERT_MAILS="a@example.org, b@example.org") == (
        "[('Staff', 'a@example.org'), ('Staff', 'b@example.org')]"
    )
    assert shown("settings.ABUSE_WEBHOOK_SECRET", ABUSE_WEBHOOK_SECRET_FILE=str(tmp_path / "secret")) == SECRET


def test_the_check_says_when_nobody_is_told_and_is_content_with_that():
    status, words = check()
    assert (status, "letterlock.I026" in words) == (0, True)

    hooked = {"ABUSE_WEBHOOK_URL": "https://alerts.example.org/in", "ABUSE_WEBHOOK_SECRET": SECRET}
    mailed = {"EMAIL_URL": "smtps://u:p@mail.example.org", "ALERT_MAILS": "staff@example.org"}
    for environment in (hooked, mailed):
        status, words = check(**environment)
        assert (status, "letterlock.I026" in words) == (0, False)

    status, words = check(ABUSE_WEBHOOK_URL="https://alerts.example.org/in")
    assert (status, "letterlock.E022" in words) == (1, True)
