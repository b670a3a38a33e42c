"""How far a stream's handlers are: counted, and said in its log."""

from __future__ import annotations

import json
import os
from typing import Protocol

from .book import Ended
from .chosen import Chosen
from .plain import plain
from .queues import Graph, Queue, Work

MOST_FAILURES_NAMED = 10
LONGEST_SHOWN = 80


class Exit(Protocol):
    """Whatever tells how a process ended: by an exit code, or by a signal."""

    @property
    def code(self) -> int | None: ...
    @property
    def signal(self) -> int | None: ...


class Tally:
    """Counts of one attempt; what was done before counts as succeeded, what is left as failed."""

    def __init__(self, queue: Graph | Queue, chosen: Chosen, started: float) -> None:
        self._queue, self._chosen, self._started = queue, chosen, started
        self._succeeded = 0
        self._failures: dict[int, str] = {}
        self._said_ended = 0

    @property
    def failed(self) -> int:
        """How many the attempt has run in vain."""
        return len(self._failures)

    @property
    def _failed_in_all(self) -> int:
        return self.failed + self._chosen.left

    @property
    def _ended(self) -> int:
        return self._succeeded + self.failed

    def _rate(self, now: float) -> float:
        """Return how many have ended in a second."""
        return self._ended / max(now - self._started, 0.001)

    def succeeded(self) -> None:
        """Count one that has succeeded."""
        self._succeeded += 1

    def failed_for(self, work: Work, reason: str) -> None:
        """Count one that has failed, the first few by name."""
        is_named = len(self._failures) < MOST_FAILURES_NAMED
        self._failures[work.place] = f"{short(work)}: {reason}" if is_named else ""

    def reopened(self, work: Work) -> None:
        """Count one no longer that had failed."""
        self._failures.pop(work.place, None)

    def progress(self, now: float) -> str:
        """Return how far it is, in a line; empty if nothing has ended since the last one."""
        if self._ended == self._said_ended:
            return ""
        self._said_ended, rate = self._ended, self._rate(now)
        done, total = self._succeeded + self._queue.skipped, self._queue.total
        failed = f", {self._failed_in_all} failed" if self._failed_in_all else ""
        if total is None:
            return f"{done} done{failed}, {rate:.1f} a second"
        left = (total - done - self._failed_in_all - self._chosen.not_begun) / max(rate, 0.001)
        return f"{done} of {total} done{failed}, {rate:.1f} a second, about {left:.0f} s left"

    def write(self, folder: str, running: int, now: float) -> None:
        """Write the counts down for those who ask meanwhile."""
        queue = self._queue
        counts = {
            "total": queue.seen if queue.total is None else queue.total,
            "is_total_known": queue.total is not None or not queue.may_have_more,
            "succeeded": self._succeeded + queue.skipped,
            "failed": self._failed_in_all,
            "not_tried_again": self._chosen.left,
            "running": running,
            "rate": round(self._rate(now), 3),
        }
        beside = f"{folder}/counts.new"
        with open(beside, "w", encoding="utf-8", opener=plain) as file:
            json.dump(counts, file)
        os.replace(beside, f"{folder}/counts")

    def conclusion(self) -> list[str]:
        """Return what came of it all, in lines."""
        done, before = self._succeeded + self._queue.skipped, self._queue.skipped
        earlier = f" ({before} of them before)" if before else ""
        left = f" ({self._chosen.left} of them not tried again)" if self._chosen.left else ""
        failed = f"{self._failed_in_all} failed{left}"
        said = [f"{done} of {self._queue.seen} handlers succeeded{earlier}, {failed}"]
        said += [f"failed: {failure}" for failure in self._failures.values() if failure]
        unnamed = sum(not failure for failure in self._failures.values())
        return [*said, f"and {unnamed} more failed"] if unnamed else said


def in_words(ended: Ended) -> str:
    """Return how a handler has ended, for people."""
    return ended.why or exit_in_words(ended)


def exit_in_words(end: Exit) -> str:
    """Return by what a process has ended, for people."""
    return f"exit {end.code}" if end.signal is None else f"signal {end.signal}"


def short(work: Work) -> str:
    """Return what an item is called in a line."""
    text = work.text
    return text if len(text) <= LONGEST_SHOWN else f"{text[: LONGEST_SHOWN - 1]}…"
