"""The way in: signing up, signing in, and signing in with the recovery key."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message as Notification
from textual.screen import Screen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from client import Client, SignedIn
from client.cli.accounts import host_name
from client.cli.names import folded
from client.cli.place import is_in_the_open
from client.cli.text import one_line
from client.cli.tui import keys
from client.cli.tui.dialogs import Field, Form

WELCOME = """\
Letterlock

Messages that only the people in the conversation can read.
Server: {url}
"""
IN_THE_OPEN = "\nThis address is plain http: who listens on the way sees whom you write to.\n"


class Entrance(Screen[None]):
    """Choose how to come in. The application is told when somebody has."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "app.quit", "Quit")]

    class Entered(Notification):
        """Somebody has signed in."""

    def __init__(self, client: Client, url: str, *, username: str = "", why: str = "") -> None:
        super().__init__()
        self._client, self._url, self._username, self._why = client, url, username, why

    def compose(self) -> ComposeResult:
        """A word of welcome and the ways in."""
        text = WELCOME.format(url=one_line(self._url, 60)) + (IN_THE_OPEN if is_in_the_open(self._url) else "")
        with Vertical(id="welcome"):
            with Vertical(classes="dialog"):
                yield Static(text + (f"\n{self._why}\n" if self._why else ""), markup=False)
                yield OptionList(
                    Option("Sign in", id="sign-in"),
                    Option("Sign up: make an account", id="sign-up"),
                    Option("Sign in with the recovery key: the password is lost", id="recover"),
                    Option("Quit", id="quit"),
                    markup=False,
                    compact=True,
                )
                yield Static("Up and Down choose, Enter goes on, Ctrl+Q quits", classes="keys", markup=False)

    def on_mount(self) -> None:
        """Begin at the first."""
        options = self.query_one(OptionList)
        options.highlighted = 0
        options.focus()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Go that way."""
        event.stop()
        match event.option.id:
            case "sign-in":
                self.run_worker(self._sign_in())
            case "sign-up":
                self.run_worker(self._sign_up())
            case "recover":
                self.run_worker(self._recover())
            case _:
                self.app.exit(0)

    async def _sign_in(self) -> None:
        fields = [
            Field("username", "User name", self._username),
            Field("password", "Password", secret=True),
            Field("device", "Name of this device", host_name()),
        ]

        async def enter(values: dict[str, str]) -> SignedIn:
            return await self._client.sign_in(
                folded(values["username"]), values["password"], device_name=values["device"]
            )

        await self._enter(Form("Sign in", "", fields, enter, verb="sign in"))

    async def _sign_up(self) -> None:
        fields = [
            Field("username", "User name: 3 to 32 of a-z, 0-9, . _ -", self._username),
            Field("password", "Password", secret=True),
            Field("again", "The same password again", secret=True),
            Field("device", "Name of this device", host_name()),
        ]

        async def enter(values: dict[str, str]) -> SignedIn:
            return await self._client.register(
                folded(values["username"]), keys.chosen(values), device_name=values["device"]
            )

        await self._enter(
            Form("Sign up", "", fields, enter, verb="sign up", remark=lambda values: keys.remark(values, ()))
        )

    async def _recover(self) -> None:
        fields = [
            Field("username", "User name", self._username),
            Field("key", "Recovery key: 48 letters, spaces do not matter", secret=True),
            Field("password", "A new password (empty: keep the old one)", secret=True, optional=True),
            Field("again", "The new password again", secret=True, optional=True),
            Field("device", "Name of this device", host_name()),
        ]

        async def enter(values: dict[str, str]) -> SignedIn:
            return await self._client.recover(
                folded(values["username"]), values["key"], device_name=values["device"],
                new_password=keys.chosen(values) or None,
            )  # fmt: skip

        await self._enter(
            Form(
                "Sign in with the recovery key", "", fields, enter, verb="sign in", remark=lambda v: keys.remark(v, ())
            )
        )

    async def _enter(self, form: Form[SignedIn]) -> None:
        if await self.app.push_screen_wait(form):
            await keys.show_recovery_key(self.app, self._client)
            self.post_message(self.Entered())
