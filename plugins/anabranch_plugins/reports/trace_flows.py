"""The arrows of a trace: from a dependency's work to the work that waited for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from anabranch_plugins.reports.trace_slices import ATTEMPT, Event, Slice


class Flow(NamedTuple):
    """An arrow: it leaves ``source`` at ``leaves`` and reaches ``target`` as that begins."""

    source: str
    leaves: int
    target: str
    reaches: int


def flows(events: Sequence[Event], slices: Iterable[Slice]) -> Iterator[Flow]:
    """Yield an arrow for each dependency of the plan that was met, to the first attempt after it.

    A dependency on a capability has one arrow, from the stream that had it first.
    """
    attempts: dict[str, list[Slice]] = {}
    for part in slices:
        if part.category == ATTEMPT:
            attempts.setdefault(part.stream, []).append(part)
    good = {(e["stream"], e.get("attempt")) for e in events if e["type"] == "stream_succeeded"}
    for plan in _planned(events):
        begun = attempts.get(plan["id"])
        for dependency in plan.get("depends_on", ()) if begun else ():
            reaches = begun[0].begin if begun else 0
            met = [
                (max(moments), stream)
                for stream in _able(dependency)
                if (moments := [*_moments(dependency, attempts.get(stream, ()), good, reaches)])
            ]
            if met:
                leaves, source = min(met)
                yield Flow(source, leaves, plan["id"], reaches)


def _planned(events: Sequence[Event]) -> Sequence[Mapping[str, Any]]:
    begun = next((event for event in events if event["type"] == "run_started"), None)
    streams: Sequence[Mapping[str, Any]] = begun["plan"]["streams"] if begun else ()
    return streams


def _able(dependency: Mapping[str, Any]) -> Sequence[str]:
    """Return the streams that can meet a dependency."""
    providers: Sequence[str] = dependency.get("providers") or ()
    return providers if dependency.get("capability") else (dependency["stream"],)


def _moments(
    dependency: Mapping[str, Any],
    attempts: Iterable[Slice],
    good: set[tuple[str, Any]],
    until: int,
) -> Iterator[int]:
    """Yield when attempts of a stream have met a dependency, as far as that is within them."""
    condition = dependency.get("condition", "succeeded")
    for attempt in attempts:
        moment = attempt.begin if condition == "started" else attempt.end - 1
        is_good = (attempt.stream, attempt.facts["attempt"]) in good
        if moment <= until and (is_good or condition in ("started", "completed")):
            yield moment
