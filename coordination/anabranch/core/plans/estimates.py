"""How long streams are expected to take, from how long they took before.

A duration says something about the next one only where the circumstances are alike: the same work,
on the same machine, with about as many others beside it. So each sample carries the width that it
was learned at, and of those learned at the nearest width the median counts: one run that a crowd
of others slowed down moves nothing. Whatever nobody has seen is *guessed*, and says so.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import msgspec

from anabranch.core.plans.plan import Work

Basis = Literal["learned", "class", "guessed"]

GUESSED_SECONDS = 1.0
NEAR = math.log(2.0)
"""Widths within a factor of two of the nearest one are as good as that."""
RECENT = 7
"""The newest so many make the estimate: it follows what the work has become."""
FEWEST_FOR_A_TAIL = 5
"""Of fewer samples nobody can say what is usual and what is unusually long."""
USUAL, TAIL = 0.5, 0.95


class Sample(msgspec.Struct, frozen=True, array_like=True):
    """What one successful attempt took: ``work_seconds`` without its waits for others.

    ``width`` is how many streams ran at a time meanwhile, in the mean; ``run`` is where it was.
    """

    run: str
    work_seconds: float
    width: float = 1.0
    cpu_seconds: float | None = None
    peak_memory_mb: float | None = None


class Estimate(msgspec.Struct, frozen=True):
    """How long a stream is expected to take, and what that is said from.

    ``basis`` is *learned* (the same work on this machine, ``runs`` times), *class* (the same
    command under another name, or the rest of the plan) or *guessed*. ``usual_seconds`` (p50) is
    what half of them do not exceed and ``long_seconds`` (p95) what 19 of 20 do not, None where too
    little is known; ``peak_memory_mb`` the most memory that any one process of it was seen to have.
    """

    seconds: float = GUESSED_SECONDS
    basis: Basis = "guessed"
    runs: int = 0
    usual_seconds: float | None = None
    long_seconds: float | None = None
    peak_memory_mb: float | None = None


class Learned(msgspec.Struct, frozen=True):
    """What earlier runs teach about works, on this machine."""

    samples: Mapping[Work, tuple[Sample, ...]] = {}

    def estimates(self, works: Sequence[Work], width: float) -> list[Estimate]:
        """Return an estimate for each stream of a plan that runs ``width`` of them at a time."""
        if not self.samples:
            return [Estimate()] * len(works)
        of_command = self._by_command()
        found = [
            _estimated(self.samples.get(work, ()), width, "learned")
            or _estimated(of_command.get(work.command, ()), width, "class")
            for work in works
        ]
        known = [estimate.seconds for estimate in found if estimate is not None]
        other = Estimate(median(known), "class") if known else Estimate()
        return [estimate or other for estimate in found]

    def _by_command(self) -> dict[str, tuple[Sample, ...]]:
        by_command: dict[str, tuple[Sample, ...]] = {}
        for work, samples in self.samples.items():
            by_command[work.command] = by_command.get(work.command, ()) + samples
        return by_command


def _estimated(samples: Iterable[Sample], width: float, basis: Basis) -> Estimate | None:
    """Return the median of what was learned nearest to a width, None without anything usable."""
    usable = [sample for sample in samples if _is_usable(sample)]
    if not usable:
        return None
    ways = [abs(math.log(max(sample.width, 1.0) / max(width, 1.0))) for sample in usable]
    nearest = min(ways) + NEAR
    near = [sample for sample, way in zip(usable, ways, strict=True) if way <= nearest]
    peaks = [sample.peak_memory_mb for sample in usable if sample.peak_memory_mb is not None]
    return Estimate(
        seconds=median([sample.work_seconds for sample in near[-RECENT:]]),
        basis=basis,
        runs=len(near),
        usual_seconds=percentile_seconds(near, USUAL),
        long_seconds=percentile_seconds(near, TAIL),
        peak_memory_mb=max(peaks, default=None),
    )


def percentile_seconds(samples: Sequence[Sample], share: float) -> float | None:
    """Return what a share (0..1) of samples do not exceed, by nearest rank: one that was seen.

    None of fewer than :data:`FEWEST_FOR_A_TAIL`. Below twenty, 0.95 is the longest of them.
    """
    if len(samples) < FEWEST_FOR_A_TAIL:
        return None
    ordered = sorted(sample.work_seconds for sample in samples)
    return ordered[max(math.ceil(share * len(ordered)), 1) - 1]


def _is_usable(sample: Sample) -> bool:
    return math.isfinite(sample.work_seconds) and sample.work_seconds >= 0 and sample.width > 0


def median(values: Sequence[float]) -> float:
    """Return the middle of some values, of which there is one at least."""
    ordered, half = sorted(values), len(values) // 2
    return ordered[half] if len(values) % 2 else (ordered[half - 1] + ordered[half]) / 2
