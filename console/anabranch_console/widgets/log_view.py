"""The live log of one stream: follows its end, wraps, finds, and goes to any place in the file.

Only a window of the log is held (:class:`~anabranch.engine.log_window.LogWindow`). It moves when
somebody scrolls beyond it or goes to the log's beginning or to a hit; while nobody follows, it
stays where it is, however much is written. Hits are looked for in all of it, by a thread.
Wrapped display keeps a list of (line, piece) so that scrolling counts rows as they are seen.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import ClassVar, Protocol

from textual import on
from textual.binding import BindingType
from textual.message import Message
from textual.strip import Strip
from textual.worker import get_current_worker

from anabranch.core.patterns import Pattern, PatternRefused, compiled, literal
from anabranch.core.wording import counted
from anabranch.engine.log_window import LogWindow, lines_with
from anabranch_console.lines import Line, Span, hard_wrap
from anabranch_console.presenters.wording import memory, safe
from anabranch_console.widgets.line_view import LineView

LINES_KEPT = 10_000
READING_SECONDS = 0.006
SIDE_STEP_CELLS = 16
SPARE_LINES = 200
"""How many lines are read beyond what can be seen while nobody follows."""

FAR_BEHIND_BYTES = 1 << 20
MOST_HITS = 100_000


class Window(Protocol):
    """Some of the lines of a log, and how much of it they are."""

    lines: list[str]

    @property
    def begin(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def behind(self) -> int: ...
    @property
    def is_whole(self) -> bool: ...
    def start_of(self, index: int) -> int: ...
    def index_of(self, start: int) -> int | None: ...
    def read_on(self) -> int | None: ...
    def read_back(self) -> int: ...
    def drop_first(self, count: int) -> None: ...
    def drop_last(self, count: int) -> None: ...


class LogView(LineView):
    """Shows a log, from its file or as it is handed over."""

    BINDINGS: ClassVar[list[BindingType]] = [
        ("left", "sideways(-1)"),
        ("right", "sideways(1)"),
    ]

    class Changed(Message):
        """Following, wrapping, the hits or the number of lines have changed."""

    class Found(Message):
        """Where the hits are in the whole log, so far or altogether."""

        def __init__(self, pattern: Pattern, starts: list[int], is_all: bool) -> None:
            super().__init__()
            self.pattern, self.starts, self.is_all = pattern, starts, is_all

    def __init__(self, id: str = "log") -> None:
        super().__init__(id=id)
        self.path: Path | None = None
        self.is_following = True
        self.is_wrapped = False
        self.needle = ""
        self.hits: list[int] = []
        self._everywhere: tuple[list[int], bool] | None = None
        self._pattern: Pattern | None = None
        self._window: Window | None = None
        self._pieces: list[tuple[int, str]] = []
        self._left = 0
        self._strips: dict[int, Strip] = {}

    # --- the file --------------------------------------------------------------------------------

    def open(self, path: Path | None) -> None:
        """Show another log, from near its end; None for none."""
        if path == self.path:
            return
        self.path = path
        self._everywhere = None
        self._left = 0
        self._look_through(LogWindow.near_end(path) if path else None, follows=True)
        self._look_everywhere()

    def show_held(self, held: Window | None, *, follows: bool) -> None:
        """Show lines that somebody else hands over; None for none."""
        self.path = self._everywhere = None
        self._left = 0
        self._look_through(held, follows=follows)

    def _look_through(self, window: Window | None, *, follows: bool) -> None:
        """Show the log through another window."""
        self._window, self._pieces, self.hits = window, [], []
        self.top, self.is_following = 0, follows
        self.refresh_everything()
        self.read_more()

    def read_more(self) -> None:
        """Take what was written since the last call, for a few milliseconds at most.

        While nobody follows, only what may be seen next is taken: what is being read stays.
        """
        window = self._window
        if window is None:
            return
        until, first = perf_counter() + READING_SECONDS, None
        if self.is_following and window.behind > FAR_BEHIND_BYTES and self.path:
            self._window = window = LogWindow.near_end(self.path)
            self._pieces, self.hits, first = [], [], 0
        while self.is_following or self._lines_below < SPARE_LINES:
            changed = window.read_on()
            if changed is None:
                break
            first = changed if first is None else min(first, changed)
            if perf_counter() > until:
                break
        if first is not None:
            self._changed_from(first)

    @property
    def _lines_below(self) -> int:
        """How many lines of the window come after what can be seen."""
        return len(self.lines) - self._line_of(self.top + self.visible_lines)

    def _changed_from(self, first: int) -> None:
        """Show lines that are new or longer."""
        dropped = self._drop_oldest()
        row = self._row_of(first) if self.is_wrapped else first
        if dropped:
            self._reindex()
            self.forget_strips()
        else:
            self._index_from(first)
        self._strips = {i: s for i, s in self._strips.items() if i < row and not dropped}
        if self.is_following and (dropped or self.last_top != self.top):
            self.top = self.last_top
            self.refresh()
        elif dropped:
            self.refresh()
        else:
            for index in range(row, row + self.visible_lines + 1):
                self.refresh_index(index)
        self.post_message(self.Changed())

    def _drop_oldest(self) -> int:
        window = self._window
        if window is None or len(window.lines) <= LINES_KEPT:
            return 0
        lines = len(window.lines) - LINES_KEPT * 9 // 10
        rows = self._row_of(lines) if self.is_wrapped else lines
        window.drop_first(lines)
        self.top = max(0, self.top - rows)
        return lines

    def _read_back(self) -> None:
        """Take what lies before the window, so that it can be scrolled to."""
        window = self._window
        before = window.read_back() if window else 0
        if window is None or not before:
            return
        window.drop_last(len(window.lines) - LINES_KEPT)
        self._reindex()
        self.top += self._row_of(before)
        self.refresh_everything()

    # --- lines -----------------------------------------------------------------------------------

    @property
    def lines(self) -> list[str]:
        """The lines of the window; the last one may still be written."""
        return self._window.lines if self._window else []

    @property
    def line_count(self) -> int:
        return len(self._pieces) if self.is_wrapped else len(self.lines)

    def text_at(self, index: int) -> str:
        return self._pieces[index][1] if self.is_wrapped else self.lines[index]

    def standing(self) -> list[str]:
        """Return how much of the log is shown, and how many hits there are in all of it."""
        window, parts = self._window, []
        if self.needle and self._pattern is None:
            parts.append("no such pattern")
        elif self.needle:
            parts.append(f"{self._hits_in_words()} for {safe(self.needle)}")
        if window is not None and window.is_whole:
            parts.append(counted(self.line_count, "line") if self.line_count else "")
        elif window is not None and self.lines:
            size, at = window.size, 100 * window.begin // max(window.size, 1)
            place = "last" if self.is_following else f"at {at} %"
            parts.append(f"{place} {counted(len(self.lines), 'line')} of {memory(size)}")
        return [part for part in parts if part]

    def _hits_in_words(self) -> str:
        if self._everywhere is None:
            return counted(len(self.hits), "hit")
        starts, is_all = self._everywhere
        more = "" if is_all else " so far"
        return f"{counted(max(len(starts), len(self.hits)), 'hit')}{more}"

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

    def _index_from(self, first: int) -> None:
        """Wrap and look through the lines from one on, which are new or longer."""
        pattern, width = self._pattern, self.content_size.width
        del self.hits[bisect_left(self.hits, first) :]
        if self.is_wrapped:
            del self._pieces[self._row_of(first) :]
        for index, line in enumerate(islice(self.lines, first, None), first):
            if pattern and pattern.is_in(line):
                self.hits.append(index)
            if self.is_wrapped:
                self._pieces += [(index, piece) for piece in hard_wrap(line, width)]

    def _reindex(self) -> None:
        self._pieces, self.hits = [], []
        self._index_from(0)

    # --- what people do --------------------------------------------------------------------------

    def on_scrolled(self) -> None:
        knows_the_end = self.is_following or self._window is None or not self._window.behind
        self.is_following = self.top >= self.last_top and knows_the_end
        if self.top == 0 and not self.is_following:
            self._read_back()
        self.post_message(self.Changed())

    def follow(self) -> None:
        """Go to the end and stay there."""
        if self._window is not None and self._window.behind and self.path:
            self._look_through(LogWindow.near_end(self.path), follows=True)
        self.scroll_to_line(self.last_top)
        self.is_following = True
        self.post_message(self.Changed())

    def move(self, verb: str) -> None:
        if verb == "first" and self._window is not None and self._window.begin and self.path:
            self._look_through(LogWindow.at(self.path, 0), follows=False)
            self.post_message(self.Changed())
            return
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
        self._look_everywhere()
        self.refresh_everything()
        self.post_message(self.Changed())
        if self.hits:
            self._go_to(self.hits[-1])

    def _look_everywhere(self) -> None:
        """Look for the pattern in the whole log, if the window is not all of it."""
        self._everywhere = None
        window, pattern = self._window, self._pattern
        if pattern is None or window is None or window.is_whole or self.path is None:
            self.workers.cancel_group(self, "finding")
            return
        self._everywhere = ([], False)
        looking = partial(self._find_everywhere, self.path, pattern)
        self.run_worker(looking, group="finding", exclusive=True, thread=True)

    def _find_everywhere(self, path: Path, pattern: Pattern) -> None:
        worker = get_current_worker()
        gives_up: Callable[[], bool] = lambda: worker.is_cancelled  # noqa: E731
        found = list(islice(lines_with(path, pattern.is_in, gives_up=gives_up), MOST_HITS))
        if not worker.is_cancelled:
            self.post_message(self.Found(pattern, found, len(found) < MOST_HITS))

    @on(Found)
    def _take_hits(self, message: Found) -> None:
        if message.pattern is self._pattern:
            self._everywhere = (message.starts, message.is_all)
            if not self.hits and message.starts:
                self._go_to_start(message.starts[-1])
            self.post_message(self.Changed())

    def step_hit(self, step: int) -> None:
        """Go to the next hit, or the previous one; round again at the end."""
        if self._everywhere and self._everywhere[0] and self._window and self.lines:
            self._step_everywhere(step, self._everywhere[0])
            return
        if not self.hits:
            return
        here = self._line_of(self.top)
        if step > 0:
            later = [hit for hit in self.hits if hit > here]
            self._go_to(later[0] if later and self.top < self.last_top else self.hits[0])
        else:
            earlier = [hit for hit in self.hits if hit < here]
            self._go_to(earlier[-1] if earlier else self.hits[-1])

    def _step_everywhere(self, step: int, starts: list[int]) -> None:
        assert self._window is not None
        line = min(self._line_of(self.top), len(self.lines) - 1)
        here = self._window.start_of(line)
        is_last = self.top >= self.last_top and not self._window.behind
        if step > 0:
            at = 0 if is_last else bisect_right(starts, here)
            self._go_to_start(starts[at % len(starts)])
        else:
            self._go_to_start(starts[bisect_left(starts, here) - 1])

    def _go_to_start(self, start: int) -> None:
        """Go to the line that begins at an offset, moving the window there if need be."""
        index = self._window.index_of(start) if self._window else None
        if index is None and self.path:
            self._look_through(LogWindow.at(self.path, start), follows=False)
            index = 0
        if index is not None:
            self._go_to(index)
            self.refresh_everything()

    def _go_to(self, line: int) -> None:
        self.scroll_to_line(self._row_of(line) if self.is_wrapped else line)

    def _row_of(self, line: int) -> int:
        """Return the first row of a line."""
        if not self.is_wrapped:
            return line
        return bisect_left(self._pieces, line, key=lambda piece: piece[0])

    def _line_of(self, index: int) -> int:
        if not self.is_wrapped:
            return index
        return self._pieces[index][0] if index < len(self._pieces) else len(self.lines)


def _pattern(needle: str) -> Pattern | None:
    if not needle:
        return None
    with suppress(PatternRefused):
        if needle.startswith("re:"):
            return compiled(needle[len("re:") :], ignores_case=True)
    with suppress(PatternRefused):
        return literal(needle, ignores_case=True)
    return None
