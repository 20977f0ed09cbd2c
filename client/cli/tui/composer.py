"""Where the user types: Enter sends, Tab completes commands, Ctrl+J or Alt+Enter begins a new line."""

from textual import events
from textual.message import Message as Notification
from textual.widgets import TextArea

from client.cli import commands
from client.cli.text import clean

NEWLINES = frozenset({"ctrl+j", "alt+enter", "shift+enter"})
# What the conversation answers to while the user types.
HANDED_ON = {
    "pageup": "scroll_page_up",
    "pagedown": "scroll_page_down",
    "ctrl+home": "scroll_home",
    "ctrl+end": "scroll_end",
}


class Composer(TextArea):
    """A few lines of text. Nothing is sent from here: the screen is told."""

    class Submitted(Notification):
        """Enter was pressed."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class CompletionWanted(Notification):
        """Tab was pressed."""

    class Handed(Notification):
        """A key that is meant for the conversation."""

        def __init__(self, scroll: str) -> None:
            super().__init__()
            self.scroll = scroll

    class LookingBack(Notification):
        """Up was pressed where there is nothing above."""

    def __init__(self, *, id: str = "composer") -> None:
        super().__init__(
            id=id, soft_wrap=True, show_line_numbers=False, tab_behavior="focus", highlight_cursor_line=False
        )
        # Deaf after a command that asks for something: what is typed ahead may be the password that it will ask for.
        self.is_deaf = False

    async def _on_key(self, event: events.Key) -> None:
        key = event.key
        if self.is_deaf:
            pass
        elif key == "enter":
            # Emptied at once: the next keys are of the next text.
            text = self.text
            self.is_deaf = commands.asks(text)
            self.load_text("")
            self.post_message(self.Submitted(text))
        elif key in NEWLINES:
            self.insert("\n")
        elif key == "tab" and self.text.startswith("/"):
            self.post_message(self.CompletionWanted())
        elif key in HANDED_ON:
            self.post_message(self.Handed(HANDED_ON[key]))
        elif key == "up" and self.cursor_at_first_line and not self.text:
            self.post_message(self.LookingBack())
        else:
            await super()._on_key(event)
            return
        event.prevent_default()
        event.stop()

    async def _on_paste(self, event: events.Paste) -> None:
        """What is pasted is text, whatever it pretends to be."""
        event.prevent_default()
        event.stop()
        if not self.is_deaf:
            self.insert(clean(event.text))

    def replace_all(self, text: str) -> None:
        """Put another text there, with the cursor at its end."""
        self.load_text(text)
        self.move_cursor(self.document.end)
