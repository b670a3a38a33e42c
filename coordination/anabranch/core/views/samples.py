"""What a run teaches about how long its streams take."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.state import State, Stream
from anabranch.core.plans.estimates import Sample
from anabranch.core.plans.plan import Plan, Work

SUCCESSFUL = (Phase.SUCCEEDED, Phase.PASSED_OVER)
LEAST_SECONDS = 0.001
"""Shorter durations are all the same."""


def samples_of(state: State) -> dict[Work, Sample]:
    """Return what each stream took that has succeeded from its beginning.

    One that failed says nothing about how long success takes, nor one that went on from a
    checkpoint about the whole way. What a stream's handlers waited for kept it from nothing else.
    """
    return {
        Work(state.plan.name, stream.id, state.stream_plan(stream.id).command_text): _sample(
            state, stream
        )
        for stream in state.streams.values()
        if stream.phase in SUCCESSFUL
        and not state.stream_plan(stream.id).is_service
        and not stream.restored
        and stream.worked.seconds > 0
    }


def estimate_errors(plan: Plan, samples: Mapping[Work, Sample]) -> dict[str, Any]:
    """Return how the plan's estimates were come by, and how far they were from what was so.

    ``median_factor`` is by which factor half of those that were learned were wrong at the most.
    """
    bases = Counter(stream.estimate_basis for stream in plan.streams)
    took = {work.stream: sample.work_seconds for work, sample in samples.items()}
    factors = sorted(
        factor_between(stream.estimate_seconds, took[stream.id])
        for stream in plan.streams
        if stream.estimate_basis == "learned" and took.get(stream.id)
    )
    return {
        "learned": bases["learned"],
        "class": bases["class"],
        "guessed": bases["guessed"],
        "median_factor": round(factors[(len(factors) - 1) // 2], 3) if factors else None,
    }


def factor_between(one: float, other: float) -> float:
    """Return how many times the larger of two durations is the smaller one, at least 1."""
    smaller, larger = sorted((max(one, LEAST_SECONDS), max(other, LEAST_SECONDS)))
    return larger / smaller


def _sample(state: State, stream: Stream) -> Sample:
    worked = stream.worked
    waited = 0.0 if state.stream_plan(stream.id).fan is not None else worked.waited
    return Sample(
        run=state.run,
        work_seconds=round(max(0.0, worked.seconds - waited), 3),
        width=worked.width,
        cpu_seconds=worked.cpu_seconds,
        peak_memory_mb=worked.peak_memory_mb,
    )
