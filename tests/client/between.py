"""Somebody between a client and the real server: loses requests and answers, and says other things than the server did."""

import asyncio
from collections.abc import Callable
from typing import Any

from client import Client, Unreachable

Lie = Callable[[Any], Any]


class Between:
    """Stands in the way of one client's REST.

    `passed`: what has been asked, as "GET e2ee/vault". `says("GET e2ee/vault", lie)`: from now on answers to what begins so go
    through `lie`, which may raise. `cuts(3, "answer")`: the third request from now reaches the server, and its answer does
    not come back (`request`: it does not even get there); nothing does from then on.
    """

    def __init__(self, client: Client) -> None:
        self._request = client._rest.request
        client._rest.request = self.request  # type: ignore[method-assign]
        self.passed: list[str] = []
        self.lies: dict[str, Lie] = {}
        self._left: int | None = None
        self._what = ""
        self.is_cut = False

    def says(self, asked: str, lie: Lie) -> None:
        self.lies[asked] = lie

    def cuts(self, number: int, what: str) -> None:
        self._left, self._what = number, what

    def mends(self) -> None:
        """Everything comes through again."""
        self._left, self.is_cut = None, False

    async def request(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        asked = f"{method} {path}"
        if self.is_cut:
            raise Unreachable(f"{asked}: nothing comes through")
        if self._left is not None:
            self._left -= 1
        self.is_cut = self._left == 0
        if self.is_cut and self._what == "request":
            raise Unreachable(f"{asked}: not sent")
        self.passed.append(asked)
        answer = await self._request(method, path, body, **more)
        if self.is_cut:
            raise Unreachable(f"{asked}: not answered")
        for begins, lie in self.lies.items():
            if asked.startswith(begins):
                answer = lie(answer)
        return answer

    def count(self, asked: str) -> int:
        return sum(each.startswith(asked) for each in self.passed)


class Gate:
    """Holds the answers to what begins so back, also refusals: `reached` is set when there is one, `open` lets them go."""

    def __init__(self, client: Client, asked: str) -> None:
        self._request, self._asked = client._rest.request, asked
        client._rest.request = self.request  # type: ignore[method-assign]
        self.reached, self.open = asyncio.Event(), asyncio.Event()

    async def request(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        try:
            return await self._request(method, path, body, **more)
        finally:
            if f"{method} {path}".startswith(self._asked):
                self.reached.set()
                await self.open.wait()
