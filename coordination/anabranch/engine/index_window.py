"""A window on the lines of an index: some of them, and finding in all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from anabranch.engine.log_colours import Runs
from anabranch.engine.log_index import IndexedLine, LogIndex
from anabranch.engine.log_times import Moment

STEP_LINES = 128
NEAR_END_LINES = 1_000
BACK_LINES = 500
FAR_BEHIND_LINES = 5_000


class IndexWindow:
    """Lines of an index that lie side by side; the last ones may have no end yet.

    Args:
        index: what it is a window on.
        first: the place of its first line.
    """

    counts_lines = True
    """Its ``size`` is how many lines there are."""

    def __init__(self, index: LogIndex, first: int) -> None:
        self.lines: list[str] = []
        self.begin = max(first, index.let_go)
        self._index = index
        self._generation = index.generation
        self._held: list[IndexedLine] = []
        self._open = 0

    @classmethod
    def near_end(cls, index: LogIndex) -> IndexWindow:
        """Return a window that begins near the end."""
        return cls(index, max(0, index.end - NEAR_END_LINES))

    @property
    def _end(self) -> int:
        """The place after its last line that has an end."""
        return self.begin + len(self._held) - self._open

    @property
    def behind(self) -> int:
        """How many lines come after it."""
        return max(0, self._index.end - self._end)

    @property
    def is_far_behind(self) -> bool:
        return self.behind > FAR_BEHIND_LINES

    @property
    def is_whole(self) -> bool:
        return self.begin == 0 and not self.behind

    @property
    def place_percent(self) -> int:
        """How far into all of them it begins."""
        return 100 * self.begin // max(self._index.end, 1)

    @property
    def size(self) -> int:
        """How many lines there are."""
        return self._index.end

    def start_of(self, index: int) -> int:
        return self.begin + index

    def colours_of(self, index: int) -> Runs:
        return self._held[index].colours

    def moment_of(self, index: int) -> Moment | None:
        """Return when a line was written, None if that is not known."""
        return self._held[index].moment

    def spot_of(self, index: int) -> tuple[int, int]:
        """Return of which log a line is, and where it begins there, in bytes."""
        return self._held[index].source, self._held[index].start

    def index_of(self, start: int) -> int | None:
        index = start - self.begin
        return index if 0 <= index < len(self.lines) else None

    def read_on(self) -> int | None:
        """Take some more lines at the end; return the first that is new or longer, or None."""
        if self._index.generation != self._generation:
            self._generation = self._index.generation
            self._put([], first=0)
            self.begin = max(self._index.let_go, self._index.end - NEAR_END_LINES)
            self._open = 0
        opened = self._index.open_lines if self.behind <= STEP_LINES else []
        more = self._index.lines(self._end, self._end + STEP_LINES) if self.behind else []
        if not more and self._held[len(self._held) - self._open :] == opened:
            return None
        first = len(self._held) - self._open
        self._put([*more, *opened], first)
        self._open = len(opened)
        return first

    def _put(self, lines: list[IndexedLine], first: int) -> None:
        self._held[first:] = lines
        self.lines[first:] = [line.text for line in lines]

    def read_back(self) -> int:
        """Take some more lines before the beginning; return how many."""
        first = max(self._index.let_go, self.begin - BACK_LINES)
        if self._index.generation != self._generation or first >= self.begin:
            return 0
        before = self._index.lines(first, self.begin)
        self._held[:0] = before
        self.lines[:0] = [line.text for line in before]
        self.begin -= len(before)
        return len(before)

    def drop_first(self, count: int) -> None:
        """Forget lines at the beginning."""
        del self.lines[:count], self._held[:count]
        self.begin += count

    def drop_last(self, count: int) -> None:
        """Forget lines at the end; they are read again when they are wanted."""
        if count > 0:
            self._open = max(0, self._open - count)
            del self.lines[-count:], self._held[-count:]


def places_with(
    index: LogIndex, matches: Callable[[str], bool], *, gives_up: Callable[[], bool]
) -> Iterator[int]:
    """Yield the places of the lines that match, of all that are known by now."""
    at, end = index.let_go, index.end
    while at < end and not gives_up():
        lines = index.lines(at, min(at + STEP_LINES, end))
        for number, line in enumerate(lines):
            if matches(line.text):
                yield at + number
        at += max(len(lines), 1)
    for number, line in enumerate(index.open_lines):
        if matches(line.text):
            yield end + number
