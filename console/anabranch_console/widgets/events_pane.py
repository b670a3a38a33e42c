"""The events of the run as they happen, with what the console itself has to say in between.

They can be filtered by text and by the keys ``level:`` (this much or more), ``subject:`` and
``type:``. What is routine, as heartbeats are, is shown only where ``level:routine`` asks for it.
"""

from __future__ import annotations

from typing import NamedTuple

from textual.message import Message
from textual.strip import Strip

from anabranch.core.events import Recorded
from anabranch.core.ids import Seq
from anabranch.core.model.state import State
from anabranch.core.wording import counted
from anabranch_console.lines import Line, Span, plain
from anabranch_console.presenters.event_lines import (
    LEVELS,
    event_line,
    event_words,
    level_of,
    note_line,
)
from anabranch_console.presenters.wording import safe
from anabranch_console.run_model import Changes
from anabranch_console.text_filter import TextFilter, compile_text_filter
from anabranch_console.widgets.line_view import LineView

ENTRIES_KEPT = 20_000
_KEYS = ("level", "subject", "type")
_ROUTINE = f"level:{LEVELS[0]}"


class Note(NamedTuple):
    """A remark of the console: a refusal, a failure, something missed."""

    at: float
    level: str
    text: str


def entries_of(changes: Changes, now: float) -> list[Recorded | Note]:
    """Return what a pull brought as entries, with what the console has to say of it."""
    entries: list[Recorded | Note] = []
    if changes.missed:
        missed = f"{counted(changes.missed, 'event')} came too fast to be shown"
        entries.append(Note(now, "warning", missed))
    if changes.problem:
        problem = f"the engine does not answer: {changes.problem}"
        entries.append(Note(now, "error", problem))
    return [*entries, *changes.events]


class EventsPane(LineView):
    """Shows events, one line each; follows the newest until somebody scrolls up."""

    class Changed(Message):
        """Following has begun or ended, or another filter is used."""

    def __init__(self, state: State) -> None:
        super().__init__(id="events", classes="panel")
        self.state = state
        self.is_following = True
        self.filter = TextFilter()
        self._all: list[Recorded | Note] = []
        self._entries: list[Recorded | Note] = []
        self._strips: dict[int, Strip] = {}
        self._shown_count: int | None = None
        self._subject_cells = min(max([len("final"), *map(len, state.streams)]), 20)

    @property
    def line_count(self) -> int:
        count = len(self._entries)
        return count if self._shown_count is None else min(count, self._shown_count)

    def show_until(self, seq: Seq | None) -> None:
        """Show only what came up to an event, or everything again with None."""
        self._shown_count = None
        if seq is not None:
            later = (
                i for i, e in enumerate(self._entries) if not isinstance(e, Note) and e.seq > seq
            )
            self._shown_count = next(later, None)
        self.top = self.last_top if self.is_following else min(self.top, self.last_top)
        self.refresh()

    def add(self, entries: list[Recorded | Note]) -> None:
        """Append entries, and paint what of them is visible."""
        if not entries:
            return
        before = len(self._entries)
        self._all += entries
        self._entries += [entry for entry in entries if self._passes(entry)]
        dropped = self._drop_oldest()
        if self.is_following and (dropped or self.last_top != self.top):
            self.top = self.last_top
            self.refresh()
        elif dropped:
            self.scroll_to_line(self.top - dropped)
            self.refresh()
        else:
            for index in range(before, min(len(self._entries), self.top + self.visible_lines)):
                self.refresh_index(index)

    def apply_filter(self, text: str) -> None:
        """Show the events that match; an empty text shows all but those that are routine."""
        self.filter = compile_text_filter(text, _KEYS)
        self._entries = [entry for entry in self._all if self._passes(entry)]
        self._shown_count = None
        self.is_following = True
        self.top = self.last_top
        self.refresh_everything()
        self.post_message(self.Changed())

    def titles(self) -> dict[str, Line]:
        """Return the title of the pane, with its filter, and the subtitle."""
        wanted, dot = self.filter, f" {self.looks.glyphs.separator} "
        spans = [Span("Events", "title")]
        if not wanted.is_empty:
            spans += [Span(dot, "muted"), Span(f"/{safe(wanted.text)}", "accent")]
        if wanted.problem:
            spans.append(Span(f"{dot}{safe(wanted.problem)}", "level.warning"))
        paused = () if self.is_following else (Span("paused, end follows", "muted"),)
        return {"title": tuple(spans), "subtitle": paused}

    def _passes(self, entry: Recorded | Note) -> bool:
        if self.filter.is_empty:  # thousands may come at once
            return isinstance(entry, Note) or level_of(entry.event) != LEVELS[0]
        if isinstance(entry, Note):
            level, subject, kind, detail = entry.level, "console", "", entry.text
        else:
            level, subject, kind, detail = event_words(entry.event)
        if level == LEVELS[0] and _ROUTINE not in self.filter.text:
            return False
        cells = {"level": LEVELS[: LEVELS.index(level) + 1], "subject": (subject.lower(),)}
        known = {**cells, "type": (kind,)}
        return self.filter.matches(f"{subject} {kind} {detail}", known.__getitem__)

    def _drop_oldest(self) -> int:
        if len(self._all) > ENTRIES_KEPT:
            del self._all[: len(self._all) - ENTRIES_KEPT * 9 // 10]
        if len(self._entries) <= ENTRIES_KEPT:
            return 0
        dropped = len(self._entries) - ENTRIES_KEPT * 9 // 10
        del self._entries[:dropped]
        self.forget_strips()
        return dropped

    def forget_strips(self) -> None:
        self._strips.clear()

    def strip_at(self, index: int) -> Strip:
        strip = self._strips.get(index)
        if strip is None:
            if len(self._strips) > 2000:
                self._strips.clear()
            strip = self.paint(self._line(index), self.content_size.width)
            self._strips[index] = strip
        return strip

    def text_at(self, index: int) -> str:
        return plain(self._line(index))

    def _line(self, index: int) -> Line:
        entry, glyphs = self._entries[index], self.looks.glyphs
        if isinstance(entry, Note):
            wall = self.state.started_wall
            return note_line(wall, entry.at, entry.level, entry.text, glyphs)
        return event_line(self.state, entry, glyphs, self._subject_cells)

    def on_resize(self, event: object) -> None:
        self.forget_strips()
        self.scroll_to_line(self.last_top if self.is_following else self.top)

    def on_scrolled(self) -> None:
        was_following, self.is_following = self.is_following, self.top >= self.last_top
        if was_following != self.is_following:
            self.post_message(self.Changed())
