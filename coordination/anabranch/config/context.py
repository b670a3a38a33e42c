"""What a plan depends on besides what its author wrote."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
from msgspec.structs import replace

from anabranch.config.strategy_names import StrategyNames
from anabranch.core.plans.contention import slowdown_of
from anabranch.core.plans.estimates import Learned
from anabranch.core.plans.plan import StreamPlan, Work


class PlanContext(msgspec.Struct, frozen=True):
    """What a plan depends on besides its file.

    ``auto_parallel`` is the width that ``"auto"`` begins with; ``learned`` is what earlier runs
    teach; ``machine`` is what there is of ``cpu_cores`` and ``memory_mb``; ``folder`` is the one in
    the project that it is run in, if that is known.
    """

    known: StrategyNames = msgspec.field(default_factory=StrategyNames)
    auto_parallel: int = 4
    learned: Learned = Learned()
    machine: Mapping[str, float] = {}
    folder: Path | None = None

    def with_estimates(
        self, plan: str, streams: Sequence[StreamPlan], max_parallel: int
    ) -> list[StreamPlan]:
        """Return the streams of a plan with how long each is expected to take, and why."""
        works = _works(plan, streams)
        width = min(max_parallel, len(streams))
        return [
            replace(
                stream,
                estimate_seconds=estimate.seconds,
                estimate_basis=estimate.basis,
                estimate_runs=estimate.runs,
                usual_seconds=estimate.usual_seconds,
                long_seconds=estimate.long_seconds,
                peak_memory_mb=estimate.peak_memory_mb,
            )
            for stream, estimate in zip(streams, self.learned.estimates(works, width), strict=True)
        ]

    def slowdown(self, plan: str, streams: Sequence[StreamPlan]) -> float | None:
        """Return what each stream of a plan was learned to cost the others, None if unknown."""
        known = self.learned.samples
        return slowdown_of(known[work] for work in _works(plan, streams) if work in known)


def _works(plan: str, streams: Sequence[StreamPlan]) -> list[Work]:
    return [Work(plan, stream.id, stream.command_text) for stream in streams]
