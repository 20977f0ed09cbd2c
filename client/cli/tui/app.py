"""The application: one client, and the screens around it."""

import asyncio
import traceback
from typing import Any, ClassVar

from rich.text import Text
from textual.app import App
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen

from client import Client, Conflict, Lag, LetterlockError, UserId
from client.cli import questions
from client.cli.desk import Desk
from client.cli.place import Place
from client.cli.questions import Asker, Question
from client.cli.text import clean
from client.cli.tui.chat import Chat
from client.cli.tui.dialogs import Choose
from client.cli.tui.entrance import Entrance
from client.cli.words import now_ms


class Letterlock(App[int]):
    """A messenger in a terminal. `client` is open, and is closed by whoever opened it; it asks through `asker`."""

    CSS_PATH = "letterlock.tcss"
    TITLE = "Letterlock"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [Binding("ctrl+q", "quit", "Quit", priority=True)]

    def __init__(self, client: Client, place: Place, asker: Asker) -> None:
        super().__init__()
        self.client, self.place = client, place
        self._desk: Desk | None = None
        asker.conflict, asker.lag = self._ask_about_conflict, self._ask_about_lag

    async def on_mount(self) -> None:
        """To the conversations, or to the entrance."""
        if self.client.is_signed_in:
            await self._begin()
        else:
            self.push_screen(Entrance(self.client, self.place.url))

    async def on_unmount(self) -> None:
        """Leave the desk; what waits stays in the store."""
        if self._desk is not None:
            self.place.keep_names(self._desk.names.first)
            await self._desk.__aexit__()

    async def on_entrance_entered(self) -> None:
        """Somebody has signed in."""
        self.place.keep()
        self.pop_screen()
        await self._begin()

    async def _begin(self) -> None:
        self._desk = await Desk(self.client, kept_names=self.place.kept_names()).__aenter__()
        await self.push_screen(Chat(self._desk))

    async def on_chat_signed_out(self) -> None:
        """This device's sign-in has ended: another device revoked it, or it was away for too long."""
        if self._desk is None:
            return
        desk, self._desk = self._desk, None
        username = desk.names[desk.me]
        await desk.__aexit__()
        while len(self.screen_stack) > 1:
            self.pop_screen()
        why = f"{username} is signed out on this device. What was said is still here: sign in again to read on."
        self.push_screen(Entrance(self.client, self.place.url, username=username, why=why))

    def _fatal_error(self) -> None:
        """A mistake of ours: where it was, without the values there, which may be messages and passwords."""
        self.panic(Text(clean(traceback.format_exc())))

    # What the client asks back. It may ask while another question stands there: then behind it.

    async def _ask(self, question: Question) -> bool:
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

        def answered(choice: str | None) -> None:
            if not answer.done():
                answer.set_result(choice == "yes")

        screen = Choose(question.title, question.body, [("no", question.no), ("yes", question.yes)])
        self.call_later(self.push_screen, screen, answered)
        try:
            return await answer
        finally:
            if screen.is_attached and not answer.done():
                screen.dismiss(None)

    async def _ask_about_conflict(self, conflict: Conflict) -> bool:
        try:
            devices = {device.id: device.name for device in await self.client.devices()}
        except LetterlockError:
            devices = {}
        who = self._called(conflict.connection.user) or conflict.connection.username
        return await self._ask(questions.of_conflict(conflict, who, devices, now_ms()))

    async def _ask_about_lag(self, lag: Lag) -> bool:
        who = lag.change.username or self._called(lag.change.user) or "somebody"
        return await self._ask(questions.of_lag(lag, who, now_ms()))

    def _called(self, user: UserId | None) -> str:
        return "" if self._desk is None or user is None else self._desk.names[user]

    @property
    def modal(self) -> ModalScreen[Any] | None:
        """The dialog that stands in front, if one does."""
        return self.screen if isinstance(self.screen, ModalScreen) else None
