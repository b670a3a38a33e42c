"""The live log of a stream or several: follows its end, wraps, finds, goes anywhere in the file.

Only a window of the log is held (:mod:`~anabranch_console.log_texts`). It moves when
somebody scrolls beyond it or goes to the log's beginning or to a hit; while nobody follows, it
stays where it is, however much is written. Hits are looked for in all of it, by a thread.
What is filtered by level, or merged of several logs, is looked at through an index of all lines.
Wrapped display keeps a list of (line, piece) so that scrolling counts rows as they are seen.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import ClassVar

from textual import on
from textual.binding import BindingType
from textual.message import Message
from textual.strip import Strip
from textual.worker import get_current_worker

from anabranch.core.patterns import Pattern
from anabranch.core.views.log_levels import Level
from anabranch.core.wording import counted
from anabranch_console.lines import Line, plain, with_style
from anabranch_console.log_texts import FileText, IndexedText, Spot, Text, Window, giving_way
from anabranch_console.presenters.log_pieces import Piece, in_colours, pattern_of, pieces_of
from anabranch_console.presenters.log_prefix import Prefix, is_of_another_day
from anabranch_console.presenters.log_standing import index_in_words, window_in_words
from anabranch_console.presenters.wording import safe
from anabranch_console.widgets.line_view import LineView

LINES_KEPT = 10_000
READING_SECONDS = 0.006
SIDE_STEP_CELLS = 16
SPARE_LINES = 200
"""How many lines are read beyond what can be seen while nobody follows."""

READ_AT_ONCE_BYTES = 64 * 1024
"""So much of what is to be indexed is read by the view itself, more by a thread."""

MOST_HITS = 100_000


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

    class Indexed(Message):
        """An index has been read as far as its logs went."""

        def __init__(self, text: IndexedText) -> None:
            super().__init__()
            self.text = text

    def __init__(self, id: str = "log") -> None:
        super().__init__(id=id)
        self.paths: tuple[Path, ...] = ()
        self.names: tuple[str, ...] = ()
        self.least: Level | None = None
        self.shows_times = False
        self._text: Text | None = None
        self._is_indexing = False
        self._is_of_another_day = False
        self._prefix_kept: tuple[object, Prefix] | None = None
        self.is_following = True
        self.is_wrapped = False
        self.needle = ""
        self.hits: list[int] = []
        self._everywhere: tuple[list[int], bool] | None = None
        self._pattern: Pattern | None = None
        self._window: Window | None = None
        self._pieces: list[Piece] = []
        self._left = 0
        self._strips: dict[int, Strip] = {}

    # --- the file --------------------------------------------------------------------------------

    def open(self, *paths: Path, names: Sequence[str] = ()) -> None:
        """Show other logs, from near their end: as one in order of time, with their names."""
        if (paths, tuple(names)) == (self.paths, self.names) and (self._text or not paths):
            return
        self.paths, self.names = paths, tuple(names)
        self._left = 0
        self._open_text()

    def _open_text(self, spot: Spot | None = None) -> None:
        """Look at what is wanted of the logs: from a line on, else from near the end."""
        self.workers.cancel_group(self, "indexing")
        self._everywhere, self._is_indexing, self._text = None, False, None
        if len(self.paths) == 1 and self.least is None:
            self._text = FileText(self.paths[0])
        elif self.paths:
            self._text = IndexedText(self.paths, self.least)
            self._read_index(self._text)
        window: Window | None = None
        if self._text is not None:
            self._is_of_another_day = is_of_another_day(self._text.began())
            window = self._text.at_spot(spot) if spot else self._text.near_end()
        self._look_through(window, follows=spot is None)
        self._look_everywhere()
        if spot:
            self.top = 0

    def show_held(self, held: Window | None, *, follows: bool) -> None:
        """Show lines that somebody else hands over; None for none."""
        self.paths, self.names, self._text, self._everywhere = (), (), None, None
        self._left = 0
        self._look_through(held, follows=follows)

    @property
    def is_held(self) -> bool:
        """Whether it shows lines that somebody else hands over."""
        return self._window is not None and self._text is None

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
        if isinstance(self._text, IndexedText):
            self._read_index(self._text)
        until, first = perf_counter() + READING_SECONDS, None
        if self.is_following and self._text and window.is_far_behind:
            self._window = window = self._text.near_end()
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

    def _read_index(self, text: IndexedText) -> None:
        """Have an index read on, if there is more; by a thread, if it is much."""
        unread = 0 if self._is_indexing else text.index.unread
        if unread > READ_AT_ONCE_BYTES:
            self._is_indexing = True
            reading = partial(self._index_all, text)
            self.run_worker(reading, group="indexing", exclusive=True, thread=True)
        elif unread:
            text.index.read_on()

    def _index_all(self, text: IndexedText) -> None:
        worker = get_current_worker()
        text.index.read_on(gives_up=giving_way(lambda: worker.is_cancelled))
        self.post_message(self.Indexed(text))

    @on(Indexed)
    def _take_index(self, message: Indexed) -> None:
        if message.text is self._text:
            self._is_indexing = False
            self.read_more()
            self._look_everywhere()
            self.post_message(self.Changed())

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
        """Hold no more lines than are wanted; return how many at the beginning were let go.

        While nobody follows, what can be seen stays, and what comes after it is read again later.
        """
        window = self._window
        if window is None or len(window.lines) <= LINES_KEPT:
            return 0
        lines = len(window.lines) - LINES_KEPT * 9 // 10
        if not self.is_following:
            lines = min(lines, max(self._line_of(self.top) - SPARE_LINES, 0))
            window.drop_last(len(window.lines) - lines - LINES_KEPT)
            del self._pieces[self._row_of(len(window.lines)) if self.is_wrapped else 0 :]
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
        text = self._pieces[index].text if self.is_wrapped else self.lines[index]
        return plain(self._before(index)) + text

    def standing(self, brevity: int = 0) -> list[str]:
        """Return how much of the log is shown, and how many hits there are in all of it."""
        parts = [self._hits_in_words()]
        if isinstance(self._text, IndexedText):
            parts.append(index_in_words(self._text.index, self._is_indexing, brevity))
        if self._window is not None and self.lines:
            parts.append(window_in_words(self._window, is_following=self.is_following))
        return [part for part in parts if part]

    def _hits_in_words(self) -> str:
        if not self.needle:
            return ""
        if self._pattern is None:
            return "no such pattern"
        starts, is_all = self._everywhere or ([], True)
        more = "" if is_all else " so far"
        hits = counted(max(len(starts), len(self.hits)), "hit")
        return f"{hits}{more} for {safe(self.needle)}"

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
            strip = self._strips[index] = self._painted(index)
        return strip

    def _painted(self, index: int) -> Strip:
        if self.is_wrapped:
            line, start, text = self._pieces[index]
        else:
            line, start, text = index, self._left, self.lines[index][self._left :]
        assert self._window is not None
        coloured = in_colours(text, start, self._window.colours_of(line))
        shown = (*self._before(index), *self._marked(text, coloured))
        return self.paint(shown, self.content_size.width)

    def _before(self, index: int) -> Line:
        """Return what stands before a row: when it was written and by whom, if that is shown."""
        prefix = self._prefix
        if not prefix.cells or self._window is None:
            return ()
        if self.is_wrapped and self._pieces[index].start:
            return prefix.of_more()
        line = self._line_of(index)
        return prefix.of_line(self._window.spot_of(line)[0], self._window.moment_of(line))

    @property
    def _prefix(self) -> Prefix:
        """What stands before each line."""
        with_day = self.shows_times and self._text is not None and self._is_of_another_day
        names = self.names if len(self.paths) > 1 else ()
        wanted = (self.shows_times, with_day, names, self.content_size.width)
        if self._prefix_kept is None or self._prefix_kept[0] != wanted:
            times, day, who, cells = wanted
            made = Prefix(with_times=times, with_day=day, names=who, cells=cells)
            self._prefix_kept = (wanted, made)
        return self._prefix_kept[1]

    def _marked(self, text: str, line: Line) -> Line:
        if self._pattern is None:
            return line
        places = [place for place in self._pattern.places_in(text) if place[0] < place[1]]
        return with_style(line, places, "match")

    def _index_from(self, first: int) -> None:
        """Wrap and look through the lines from one on, which are new or longer."""
        pattern, width = self._pattern, self.content_size.width - self._prefix.cells
        del self.hits[bisect_left(self.hits, first) :]
        if self.is_wrapped:
            del self._pieces[self._row_of(first) :]
        for index, line in enumerate(islice(self.lines, first, None), first):
            if pattern and pattern.is_in(line):
                self.hits.append(index)
            if self.is_wrapped:
                self._pieces += pieces_of(index, line, width)

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
        if self._window is not None and self._window.behind and self._text:
            self._look_through(self._text.near_end(), follows=True)
        self.scroll_to_line(self.last_top)
        self.is_following = True
        self.post_message(self.Changed())

    def move(self, verb: str) -> None:
        if verb == "first" and self._window is not None and self._window.begin and self._text:
            self._look_through(self._text.at(0), follows=False)
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

    def show_times(self, shows: bool) -> None:
        """Show when each line was written, or show no times."""
        self.shows_times = shows
        self._is_of_another_day = is_of_another_day(self._text.began() if self._text else None)
        self._fit_prefix()

    def _fit_prefix(self) -> None:
        """Paint and wrap anew, as something else stands before the lines."""
        if self.is_wrapped:
            self._reindex()
        self.refresh_everything()
        self.scroll_to_line(self.last_top if self.is_following else self.top)
        self.post_message(self.Changed())

    def show_from_level(self, least: Level | None) -> None:
        """Show only what is at least so bad, from where one is; None shows all."""
        if least == self.least:
            return
        self.least = least
        spot = None
        if not self.is_following and self._window is not None and self.lines:
            spot = self._window.spot_of(min(self._line_of(self.top), len(self.lines) - 1))
        if self.paths:
            self._open_text(spot)
        self.post_message(self.Changed())

    def action_sideways(self, steps: int) -> None:
        """Scroll cut-off lines sideways."""
        if not self.is_wrapped:
            self._left = max(self._left + steps * SIDE_STEP_CELLS, 0)
            self.refresh_everything()

    def find(self, needle: str) -> None:
        """Mark every hit of a text (or of ``re:`` a regular expression) and go to the last one."""
        self.needle = needle
        self._pattern = pattern_of(needle)
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
        if pattern is None or window is None or window.is_whole or self._text is None:
            self.workers.cancel_group(self, "finding")
            return
        self._everywhere = ([], False)
        looking = partial(self._find_everywhere, self._text, pattern)
        self.run_worker(looking, group="finding", exclusive=True, thread=True)

    def _find_everywhere(self, text: Text, pattern: Pattern) -> None:
        worker = get_current_worker()
        gives_up: Callable[[], bool] = lambda: worker.is_cancelled  # noqa: E731
        found = list(islice(text.places_with(pattern.is_in, gives_up), MOST_HITS))
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
        if index is None and self._text:
            self._look_through(self._text.at(start), follows=False)
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
        return bisect_left(self._pieces, line, key=lambda piece: piece.line)

    def _line_of(self, index: int) -> int:
        if not self.is_wrapped:
            return index
        return self._pieces[index].line if index < len(self._pieces) else len(self.lines)
