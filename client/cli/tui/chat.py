"""The main screen: the rooms at the left, a conversation and the composer at the right."""

import time
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message as Notification
from textual.screen import Screen
from textual.timer import Timer
from textual.widgets import Static

from client import LetterlockError, MessageId, RoomId, State
from client.cli import commands, facts, words
from client.cli.commands import Mistyped, Spoken
from client.cli.deeds import Deeds
from client.cli.desk import EVERYTHING, Desk, News
from client.cli.text import one_line
from client.cli.tui.composer import Composer
from client.cli.tui.lists import Lines, RoomList, Transcript
from client.cli.tui.obey import about_message, obey
from client.cli.window import STEP

NARROW = 66  # columns below which rooms and conversation do not stand side by side
FLUSH_S = 0.03
REMARK_S = 8.0
NOTHING = """
 You are {me}.
 Others find you by exactly this name.

   Ctrl+N             open the newest one
   /chat NAME         begin a conversation
   /group NAME NAME   begin a group
   /request NAME      ask somebody to be a contact
   /help              everything else (F1)
"""
KEYS = "F1 help  ^T go to  ^N ^P rooms  ↑ look back  Enter send  ^J line  ^Q quit"


class Chat(Screen[None]):
    """Rooms and a conversation. What the desk tells is gathered for some milliseconds, then shown."""

    class SignedOut(Notification):
        """This device has no sign-in any more."""

    AUTO_FOCUS = "#composer"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f1", "obey('help')", "Help", priority=True),
        Binding("f2", "obey('contacts')", "Contacts", priority=True),
        Binding("f3", "obey('members')", "Members", priority=True),
        Binding("f4", "obey('devices')", "Devices", priority=True),
        Binding("ctrl+t", "go_to", "Go to", priority=True),
        Binding("ctrl+n", "next(1)", "Next room", priority=True),
        Binding("ctrl+p", "next(-1)", "Room before", priority=True),
        Binding("ctrl+b", "toggle_rooms", "Rooms", priority=True),
        Binding("escape", "back", "Back"),
        *(Binding(f"alt+{n}", f"nth({n})", show=False, priority=True) for n in range(1, 10)),
    ]

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self.desk = desk
        self.deeds = Deeds(desk)
        self._news = EVERYTHING
        self._pause = FLUSH_S
        self._flushing: Timer | None = None
        self._shown: RoomId | None = None
        self._written: dict[RoomId, str] = {}  # what is typed in rooms that are not open
        self._remark_ends: Timer | None = None
        self._to_end = False
        self._completing: tuple[list[str], int] | None = None

    def compose(self) -> ComposeResult:
        """Status, rooms, conversation, composer, keys."""
        yield Static(id="status", markup=False)
        with Horizontal(id="middle"):
            yield RoomList()
            with Vertical(id="talk"):
                yield Static(id="title", markup=False)
                yield Static(id="banner", markup=False)
                yield Static(id="nothing", markup=False)
                yield Transcript()
                yield Static(id="remark", markup=False)
                yield Composer()
        yield Static(KEYS, id="keys", markup=False)

    def on_mount(self) -> None:
        """Begin to show what the desk tells."""
        self.desk.on_news = self._heard
        self.set_interval(1.0, self.desk.forget_typing)
        # None is opened by itself: what stands in it would count as read.
        if self.desk.lines():
            self.query_one(RoomList).focus()
        self._flush()

    def on_unmount(self) -> None:
        """Nobody is shown anything any more."""
        self.desk.on_news = lambda _: None

    # Showing.

    def _heard(self, news: News) -> None:
        self._news |= news
        if self._flushing is None and self.is_mounted:
            self._flushing = self.set_timer(self._pause, self._flush)

    def _flush(self) -> None:
        began = time.monotonic()
        self._show_news()
        # While very much comes, showing it takes a fifth of the time and no more.
        self._pause = max(FLUSH_S, 4 * (time.monotonic() - began))

    def _show_news(self) -> None:
        self._flushing, news, self._news = None, self._news, News(0)
        if not self.desk.client.is_signed_in:
            self.post_message(self.SignedOut())
            return
        if news & News.ROWS:
            self.transcript.show_rows(self.desk.rows(), to_end=self._to_end)
            self._to_end = False
        if news & (News.ROOMS | News.STATE | News.BANNER):
            self._show_frame()
        if news & News.TYPING:
            self._show_below()
        self.call_after_refresh(self._seen)

    def _show_frame(self) -> None:
        window, state = self.desk.window, self.desk.client.state
        self.query_one(RoomList).show_rooms(self.desk.lines(), window.room if window is not None else None)
        status = self.query_one("#status", Static)
        status.set_class(state in {State.OFFLINE, State.CONNECTING}, "away")
        status.set_class(state is State.STOPPED, "stopped")
        status.update(facts.status(self.desk, max(self.size.width - 2, 10)))
        heading = self.query_one("#title", Static)
        heading.update(facts.heading(self.desk, max(heading.size.width, 10)))
        self.set_class(window is None, "nothing-open")
        self.query_one("#nothing", Static).update(NOTHING.format(me=one_line(self.desk.client.me.username, 32)))
        banner = self.query_one("#banner", Static)
        banner.update(text := facts.banner(self.desk))
        banner.set_class(bool(text), "shown")

    def _show_below(self, remark: str = "", *, wrong: bool = False) -> None:
        below = self.query_one("#remark", Static)
        hint = commands.hint(self.composer.text, facts.where(self.desk))
        if remark or hint or self._remark_ends is None:  # a remark stays, unless there is something newer to say
            below.set_class(wrong and not hint, "wrong")
            below.update(hint or remark or self.desk.typing())

    def say(self, sentence: str, *, wrong: bool = False) -> None:
        """Say something to the user, in the line above the composer, for a while."""
        if self._remark_ends is not None:
            self._remark_ends.stop()
        self._remark_ends = self.set_timer(REMARK_S, self._unsay)
        self._show_below(sentence, wrong=wrong)

    def _unsay(self) -> None:
        if self._remark_ends is not None:
            self._remark_ends.stop()
            self._remark_ends = None
        self._show_below()

    def _seen(self) -> None:
        """What stands at the end of an open conversation before a user who looks is read."""
        looks = self.is_current and self.app.app_focus and self._talk_is_shown()
        self.desk.look(at_the_end=looks and self.transcript.is_at_end)

    def _talk_is_shown(self) -> bool:
        return not self.has_class("narrow") or self.has_class("talking")

    # The open room.

    @property
    def composer(self) -> Composer:
        """Where the user types."""
        return self.query_one(Composer)

    @property
    def transcript(self) -> Transcript:
        """The conversation."""
        return self.query_one(Transcript)

    def go(self, room: RoomId) -> None:
        """Open a room."""
        self.desk.open(room)
        self.went()

    def went(self) -> None:
        """A room was opened; what was typed in the other one waits there."""
        room = self.desk.window.room if self.desk.window is not None else None
        if self._shown is not None:
            self._written[self._shown] = self.composer.text
        if room is not None and (self._shown is not None or room in self._written):
            self.composer.replace_all(self._written.pop(room, ""))
        self._shown = room
        self.set_class(room is not None, "talking")
        self._to_end = True
        self._heard(EVERYTHING)
        self.composer.focus()

    def action_next(self, by: int) -> None:
        """The next room of the list, or the one before."""
        ids = [line.id for line in self.desk.lines()]
        if ids:
            open_id = self.desk.window.room if self.desk.window is not None else None
            self.go(ids[(ids.index(open_id) + by) % len(ids)] if open_id in ids else ids[0])

    def action_nth(self, number: int) -> None:
        """The room at this place of the list."""
        lines = self.desk.lines()
        if number <= len(lines):
            self.go(lines[number - 1].id)

    def action_go_to(self) -> None:
        """Type where to go."""
        self.composer.replace_all("/chat ")
        self.composer.focus()

    def action_toggle_rooms(self) -> None:
        """Show the rooms, or have their columns."""
        if self.has_class("narrow"):
            self.toggle_class("talking")
        else:
            self.toggle_class("without-rooms")

    def action_back(self) -> None:
        """Away from an alert, a command, or looking back; on a narrow screen, to the rooms."""
        if self.desk.put_alert_away():
            return
        if self.composer.has_focus:
            if self.composer.text.startswith("/"):
                self.composer.replace_all("")
            elif self.has_class("narrow"):
                self.remove_class("talking")
                self.query_one(RoomList).focus()
            return
        self.composer.focus()
        self.transcript.scroll_end(animate=False)

    def on_resize(self, event: events.Resize) -> None:
        """Side by side, or one at a time."""
        self.set_class(event.size.width < NARROW, "narrow")
        self._heard(EVERYTHING)

    def on_app_focus(self) -> None:
        """The terminal's window is in front again."""
        self._seen()

    def on_app_blur(self) -> None:
        """Nobody looks."""
        self._seen()

    def on_screen_suspend(self) -> None:
        """A dialog stands before it."""
        self.desk.look(at_the_end=False)

    def on_screen_resume(self) -> None:
        """A dialog is gone: what is there may be seen now."""
        self._heard(EVERYTHING)

    # Typing.

    def on_text_area_changed(self) -> None:
        """Hints for commands; others may see that somebody writes."""
        text = self.composer.text
        if self._completing is not None and text not in self._completing[0]:
            self._completing = None
        if self.desk.window is not None and text and not text.startswith("/") and self.composer.has_focus:
            self.desk.client.typing(self.desk.window.room)
        self._show_below()

    def on_composer_completion_wanted(self) -> None:
        """Tab: the next of what the command may become."""
        if self._completing is None:
            found = commands.completions(self.composer.text, facts.completions(self.desk), facts.where(self.desk))
            if not found:
                return
            self._completing = (found, 0)
        else:
            found, at = self._completing
            self._completing = (found, (at + 1) % len(found))
        found, at = self._completing
        self.composer.replace_all(found[at])
        if len(found) == 1:
            self._completing = None

    def on_composer_handed(self, event: Composer.Handed) -> None:
        """Keys for the conversation."""
        getattr(self.transcript, event.scroll)(animate=False)

    def on_composer_looking_back(self) -> None:
        """Up: choose among what was said."""
        self.transcript.chosen = None
        self.transcript.focus()

    def on_composer_submitted(self, event: Composer.Submitted) -> None:
        """Enter: say it, or do it. What is neither comes back to be mended."""
        typed = event.text.strip("\n")
        self._to_end = True
        match commands.read(typed, facts.where(self.desk)):
            case _ if not typed.strip():
                pass
            case Mistyped(advice=advice):
                self._give_back(event.text)
                self.say(advice, wrong=True)
            case Spoken() as spoken:
                self.run_worker(self._obey(spoken), group="commands")
                return
            case text:
                self._say(text, event.text)
        self.composer.is_deaf = False

    def _say(self, text: str, typed: str) -> None:
        try:
            self.deeds.say(text)
        except LetterlockError as error:
            self._give_back(typed)
            self.say(f"not sent: {words.of_error(error)}", wrong=True)
        else:
            self._unsay()

    def _give_back(self, typed: str) -> None:
        if not self.composer.text:
            self.composer.replace_all(typed)

    def action_obey(self, name: str) -> None:
        """A command by its key."""
        match commands.read(f"/{name}", facts.where(self.desk)):
            case Spoken() as spoken:
                self.run_worker(self._obey(spoken), group="commands")
            case Mistyped(advice=advice):
                self.say(advice, wrong=True)

    async def _obey(self, spoken: Spoken) -> None:
        try:
            remark = await obey(self, spoken)
        except LetterlockError as error:
            self.say(words.of_error(error), wrong=True)
        else:
            if remark:
                self.say(remark)
        finally:
            for composer in self.query(Composer):  # none is left when this ends with the screen
                composer.is_deaf = False

    # Choosing.

    def on_lines_chosen(self, event: Lines.Chosen) -> None:
        """A room is gone to; a message is asked what to do with it."""
        if event.sender.id == "rooms":
            self.go(RoomId(event.key))
        else:
            self.run_worker(about_message(self, MessageId(event.key)), group="commands")

    def on_lines_typed(self, event: Lines.Typed) -> None:
        """Who begins to write means the composer."""
        self.composer.focus()
        self.composer.insert(event.letter)

    def on_transcript_looked(self) -> None:
        """At the end, what came meanwhile is seen now."""
        self._seen()

    def on_transcript_at_the_top(self) -> None:
        """Bring older messages."""
        window = self.desk.window
        if window is not None and not window.is_whole and window.more(STEP):
            self._heard(News.ROWS)
