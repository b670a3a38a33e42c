"""What a report tells of the handlers of a stream: how many, which failed, how long they took."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import Any

from anabranch.core.ids import StreamId
from anabranch.core.model.lifecycle import LIVE
from anabranch.core.model.state import State
from anabranch.engine.handler_book import Handler, HandlerState, read_whole
from anabranch.engine.handler_results import shared_results
from anabranch.engine.handlers import counts_of
from anabranch.paths import RunFolder

MOST_FAILURES = 20
MOST_SLOWEST = 5


def handler_reports(state: State, run: RunFolder) -> list[dict[str, Any]]:
    """Return an entry for each stream that fans out; raises OSError if a book cannot be read."""
    fans = (plan.id for plan in state.plan.streams if plan.fan is not None)
    return [_entry(state, run, stream) for stream in fans]


def _entry(state: State, run: RunFolder, stream: StreamId) -> dict[str, Any]:
    found = read_whole(run.handlers(stream) / "book").handlers
    ended = [handler for handler in found.values() if handler.ended is not None]
    failed = sorted(handler.place for handler in ended if handler.state is HandlerState.FAILED)
    is_over = state.streams[stream].phase not in LIVE
    slowest = heapq.nlargest(MOST_SLOWEST, ended, key=_seconds)
    return {
        "stream": stream,
        **counts_of(state, run, stream),
        "in_doubt": len(found) - len(ended) if is_over else 0,
        "seconds": _spread(sorted(map(_seconds, ended))),
        "failures": [_failure(found[place]) for place in failed[:MOST_FAILURES]],
        "more_failures": max(0, len(failed) - MOST_FAILURES),
        "slowest": [_which(handler) for handler in slowest],
        "results": shared_results(run, stream),
        "output": f"anabranch logs {stream} --handler N --run {state.run}",
    }


def _seconds(handler: Handler) -> float:
    return handler.seconds(0.0)


def _which(handler: Handler) -> dict[str, Any]:
    return {"handler": handler.place, "item": handler.text, "seconds": _seconds(handler)}


def _failure(handler: Handler) -> dict[str, Any]:
    ended = handler.ended
    assert ended is not None, "it has failed"
    return {
        **_which(handler),
        "attempt": handler.attempt,
        "tries": handler.tries,
        "exit_code": ended.code,
        "signal": ended.signal,
        "reason": ended.why,
    }


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
