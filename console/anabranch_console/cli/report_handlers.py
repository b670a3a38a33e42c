"""What a report tells of handlers, as figures with names: for the text and for Markdown."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from anabranch.core.wording import length
from anabranch_console.cli.output import shown

MOST_FAILURES = 5
MOST_SLOWEST = 3
LONGEST_ITEM = 60


def handler_figures(entries: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    """Yield the figures of each stream that fans out, each with its name."""
    for entry in entries:
        yield "handlers", f"{shown(entry['stream'])}: {', '.join(_counts(entry))}"
        if entry["problem"]:
            yield "  problem", shown(entry["problem"])
        if entry["seconds"]:
            yield "  took", _spread(entry["seconds"])
        for failure in entry["failures"][:MOST_FAILURES]:
            yield "  failed", f"{_which(failure)}: {shown(_how(failure))}"
        more = len(entry["failures"]) - MOST_FAILURES + entry["more_failures"]
        if more > 0:
            yield "  failed", f"and {more:,} more"
        if entry["failures"]:
            yield "  output", shown(entry["output"])
        if len(entry["slowest"]) > 1:
            slowest = entry["slowest"][:MOST_SLOWEST]
            named = [f"{_which(handler)} {_took(handler['seconds'])}" for handler in slowest]
            yield "  slowest", "; ".join(named)
        if entry["results"]:
            yield "  results", _results(entry)


def _counts(entry: dict[str, Any]) -> Iterator[str]:
    yield f"{entry['succeeded']:,} of {entry['total']:,} done"
    if entry["failed"]:
        yield f"{entry['failed']:,} failed"
    if entry["not_tried_again"]:
        yield f"{entry['not_tried_again']:,} of them not tried again"
    if entry["running"]:
        yield f"{entry['running']:,} running"
    if entry["in_doubt"]:
        yield f"{entry['in_doubt']:,} in doubt"


def _spread(seconds: dict[str, float]) -> str:
    median, p95, longest = (_took(seconds[name]) for name in ("median", "p95", "longest"))
    return (
        f"{median} (median), 95 % within {p95}, longest {longest}; {_took(seconds['all'])} in all"
    )


def _took(seconds: float) -> str:
    return length(seconds, 1) if seconds >= 1 else f"{seconds * 1000:.0f} ms"


def _which(handler: dict[str, Any]) -> str:
    return f"{handler['handler']} ({shown(handler['item'], LONGEST_ITEM)})"


def _how(failure: dict[str, Any]) -> str:
    signal, code = failure["signal"], failure["exit_code"]
    ended = f"exit {code}" if signal is None else f"ended by signal {signal}"
    left = "; not tried again" if failure["not_tried_again"] else ""
    return f"{failure['reason'] or ended}{left}"


def _results(entry: dict[str, Any]) -> str:
    found = entry["results"]
    count = found["count"] if isinstance(found, dict) else len(found)
    if not entry["results_are_shared"]:
        return f"{count:,}, in {shown(entry['results_path'])}, not in the shared state"
    if isinstance(found, dict):
        return f"{count:,} in {shown(found['path'])}"
    return f"{count:,}, in the shared state as results/{shown(entry['stream'])}"
