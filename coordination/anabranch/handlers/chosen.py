"""Which handlers an attempt runs that is about single ones: those that a person has asked for.

What is done stays done, and what has failed and was not asked for stays as it is: the attempt
leaves it. What was done before and is not any more, as its inputs have changed or the workspace is
another one, is done again, as a retry would. A task that waited for others runs when they have
succeeded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from . import book
from .job import Job
from .queues import Work

MOST_KEPT = 10_000
"""So many of those that were left a person may still ask for while the attempt runs."""


class Chosen:
    """What an attempt is to run; everything, unless its job names single handlers."""

    def __init__(self, job: Job, path: str, note: Callable[[str], None]) -> None:
        """Prepare.

        Args:
            job: names those that were asked for.
            path: the book, where every handler that was begun has an end.
            note: has a line written into the book.
        """
        self.is_everything = job.only is None
        self._places = {place for place, _ in job.only or ()}
        self._attempt, self._note = job.attempt, note
        self._waits_for_others = "graph" in job.source
        self._failed = {} if self.is_everything else book.failed_keys(path)
        self._left: dict[int, Work | None] = {}
        self.not_begun = 0

    @property
    def left(self) -> int:
        """How many that have failed are left as they are."""
        return len(self._left)

    def may_be_done(self, work: Work) -> bool:
        """Return whether it may be this one that is done, of several items that are the same."""
        return self._failed.get(work.place) != work.key

    def leaves(self, work: Work) -> bool:
        """Return whether what is not done is left, and note that."""
        failed = self._failed.get(work.place)
        if self.is_everything or failed == "" or work.place in self._places:
            return False
        if failed is None:
            self.not_begun += not self._waits_for_others
            return not self._waits_for_others
        self._left[work.place] = work if len(self._left) < MOST_KEPT else None
        self._note(book.left_line(work.place, work.key, self._attempt))
        return True

    def add(self, place: int) -> Work | None:
        """Take one more that is asked for; return its work if it was left already."""
        self._places.add(place)
        return self._left.pop(place, None) if self._left.get(place) else None

    def in_words(self, failed: int) -> str:
        """Return why an attempt of single handlers has not made all of them succeed.

        Args:
            failed: how many the attempt itself has run in vain.
        """
        if self.is_everything:
            return ""
        parts = list(_counted(failed + self.left, self.left))
        if self.not_begun:
            parts.append(f"{self.not_begun} not begun")
        return ", ".join(parts)


def _counted(failed: int, left: int) -> Iterator[str]:
    if failed:
        yield f"{failed} handler{'s have' if failed > 1 else ' has'} failed"
    if left:
        yield "not tried again" if left == failed else f"{left} of them not tried again"
