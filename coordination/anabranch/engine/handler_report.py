"""What a report tells of the handlers of a stream: how many, which failed, how long they took."""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import Any

from anabranch.core.events import HandlerFinished
from anabranch.core.ids import StreamId
from anabranch.core.json_values import Json, checked_text
from anabranch.core.model.handlers import results_key
from anabranch.core.model.lifecycle import LIVE
from anabranch.core.model.state import State
from anabranch.engine.handler_ends import HandlerEnds, all_ends
from anabranch.engine.handler_results import results_path, shared_results
from anabranch.engine.handlers import counts_of, have_handlers
from anabranch.hostile_text import utf8_text
from anabranch.paths import RunFolder
from anabranch.plain_files import NotPlain

MOST_FAILURES = 20
MOST_FAILURES_KEPT = 1_000
"""Of so many the first are looked for: whoever has more to mend begins with any of them."""
MOST_SLOWEST = 5


def handler_reports(state: State, run: RunFolder) -> list[dict[str, Any]]:
    """Return an entry for each stream with handlers; raises OSError if a book cannot be read."""
    have = have_handlers(state, run)
    return [_entry(state, run, plan.id) for plan in state.plan.streams if plan.id in have]


def _entry(state: State, run: RunFolder, stream: StreamId) -> dict[str, Any]:
    found, results, problem = _Reading(), None, ""
    try:
        found.read(HandlerEnds(stream, run.handlers(stream) / "book", state.started_wall))
        results = shared_results(run, stream)
    except NotPlain as error:  # a handler has put something else in its place
        problem = f"what is kept of its handlers cannot be read: {error.strerror}"
    named = sorted(found.failures)[:MOST_FAILURES]
    is_over = state.streams[stream].phase not in LIVE
    return {
        "stream": stream,
        **counts_of(state, run, stream),
        "in_doubt": found.open_count if is_over else 0,
        "seconds": _spread(sorted(found.seconds.values())),
        "failures": [found.failure(place) for place in named],
        "more_failures": len(found.failed) - len(named),
        "slowest": [_which(end) for end in found.slowest],
        "results": results,
        "results_path": utf8_text(str(results_path(run, stream))) if results else None,
        "results_are_shared": results is not None and _are_shared(state, stream, results),
        "problem": problem,
        "output": f"anabranch logs {stream} --handler N --run {state.run}",
    }


def _are_shared(state: State, stream: StreamId, results: Json) -> bool:
    """Return whether these results stand in the shared state: once a stream has succeeded."""
    return state.shared.text(results_key(stream)) == checked_text(results)


class _Reading:
    """One pass over a book: how each handler ended last, and next to nothing of those done."""

    def __init__(self) -> None:
        self.open_count = 0
        self._left: Set[int] = frozenset()
        self.seconds: dict[int, float] = {}
        self.failed: set[int] = set()
        self.failures: dict[int, HandlerFinished] = {}
        self._slowest: dict[int, HandlerFinished] = {}
        self._least = -1.0

    def read(self, ends: HandlerEnds) -> None:
        """Go through a book. Raises OSError."""
        for end in all_ends(ends):
            self._take(end)
        self.open_count, self._left = ends.open_count, ends.still_failed

    def _take(self, end: HandlerFinished) -> None:
        self.seconds[end.handler] = end.seconds
        if end.outcome == "failed":
            self.failed.add(end.handler)
            if len(self.failures) < MOST_FAILURES_KEPT or end.handler in self.failures:
                self.failures[end.handler] = end
        elif self.failed:
            self.failed.discard(end.handler)
            self.failures.pop(end.handler, None)
        if end.seconds > self._least:
            self._take_slow(end)

    def _take_slow(self, end: HandlerFinished) -> None:
        """Keep it among the slowest, each handler once, by the longest of its tries."""
        before = self._slowest.get(end.handler)
        if before is None or end.seconds > before.seconds:
            self._slowest[end.handler] = end
        if len(self._slowest) > MOST_SLOWEST:
            del self._slowest[self.slowest[-1].handler]
        if len(self._slowest) == MOST_SLOWEST:
            self._least = self.slowest[-1].seconds

    def failure(self, place: int) -> dict[str, Any]:
        """Return what there is to tell of a handler that has failed."""
        end, more = self.failures[place], ("attempt", "tries", "exit_code", "signal", "reason")
        facts = {name: getattr(end, name) for name in more}
        return {**_which(end), **facts, "not_tried_again": place in self._left}

    @property
    def slowest(self) -> list[HandlerFinished]:
        """The slowest, the longest first."""
        return sorted(self._slowest.values(), key=lambda end: -end.seconds)


def _which(end: HandlerFinished) -> dict[str, Any]:
    return {"handler": end.handler, "item": end.item, "seconds": end.seconds}


def _spread(seconds: Sequence[float]) -> dict[str, float] | None:
    """Return how long they took, of seconds in their order; None if none has ended."""
    if not seconds:
        return None
    last = len(seconds) - 1
    return {
        "median": seconds[last // 2],
        "p95": seconds[last * 95 // 100],
        "longest": seconds[last],
        "all": round(sum(seconds), 3),
    }
