"""Lines that scroll and can be chosen from: the conversation (its end stays in sight) and the room list."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message as Notification
from textual.scroll_view import ScrollView
from textual.strip import Strip

from client.cli import render
from client.cli.model import Bubble, RoomLine, Row
from client.cli.names import room_title
from client.cli.text import cut, pad


@dataclass(frozen=True, slots=True)
class Item:
    """Something with some lines; `key` stays the same when its lines change. Not everything can be chosen."""

    key: str
    lines: tuple[Strip, ...]
    can_be_chosen: bool = True


class Lines(ScrollView, can_focus=True):
    """Items one below the other. Up and down move between those that can be chosen; Enter or a click chooses."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"lines--chosen"}

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)", show=False),
        Binding("down", "move(1)", show=False),
        Binding("enter", "choose", show=False),
    ]

    class Chosen(Notification):
        """An item was chosen."""

        def __init__(self, sender: "Lines", key: str) -> None:
            super().__init__()
            self.sender, self.key = sender, key

        @property
        def control(self) -> "Lines":
            """Whose item it is."""
            return self.sender

    class Typed(Notification):
        """A letter was typed."""

        def __init__(self, letter: str) -> None:
            super().__init__()
            self.letter = letter

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self.chosen: str | None = None  # where up and down have come to
        self._items: list[Item] = []
        self._starts: list[int] = []
        self._strips: list[tuple[Strip, str]] = []  # with the key of their item
        self._lead = 0  # empty lines above the first item

    def show(self, items: Sequence[Item], *, lead: int = 0) -> None:
        """Show these instead."""
        self._items, self._lead = list(items), lead
        self._strips = [(strip, item.key) for item in items for strip in item.lines]
        starts, at = [], lead
        for item in items:
            starts.append(at)
            at += len(item.lines)
        self._starts = starts
        self.virtual_size = Size(self.scrollable_content_region.width, at)
        if self.chosen is not None and all(item.key != self.chosen for item in items):
            self.chosen = None
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """One line of what is in sight."""
        width = self.scrollable_content_region.width
        at = y + self.scroll_offset.y - self._lead
        if not 0 <= at < len(self._strips):
            return Strip.blank(width, self.rich_style)
        strip, key = self._strips[at]
        style = self.rich_style
        if key == self.chosen and self.has_focus:
            style += self.get_component_rich_style("lines--chosen", partial=True)
        return strip.apply_style(style).crop_extend(0, width, style)

    # Moving and choosing.

    def action_move(self, by: int) -> None:
        """Go to the next one that can be chosen."""
        able = [index for index, item in enumerate(self._items) if item.can_be_chosen]
        if not able:
            return
        now = next((i for i in able if self._items[i].key == self.chosen), None)
        if now is None:
            to = able[-1] if by < 0 else able[0]
        else:
            to = able[min(max(able.index(now) + by, 0), len(able) - 1)]
        self.chosen = self._items[to].key
        item = self._items[to]
        self.scroll_to_region(Region(0, self._starts[to], 1, len(item.lines)), animate=False, force=True)
        self.refresh()

    def action_choose(self) -> None:
        """Say that this one is meant."""
        if self.chosen is not None:
            self.post_message(self.Chosen(self, self.chosen))

    def on_key(self, event: events.Key) -> None:
        """Who begins to write here means the composer."""
        if event.is_printable and event.character:
            event.stop()
            self.post_message(self.Typed(event.character))

    def on_click(self, event: events.Click) -> None:
        """The mouse chooses."""
        at = event.y + self.scroll_offset.y - self._lead
        if 0 <= at < len(self._strips):
            key = self._strips[at][1]
            if any(item.key == key and item.can_be_chosen for item in self._items):
                self.chosen = key
                self.action_choose()

    def on_focus(self) -> None:
        """Something is chosen as soon as keys arrive."""
        if self.chosen is None:
            self.action_move(-1)
        self.refresh()

    def on_blur(self) -> None:
        """The choice is not shown without focus."""
        self.refresh()


class Transcript(Lines):
    """The conversation. What is newest stays in sight, unless somebody has scrolled back."""

    COMPONENT_CLASSES: ClassVar[set[str]] = Lines.COMPONENT_CLASSES | {
        f"transcript--{name}"
        for name in (
            "text", "instead", "trouble", "notice", "clock", "day", "day-line", "new", "new-line", "author-me",
            *(f"author-{n}" for n in range(render.AUTHORS)), *render.TICK_STYLES.values(),
        )
    }  # fmt: skip

    class AtTheTop(Notification):
        """Older messages are wanted."""

    class Looked(Notification):
        """The newest message has come into sight, or has gone out of it."""

    def __init__(self, *, id: str = "transcript") -> None:
        super().__init__(id=id)
        self._rows: list[Row] = []
        self._made: dict[Row, tuple[Strip, ...]] = {}
        self._made_for: tuple[int, str] = (0, "")
        # Kept apart from where it is scrolled to: that lags behind what is shown by a layout.
        self._follows = True

    @property
    def is_at_end(self) -> bool:
        """Whether the newest line is in sight, or will be as soon as it is laid out."""
        return self._follows

    def show_rows(self, rows: Sequence[Row], *, to_end: bool = False) -> None:
        """Show these rows; stay at the end, or else where one was."""
        stays = self._follows = to_end or self._follows
        anchor = None if stays else self._anchor()
        self._rows = list(rows)
        self._lay_out()
        if stays:
            # Where the end is may be known only after the next layout.
            self.call_after_refresh(self._go_to_end)
        elif anchor is not None:
            self._return_to(*anchor)

    def _go_to_end(self) -> None:
        self.scroll_end(animate=False, immediate=True, x_axis=False)

    def _lay_out(self) -> None:
        width = self.scrollable_content_region.width
        stamp = (width, self.app.theme)
        known = self._made if self._made_for == stamp else {}
        self._made_for = stamp
        self._made = {row: known.get(row) or self._strips_of(row, width) for row in self._rows}
        items = [Item(row.key, self._made[row], isinstance(row, Bubble)) for row in self._rows]
        count = sum(len(item.lines) for item in items)
        self.show(items, lead=max(0, self.size.height - count))

    def _strips_of(self, row: Row, width: int) -> tuple[Strip, ...]:
        return tuple(
            Strip(
                [
                    Segment(text, self.get_component_rich_style(f"transcript--{style}", partial=True))
                    for text, style in line
                ]
            )
            for line in render.lines_of(row, width)
        )

    def _anchor(self) -> tuple[str, int] | None:
        """The first message in sight, and how far above it the sight begins. Other rows may go elsewhere."""
        top = self.scroll_offset.y
        for item, start in zip(self._items, self._starts, strict=True):
            if item.can_be_chosen and start + len(item.lines) > top:
                return item.key, top - start
        return None

    def _return_to(self, key: str, into: int) -> None:
        for item, start in zip(self._items, self._starts, strict=True):
            if item.key == key:
                self.scroll_to(y=start + into, animate=False, immediate=True, force=True)

    def on_resize(self) -> None:
        """Lay out anew for the new width."""
        self.show_rows(self._rows, to_end=self._follows)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Near the top, older messages are wanted."""
        super().watch_scroll_y(old_value, new_value)
        if new_value <= 2 < old_value:
            self.post_message(self.AtTheTop())
        if self._follows != (new_value >= self.max_scroll_y):
            self._follows = not self._follows
            self.post_message(self.Looked())

    def action_scroll_up(self) -> None:
        """At the very top, ask for more."""
        super().action_scroll_up()
        if self.scroll_offset.y == 0:
            self.post_message(self.AtTheTop())


class RoomList(Lines):
    """The rooms: a line with the name, what is unread and when, and a line with what was last said."""

    COMPONENT_CLASSES: ClassVar[set[str]] = Lines.COMPONENT_CLASSES | {
        f"rooms--{name}" for name in ("name", "open", "unread", "clock", "last", "typing", "badge")
    }

    def __init__(self, *, id: str = "rooms") -> None:
        super().__init__(id=id)
        self._rooms: list[RoomLine] = []
        self._open: str | None = None

    def show_rooms(self, rooms: Sequence[RoomLine], open_room: str | None) -> None:
        """Show these rooms, one of which is open."""
        self._rooms, self._open = list(rooms), open_room
        width = self.scrollable_content_region.width
        if width > 0:
            self.show([Item(room.id, self._strips_of(room, width)) for room in rooms])

    def on_resize(self) -> None:
        """Lay out anew."""
        self.show_rooms(self._rooms, self._open)

    def on_focus(self) -> None:
        """Begin at the first."""
        if self.chosen is None:
            self.action_move(1)
        self.refresh()

    def _strips_of(self, room: RoomLine, width: int) -> tuple[Strip, Strip]:
        is_open = room.id == self._open
        right = f" {room.unread}" if room.unread else ""
        clock = f" {room.clock}" if room.clock else ""
        badge = f" {room.badge}" if room.badge else ""
        left = width - 2 - cell_len(right + clock + badge)
        name = cut(room_title(room.people, left, direct=room.direct), left)
        gap = " " * (left - cell_len(name))
        last = "is writing…" if room.typing else room.last
        first = [
            ("▌" if is_open else " ", "open"), (name, "open" if is_open or room.unread else "name"), (badge, "badge"),
            (gap + clock, "clock"), (right + " ", "unread"),
        ]  # fmt: skip
        second = [
            ("▌" if is_open else " ", "open"),
            (" " + pad(last, width - 3) + " ", "typing" if room.typing else "last"),
        ]
        return self._strip(first), self._strip(second)

    def _strip(self, line: Sequence[tuple[str, str]]) -> Strip:
        return Strip(
            [
                Segment(text, self.get_component_rich_style(f"rooms--{style}", partial=True))
                for text, style in line
                if text
            ]
        )
