"""Lines that are held in memory, for a log view: a log that somebody else reads."""

from __future__ import annotations

from collections.abc import Sequence

from anabranch.engine.log_colours import Runs
from anabranch.engine.log_times import Moment


class HeldLines:
    """The last lines of a text, the whole of it unless it is said to begin later.

    It is a :class:`~anabranch_console.log_texts.Window`.
    """

    behind = place_percent = 0
    is_far_behind = counts_lines = False

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.begin = 0
        self.size = 0
        self._first_changed: int | None = None

    @property
    def is_whole(self) -> bool:
        return self.begin == 0

    def take(self, lines: Sequence[str], begin: int, size: int) -> None:
        """Take the lines as they are now: from which byte of the text on, of how many."""
        before = self.lines
        if begin != self.begin or len(lines) < len(before):
            first = 0
        else:
            pairs = zip(before, lines, strict=False)
            first = next((at for at, (old, new) in enumerate(pairs) if old != new), len(before))
        self.size, self.begin = size, begin
        if first == len(lines) == len(before):
            return
        self.lines = list(lines)
        known = self._first_changed
        self._first_changed = first if known is None else min(first, known)

    def read_on(self) -> int | None:
        changed, self._first_changed = self._first_changed, None
        return changed

    def read_back(self) -> int:
        return 0

    def drop_first(self, count: int) -> None:
        del self.lines[:count]

    def drop_last(self, count: int) -> None:
        """Keep them: nobody could read them again."""

    def start_of(self, index: int) -> int:
        return index

    def colours_of(self, index: int) -> Runs:
        return ()

    def spot_of(self, index: int) -> tuple[int, int]:
        return 0, index

    def moment_of(self, index: int) -> Moment | None:
        return None

    def index_of(self, start: int) -> int | None:
        return start if start < len(self.lines) else None
