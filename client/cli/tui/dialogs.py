"""Questions and forms in front of the screen. Everything is text without markup; Escape means no."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Generic, TypeVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from client import LetterlockError, Refused, WeakPassword, WrongSecret
from client.cli import words

T = TypeVar("T")


class Wrong(LetterlockError):
    """What was typed will not do; the text says why."""


class Choose(ModalScreen[str | None]):
    """One of a few: answers its key; None for Escape."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(None)", "Back")]

    def __init__(self, title: str, body: str, choices: Sequence[tuple[str, str]], *, chosen: int = 0) -> None:
        super().__init__()
        self._title, self._body, self._choices, self._chosen = title, body, choices, chosen

    def compose(self) -> ComposeResult:
        """Title, text, choices."""
        with Vertical(classes="dialog"):
            yield Static(self._title, classes="title", markup=False)
            if self._body:
                with VerticalScroll(classes="body", can_focus=False):
                    yield Static(self._body, markup=False)
            yield OptionList(*(Option(label, id=key) for key, label in self._choices), markup=False, compact=True)

    def on_mount(self) -> None:
        """Begin at the choice that does no harm."""
        options = self.query_one(OptionList)
        options.highlighted = self._chosen if self._choices else None
        options.focus()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Answer."""
        event.stop()
        self.dismiss(event.option.id)


@dataclass(frozen=True, slots=True)
class Field:
    """Something to type in. `secret`: not shown; `optional`: may stay empty."""

    name: str
    label: str
    value: str = ""
    secret: bool = False
    optional: bool = False
    placeholder: str = ""


class Form(ModalScreen[T | None], Generic[T]):
    """Fields and what becomes of them: `submit` is awaited with the values, and its answer is the form's.

    While it raises LetterlockError the form stays, and says why. `remark` is asked after each key for a line about the values.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Back"),
        # With priority, so that the field has changed before the next key is dealt with: keys come faster than messages, and
        # a password must not end in the field above.
        Binding("enter", "enter", priority=True),
        Binding("up", "previous", show=False),
        Binding("down", "next", show=False),
    ]

    def __init__(
        self, title: str, body: str, fields: Sequence[Field], submit: Callable[[dict[str, str]], Awaitable[T]], *,
        verb: str = "go on", back: str = "back", remark: Callable[[dict[str, str]], str] | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self._title, self._body, self._fields = title, body, fields
        self._submit, self._verb, self._back, self._remark = submit, verb, back, remark
        self._busy = False

    def compose(self) -> ComposeResult:
        """Title, text, a line per field, what is wrong, what the keys do."""
        with Vertical(classes="dialog"):
            yield Static(self._title, classes="title", markup=False)
            if self._body:
                with VerticalScroll(classes="body", can_focus=False):
                    yield Static(self._body, markup=False)
            for field in self._fields:
                yield Static(field.label, classes="label", markup=False)
                yield Input(
                    field.value,
                    password=field.secret,
                    id=f"field-{field.name}",
                    placeholder=field.placeholder,
                    compact=True,
                )
            yield Static("", id="remark", markup=False)
            yield Static("", id="wrong", markup=False)
            yield Static(f"Enter: {self._verb}   Esc: {self._back}", classes="keys", markup=False)

    def on_mount(self) -> None:
        """Begin at the first field that is empty."""
        inputs = list(self.query(Input))
        empty = next((field for field in inputs if not field.value), inputs[0] if inputs else None)
        if empty is not None:
            self.set_focus(empty)
        self._say_remark()

    @property
    def values(self) -> dict[str, str]:
        """What is typed so far."""
        return {field.name: self.query_one(f"#field-{field.name}", Input).value for field in self._fields}

    def on_input_changed(self) -> None:
        """Say something about it."""
        self._say_remark()

    def _say_remark(self) -> None:
        if self._remark is not None:
            self.query_one("#remark", Static).update(self._remark(self.values))

    def action_enter(self) -> None:
        """To the next field; behind the last one that had to be filled in, do it."""
        inputs = list(self.query(Input))
        at = inputs.index(self.focused) if isinstance(self.focused, Input) else 0
        if any(not field.value for field in self._fields[at + 1 :]):
            self.set_focus(inputs[at + 1])
        else:
            inputs[at].call_later(self._enter)  # behind the keys that the field has still to take

    def _enter(self) -> None:
        values = self.values
        missing = next((f for f in self._fields if not f.optional and not values[f.name]), None)
        if missing is not None:
            self.set_focus(self.query_one(f"#field-{missing.name}", Input))
        elif not self._busy:
            self._busy = True
            self._say("one moment…")
            self.run_worker(self._do(), exclusive=True)

    async def _do(self) -> None:
        try:
            answer = await self._submit(self.values)
        except LetterlockError as error:
            self._say(words.of_error(error))
            wrong = isinstance(error, Wrong | WeakPassword | WrongSecret)
            if wrong or (isinstance(error, Refused) and error.code == "bad_credentials"):
                self._ask_secrets_again()
        else:
            self.dismiss(answer)
        finally:
            self._busy = False

    def _ask_secrets_again(self) -> None:
        inputs = [field for field in self.query(Input) if field.password]
        for field in inputs:
            field.value = ""
        if inputs:
            self.set_focus(inputs[0])

    def _say(self, wrong: str) -> None:
        self.query_one("#wrong", Static).update(wrong)

    def action_leave(self) -> None:
        """Not now. What is on its way to the server is not called back."""
        if not self._busy:
            self.dismiss(None)

    def action_previous(self) -> None:
        """To the field above."""
        self.focus_previous(Input)

    def action_next(self) -> None:
        """To the field below."""
        self.focus_next(Input)


class Show(ModalScreen[None]):
    """A text to read, as long as it may be."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,enter,q", "dismiss(None)", "Back"),
    ]

    def __init__(self, title: str, body: str) -> None:
        super().__init__()
        self._title, self._body = title, body

    def compose(self) -> ComposeResult:
        """Title and text."""
        with Vertical(classes="dialog tall"):
            yield Static(self._title, classes="title", markup=False)
            with VerticalScroll(classes="page"):
                yield Static(self._body, markup=False)
            yield Static("Esc: back", classes="keys", markup=False)

    def on_mount(self) -> None:
        """The keys scroll."""
        self.query_one(VerticalScroll).focus()
