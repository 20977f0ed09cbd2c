"""Somebody who works here, at the admin."""

import asyncio
import secrets
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from accounts.models import Staff


class Clerk:
    """A staff member at a browser. Everything runs in a thread of its own: the ORM is not for the event loop."""

    def __init__(self, **rights: Any) -> None:
        self.rights = rights
        self.client = Client()

    async def signs_in(self) -> "Clerk":
        """With an account made for the purpose."""
        await asyncio.to_thread(self._sign_in)
        return self

    def _sign_in(self) -> None:
        staff = Staff.objects.create(username=f"clerk.{secrets.token_hex(5)}", is_staff=True, **self.rights)
        self.client.force_login(staff)

    async def opens(self, path: str, status: int = 200) -> str:
        """GET a page of the admin; its text."""
        return await asyncio.to_thread(self._get, path, status)

    def _get(self, path: str, status: int) -> str:
        answer = self.client.get(f"/admin/{path}", headers={"host": "127.0.0.1"})
        assert answer.status_code == status, (path, answer.status_code)
        return str(answer.content.decode())

    async def chooses(self, path: str, action: str, row: Any, **fields: Any) -> str:
        """Do an action on one row of a list; the text of the page that follows."""
        form = {"action": action, "_selected_action": row, "index": 0, **fields}
        return await asyncio.to_thread(self._post, path, form)

    def _post(self, path: str, form: dict[str, Any]) -> str:
        answer = self.client.post(f"/admin/{path}", form, follow=True, headers={"host": "127.0.0.1"})
        assert answer.status_code == 200, answer.status_code
        return str(answer.content.decode())


@pytest.fixture
async def clerk() -> Clerk:
    """May do everything."""
    return await Clerk(is_superuser=True).signs_in()


@pytest.fixture
def a_clerk() -> Callable[..., Clerk]:
    """Makes others."""
    return Clerk
