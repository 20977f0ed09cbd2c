"""Staff choose rows of the admin's lists in a browser: one by one, or a range by shift and click; never a whole table."""

import asyncio
import secrets

import pytest
import pytest_asyncio
from django.contrib.auth.hashers import make_password
from playwright.async_api import expect

from accounts.models import Device, Staff, User
from tests.alerts.conftest import open_alert

ROWS = 51


def fill():
    """More than one page of each list; the name of somebody who may see them."""
    tag = secrets.token_hex(5)
    users = User.objects.bulk_create(User(username=f"mallory{n}.{tag}", password="!") for n in range(ROWS))
    Device.objects.bulk_create(Device(user=user, name="burner") for user in users)
    for _ in range(ROWS):
        open_alert()
    password = make_password("correct horse")
    Staff.objects.create(username=tag, password=password, is_staff=True, is_superuser=True)
    return tag


@pytest_asyncio.fixture(loop_scope="session")
async def clerk(browser, system, complaints):
    """Signed in at the admin, in a browser."""
    name = await asyncio.to_thread(fill)
    page = await browser.new_page(base_url=system.url)
    complaints.listen(page, "clerk")
    await page.goto("/admin/login/?next=/healthz")
    await page.get_by_label("Username").fill(name)
    await page.get_by_label("Password").fill("correct horse")
    await page.get_by_role("button", name="Log in").click()
    yield page
    await page.close()


@pytest.mark.parametrize("rows", ["accounts/user", "accounts/device", "delivery/abusealert"])
async def test_shift_and_click_choose_a_range(clerk, rows):
    await clerk.goto(f"/admin/{rows}/")
    boxes = clerk.locator("input.action-select")

    await boxes.nth(1).click()
    await boxes.nth(4).click(modifiers=["Shift"])

    assert [await boxes.nth(row).is_checked() for row in range(6)] == [False, True, True, True, True, False]
    await expect(clerk.locator(".action-counter")).to_have_text("4 of 50 selected")


async def test_nobody_chooses_more_than_a_page(clerk):
    await clerk.goto("/admin/accounts/user/")

    await clerk.locator("#action-toggle").click()

    await expect(clerk.locator(".action-counter")).to_have_text("50 of 50 selected")
    await expect(clerk.locator(".actions .question")).to_have_count(0)
