"""The line at the bottom where filters, searches and commands are typed."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import ClassVar
from unicodedata import category

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.events import Paste
from textual.message import Message
from textual.suggester import Suggester
from textual.widgets import Input

from anabranch_console.containing import Contained
from anabranch_console.lines import Span
from anabranch_console.widgets.line_view import TextLines

HISTORY_KEPT = 100


class Purpose(StrEnum):
    """What is being typed."""

    COMMAND = ":"
    FILTER = "/"
    FIND = "find"
    EVENTS = "events /"


class _FirstCompletion(Suggester):
    """Suggests the first of the completions there are."""

    def __init__(self, completions: Callable[[str], list[str]]) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._completions = completions

    async def get_suggestion(self, value: str) -> str | None:
        found = self._completions(value) if value else []
        return found[0] if found else None


class CommandBar(Contained, Input):
    """An input with a purpose, a history and completion by tab."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", show=False),
        Binding("tab", "complete", show=False),
        Binding("up", "recall(-1)", show=False),
        Binding("down", "recall(1)", show=False),
    ]

    class Typed(Message):
        """The text has changed."""

        def __init__(self, purpose: Purpose, text: str) -> None:
            super().__init__()
            self.purpose, self.text = purpose, text

    class Entered(Typed):
        """Enter was pressed."""

    class Left(Typed):
        """Escape was pressed."""

    def __init__(self, completions: Callable[[str], list[str]]) -> None:
        super().__init__(
            id="command-bar",
            compact=True,
            select_on_focus=False,
            suggester=_FirstCompletion(self._complete),
        )
        self._completions = completions
        self.purpose = Purpose.COMMAND
        self._history: dict[Purpose, list[str]] = {purpose: [] for purpose in Purpose}
        self._recalled = 0

    def ask(self, purpose: Purpose, text: str = "") -> None:
        """Open the bar for a purpose, with some text in it."""
        self.purpose = purpose
        self.value = text
        self.cursor_position = len(text)
        self._recalled = len(self._history[purpose])
        self.placeholder = _HINTS[purpose]
        self.focus()

    def _complete(self, text: str) -> list[str]:
        return self._completions(text) if self.purpose is Purpose.COMMAND else []

    def _on_paste(self, event: Paste) -> None:
        """Let all lines of what is pasted be one: the input, whose turn is next, takes the first.

        Other signs that move a cursor are blanks too, as nobody sees them here.
        """
        line = " ".join(event.text.strip().splitlines())
        event.text = "".join(" " if category(sign) == "Cc" else sign for sign in line)

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        if self.has_focus:
            self.post_message(self.Typed(self.purpose, self.value))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        history = self._history[self.purpose]
        if self.value and (not history or history[-1] != self.value):
            history.append(self.value)
            del history[:-HISTORY_KEPT]
        self.post_message(self.Entered(self.purpose, self.value))

    def action_leave(self) -> None:
        """Close without doing anything."""
        self.post_message(self.Left(self.purpose, self.value))

    def action_complete(self) -> None:
        """Take the completion, as far as all of them agree."""
        found = self._complete(self.value)
        if found:
            self.value = found[0] if len(found) == 1 else _common_beginning(found)
            self.cursor_position = len(self.value)

    def action_recall(self, step: int) -> None:
        """Bring back what was typed before."""
        history = self._history[self.purpose]
        self._recalled = max(0, min(self._recalled + step, len(history)))
        self.value = history[self._recalled] if self._recalled < len(history) else ""
        self.cursor_position = len(self.value)


class CommandRow(Contained, Horizontal):
    """The command bar with its prompt; hidden until something is to be typed."""

    def __init__(self, completions: Callable[[str], list[str]]) -> None:
        super().__init__(id="command-row")
        self.bar = CommandBar(completions)
        self.prompt = TextLines(id="prompt")
        self.prompt.can_focus = False
        self.prompt.background_name = "cursor"

    def compose(self) -> ComposeResult:
        yield self.prompt
        yield self.bar

    def ask(self, purpose: Purpose, text: str = "") -> None:
        """Open the bar for a purpose, with some text in it."""
        prompt = f" {purpose.value} "
        self.prompt.styles.width = len(prompt)
        self.prompt.show([(Span(prompt, "key"),)])
        self.styles.display = "block"
        self.bar.ask(purpose, text)

    def close(self) -> None:
        """Hide the bar."""
        self.styles.display = "none"


_HINTS = {
    Purpose.COMMAND: "command: tab completes, enter does it, esc leaves",
    Purpose.FILTER: "filter: text  !not  re:x  COLUMN:text  COLUMN>50  as state:failed  age>2m",
    Purpose.EVENTS: "filter events: text  !not  level:warning  subject:api  type:lock",
    Purpose.FIND: "find in the log: text or re:x, then n and N",
}


def _common_beginning(texts: list[str]) -> str:
    first, last = min(texts), max(texts)
    length = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), None)
    return first if length is None else first[:length]
