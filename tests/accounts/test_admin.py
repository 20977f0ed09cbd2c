"""The admin is for staff, who are not messaging accounts; users cannot get in, and staff cannot write messages."""

import secrets

import pytest
from django.contrib.admin.models import LogEntry
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from accounts import revocations, users
from accounts.models import SignInAttempt, Staff
from kernel.admin_pages import EstimatedPaginator

PASSWORD = "correct horse battery staple"


@pytest.fixture
def staff() -> Client:
    """A browser that a member of staff has signed in with."""
    member = Staff.objects.create_superuser(username=f"staff.{secrets.token_hex(5)}", password=PASSWORD)
    browser = Client()
    browser.force_login(member)
    return browser


@pytest.fixture
def session():
    """Alice's."""
    return users.register(
        username=f"alice.{secrets.token_hex(5)}",
        password=PASSWORD,
        device_name="phone",
        address="192.0.2.1",
        now=timezone.now(),
    )


def test_a_messaging_account_never_signs_in_to_the_admin(session):
    browser = Client()

    response = browser.post(
        "/admin/login/?next=/admin/", {"username": session.user.username, "password": PASSWORD, "next": "/admin/"}
    )

    assert response.status_code == 200
    assert b"Please enter the correct username and password for a staff account" in response.content
    assert browser.get("/admin/").status_code == 302


def test_an_access_token_opens_no_page_of_the_admin(session):
    response = Client(headers={"Authorization": f"Bearer {session.access}"}).get("/admin/")

    assert response.status_code == 302


async def test_staff_are_no_users_and_their_cookie_is_no_token(cast):
    member = await Staff.objects.acreate_superuser(username=f"staff.{secrets.token_hex(5)}", password=PASSWORD)
    browser = Client()
    await browser.aforce_login(member)
    form = {"username": member.username, "password": PASSWORD, "device_name": "desk"}
    cookies = {name: morsel.value for name, morsel in browser.cookies.items()}

    sign_in = await cast.http().post("accounts/sign-in", json=form)
    with_cookie = cast.http()
    with_cookie.cookies.update(cookies)
    account = await with_cookie.get("account")

    assert (sign_in.status_code, sign_in.json()["code"]) == (401, "bad_credentials")
    assert account.status_code == 401


def test_staff_passwords_are_kept_by_djangos_own_hasher():
    member = Staff.objects.create_user(username=f"staff.{secrets.token_hex(5)}", password=PASSWORD)

    assert member.password.startswith("pbkdf2_sha256$1000000$")


@pytest.mark.parametrize("what", ["name", "id"])
def test_staff_find_a_user_by_exact_name_or_id(staff, session, what):
    term = session.user.username if what == "name" else session.user.pk

    found = staff.get("/admin/accounts/user/", {"q": term}).content.decode()
    other = staff.get("/admin/accounts/user/", {"q": str(term)[:-1]}).content.decode()

    assert str(session.user.pk) in found
    assert str(session.user.pk) not in other


def test_nothing_secret_is_on_a_page(staff, session):
    user = session.user

    for page in (f"user/{user.pk}/change/", f"device/{session.device.pk}/change/", "user/", "device/"):
        text = staff.get(f"/admin/accounts/{page}").content.decode()
        assert user.password not in text
        assert session.refresh not in text


def test_staff_need_no_mail_address(monkeypatch):
    name = f"staff.{secrets.token_hex(5)}"
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", PASSWORD)

    call_command("createsuperuser", "--no-input", "--username", name)

    assert Client().login(username=name, password=PASSWORD)


def test_staff_revoke_a_device(staff, session):
    response = staff.post(
        "/admin/accounts/device/",
        {"action": "revoke", "_selected_action": [str(session.device.pk)], "confirmed": "yes"},
        follow=True,
    )

    assert b"Revoked 1 device." in response.content
    session.device.refresh_from_db()
    assert session.device.revoked_at is not None
    assert revocations.is_revoked(session.device.pk)
    assert LogEntry.objects.filter(object_id=str(session.device.pk), change_message="Revoked.").count() == 1


def test_staff_suspend_and_restore_a_user(staff, session):
    for action, suspended, done in (("suspend", True, "Suspended"), ("restore", False, "Restored")):
        form = {"action": action, "_selected_action": [str(session.user.pk)], "confirmed": "yes"}
        for changed in ("1 user", "0 users"):
            page = staff.post("/admin/accounts/user/", form, follow=True).content.decode()
            assert f"{done} {changed}." in page

        session.user.refresh_from_db()
        assert (session.user.suspended_at is not None) is suspended
        assert LogEntry.objects.filter(object_id=str(session.user.pk), change_message=f"{done}.").count() == 1


def test_staff_cannot_make_delete_or_rename_users(staff, session):
    page = f"/admin/accounts/user/{session.user.pk}"

    assert staff.get("/admin/accounts/user/add/").status_code == 403
    assert staff.post(f"{page}/delete/", {"post": "yes"}).status_code == 403
    staff.post(f"{page}/change/", {"username": "mallory", "password": "x"})

    before = session.user.username
    session.user.refresh_from_db()
    assert session.user.username == before


def test_staff_lift_a_lock(staff):
    subject = f"user:bob.{secrets.token_hex(5)}"
    SignInAttempt.objects.create(subject=subject, failures=11, window_started_at=timezone.now())

    staff.post(
        "/admin/accounts/signinattempt/",
        {"action": "delete_selected", "_selected_action": [subject], "post": "yes"},
    )

    assert not SignInAttempt.objects.filter(subject=subject).exists()


def test_a_list_counts_exactly_while_it_is_small():
    member = Staff.objects.create_user(username=f"staff.{secrets.token_hex(5)}")

    assert EstimatedPaginator(Staff.objects.filter(pk=member.pk).order_by("pk"), 50).count == 1
    assert EstimatedPaginator(Staff.objects.order_by("pk"), 50).count == Staff.objects.count()
