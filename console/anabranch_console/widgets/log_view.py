"""The live log of one stream: follows its end, wraps, finds.

Lines are kept in a list that loses its oldest tenth when it is full. Wrapped display keeps a list
of (line, piece) so that scrolling counts rows as they are seen.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from time import perf_counter
from typing import ClassVar

from textual.binding import BindingType
from textual.message import Message
from textual.strip import Strip

from anabranch.core.patterns import Pattern, PatternRefused, compiled, literal
from anabranch.engine.log_reading import LogTail
from anabranch_console.lines import Line, Span, hard_wrap
from anabranch_console.verbs import Scope
from anabranch_console.widgets.keys import bindings_for
from anabranch_console.widgets.line_view import LineView

LINES_KEPT = 10_000
READING_SECONDS = 0.006
SIDE_STEP_CELLS = 16


class LogView(LineView):
    """Shows the log file of the chosen stream."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings_for(Scope.LOG),
        ("left", "sideways(-1)"),
        ("right", "sideways(1)"),
    ]

    class Changed(Message):
        """Following, wrapping, the hits or the number of lines have changed."""

    def __init__(self) -> None:
        super().__init__(id="log")
        self.scope = Scope.LOG
        self.path: Path | None = None
        self.is_following = True
        self.is_wrapped = False
        self.needle = ""
        self.hits: list[int] = []
        self._pattern: Pattern | None = None
        self._tail: LogTail | None = None
        self._lines: list[str] = []
        self._unfinished = ""
        self._pieces: list[tuple[int, str]] = []
        self._left = 0
        self._strips: dict[int, Strip] = {}

    # --- the file --------------------------------------------------------------------------------

    def open(self, path: Path | None) -> None:
        """Show another log, from near its end; None for none."""
        if path == self.path:
            return
        self.path = path
        self._tail = LogTail.near_end(path) if path else None
        self._lines, self._pieces, self.hits, self._unfinished = [], [], [], ""
        self.top, self._left, self.is_following = 0, 0, True
        self.refresh_everything()
        self.read_more()

    def read_more(self) -> None:
        """Take what was written since the last call, for a few milliseconds at most."""
        if self._tail is None:
            return
        until = perf_counter() + READING_SECONDS
        before = len(self._lines)
        while True:
            offset = self._tail.offset
            self._lines += self._tail.read_new()
            if self._tail.offset == offset or perf_counter() > until:
                break
        unfinished = self._tail.unfinished
        if len(self._lines) != before or unfinished != self._unfinished:
            self._unfinished = unfinished
            self._appended(before)

    def _appended(self, before: int) -> None:
        start = len(self._pieces) if self.is_wrapped else before
        dropped = self._drop_oldest()
        if dropped:
            self._reindex()
            self.forget_strips()
        elif self.is_wrapped:
            self._wrap_from(before)
        if self._pattern and not dropped:
            fresh = range(before, len(self._lines))
            self.hits += [i for i in fresh if self._pattern.is_in(self._lines[i])]
        self._strips = {i: s for i, s in self._strips.items() if i < start and not dropped}
        if self.is_following and (dropped or self.last_top != self.top):
            self.top = self.last_top
            self.refresh()
        elif dropped:
            self.scroll_to_line(self.top - dropped)
            self.refresh()
        else:
            for index in range(start, start + self.visible_lines + 1):
                self.refresh_index(index)
        self.post_message(self.Changed())

    def _drop_oldest(self) -> int:
        if len(self._lines) <= LINES_KEPT:
            return 0
        dropped = len(self._lines) - LINES_KEPT * 9 // 10
        del self._lines[:dropped]
        return dropped

    # --- lines -----------------------------------------------------------------------------------

    @property
    def lines(self) -> list[str]:
        """The kept lines, with the one that is being written at the end."""
        return [*self._lines, self._unfinished] if self._unfinished else self._lines

    @property
    def line_count(self) -> int:
        extra = 1 if self._unfinished else 0
        return (len(self._pieces) if self.is_wrapped else len(self._lines)) + extra

    def text_at(self, index: int) -> str:
        pieces = self._pieces if self.is_wrapped else self._lines
        if index >= len(pieces):
            return self._unfinished
        return self._pieces[index][1] if self.is_wrapped else self._lines[index]

    def forget_strips(self) -> None:
        self._strips.clear()

    def on_resize(self, event: object) -> None:
        if self.is_wrapped:
            self._reindex()
        self.forget_strips()
        self.scroll_to_line(self.last_top if self.is_following else self.top)

    def strip_at(self, index: int) -> Strip:
        strip = self._strips.get(index)
        if strip is None:
            strip = self._strips[index] = self._painted(self.text_at(index))
        return strip

    def _painted(self, text: str) -> Strip:
        line = self._marked(text[self._left :] if not self.is_wrapped else text)
        return self.paint(line, self.content_size.width)

    def _marked(self, text: str) -> Line:
        if self._pattern is None:
            return (Span(text, "text"),)
        spans: list[Span] = []
        at = 0
        for begin, end in self._pattern.places_in(text):
            if end > begin:
                spans += [Span(text[at:begin]), Span(text[begin:end], "match")]
                at = end
        return (*spans, Span(text[at:]))

    def _wrap_from(self, first: int) -> None:
        width = self.content_size.width
        for index in range(first, len(self._lines)):
            self._pieces += [(index, piece) for piece in hard_wrap(self._lines[index], width)]

    def _reindex(self) -> None:
        self._pieces = []
        if self.is_wrapped:
            self._wrap_from(0)
        pattern = self._pattern
        self.hits = (
            [i for i, line in enumerate(self._lines) if pattern.is_in(line)] if pattern else []
        )

    # --- what people do --------------------------------------------------------------------------

    def on_scrolled(self) -> None:
        self.is_following = self.top >= self.last_top
        self.post_message(self.Changed())

    def follow(self) -> None:
        """Go to the end and stay there."""
        self.scroll_to_line(self.last_top)
        self.is_following = True
        self.post_message(self.Changed())

    def move(self, verb: str) -> None:
        super().move(verb)
        if verb == "last":
            self.follow()

    def toggle_wrap(self) -> None:
        """Wrap long lines, or show them cut off."""
        self.is_wrapped = not self.is_wrapped
        self._left = 0
        self._reindex()
        self.refresh_everything()
        self.scroll_to_line(self.last_top if self.is_following else self.top)
        self.post_message(self.Changed())

    def action_sideways(self, steps: int) -> None:
        """Scroll cut-off lines sideways."""
        if not self.is_wrapped:
            self._left = max(self._left + steps * SIDE_STEP_CELLS, 0)
            self.refresh_everything()

    def find(self, needle: str) -> None:
        """Mark every hit of a text (or of ``re:`` a regular expression) and go to the last one."""
        self.needle = needle
        self._pattern = _pattern(needle)
        self._reindex()
        self.refresh_everything()
        self.post_message(self.Changed())
        if self.hits:
            self._go_to(self.hits[-1])

    def step_hit(self, step: int) -> None:
        """Go to the next hit, or the previous one; round again at the end."""
        if not self.hits:
            return
        here = self._line_of(self.top)
        if step > 0:
            later = [hit for hit in self.hits if hit > here]
            self._go_to(later[0] if later and self.top < self.last_top else self.hits[0])
        else:
            earlier = [hit for hit in self.hits if hit < here]
            self._go_to(earlier[-1] if earlier else self.hits[-1])

    def _go_to(self, line: int) -> None:
        if not self.is_wrapped:
            self.scroll_to_line(line)
            return
        self.scroll_to_line(next(i for i, (owner, _) in enumerate(self._pieces) if owner == line))

    def _line_of(self, index: int) -> int:
        if not self.is_wrapped or index >= len(self._pieces):
            return index
        return self._pieces[index][0]


def _pattern(needle: str) -> Pattern | None:
    if not needle:
        return None
    with suppress(PatternRefused):
        if needle.startswith("re:"):
            return compiled(needle[len("re:") :], ignores_case=True)
    with suppress(PatternRefused):
        return literal(needle, ignores_case=True)
    return None
