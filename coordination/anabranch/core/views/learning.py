"""What was learned of earlier runs, held against this one: how right it was, what it brought."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from anabranch.core.ids import StreamId
from anabranch.core.model.state import State
from anabranch.core.plans.estimates import GUESSED_SECONDS, Sample
from anabranch.core.plans.plan import Plan, Work
from anabranch.core.plans.rehearsal import Rehearsal
from anabranch.core.plans.timing import as_it_was, delays_of, timing_of
from anabranch.core.strategies.urgency import PRIORITY_SECONDS

BLIND = frozenset({"plan-order", "round-robin"})
"""Load balancers of ours whose order does not follow from estimates."""
LEAST_SHARE = 0.01
"""A gain below that is none: the replay is no more exact."""


class Gain(msgspec.Struct, frozen=True):
    """What the order gained by learned durations: seconds, and their share of what it would take.

    Both are None where nobody can say, and ``reason`` tells why not.
    """

    seconds: float | None = None
    share: float | None = None
    reason: str = ""

    @property
    def is_one(self) -> bool:
        """Whether anything was gained that can be told from nothing."""
        return self.share is not None and self.share >= LEAST_SHARE


def gain_of_learning(state: State, durations: Mapping[StreamId, float]) -> Gain:
    """Return what the learned durations have brought.

    The run is replayed with what its streams really took: in the order in which they were started,
    and in that which guesses would have given (each stream a second, the longest chain first).
    """
    plan = state.plan
    if all(stream.estimate_basis == "guessed" for stream in plan.streams):
        return Gain(reason="nothing had been learned")
    if plan.balancer in BLIND:
        return Gain(reason=f"{plan.balancer} does not go by how long streams take")
    if not durations:
        return Gain(reason="nothing has run")
    used = _replayed(state, durations, _as_started(state))
    guessed = _replayed(state, durations, _as_guessed(state))
    if guessed <= 0:
        return Gain(reason="nothing has taken any time")
    gained = guessed - used
    return Gain(round(gained, 3), round(gained / guessed, 4))


def _as_started(state: State) -> list[float]:
    """Return ranks by which streams go in the order in which they were started."""
    begun = (state.streams[stream.id].first_started_at for stream in state.plan.streams)
    return _with_points(state, [float("-inf") if at is None else -at for at in begun])


def _as_guessed(state: State) -> list[float]:
    """Return ranks by which the longest chain goes first, were nothing known of any stream."""
    network, streams = state.topology.network, state.plan.streams
    guesses = _with_points(state, [GUESSED_SECONDS] * len(streams))
    ways = timing_of(network, guesses, delays_of(network, state.plan)).rank
    by_priority = (stream.priority * PRIORITY_SECONDS for stream in streams)
    ranks = [way + more for way, more in zip(ways, by_priority, strict=False)]
    return _with_points(state, ranks)


def _with_points(state: State, of_streams: list[float]) -> list[float]:
    return of_streams + [0.0] * (len(state.topology.network.waits_for) - len(of_streams))


def _replayed(state: State, durations: Mapping[StreamId, float], ranks: Sequence[float]) -> float:
    """Return how long the run takes on paper if the ready stream of the highest rank goes first."""
    network, delay = state.topology.network, delays_of(state.topology.network, state.plan)
    for node, stream in enumerate(network.ids):
        if stream not in durations:
            delay[node] = 0.0
    took = as_it_was(network, state.plan, durations).duration
    return Rehearsal(network, ranks, took, delay, state.widest).run()


def predictions(plan: Plan, samples: Mapping[Work, Sample]) -> list[dict[str, Any]]:
    """Return for each stream what was predicted and what it took, as the report tells it.

    ``actual_seconds`` is None of one that has not succeeded from its beginning.
    """
    took = {work.stream: sample.work_seconds for work, sample in samples.items()}
    return [
        {
            "stream": stream.id,
            "basis": stream.estimate_basis,
            "runs": stream.estimate_runs,
            "predicted_seconds": round(stream.estimate_seconds, 3),
            "p50_seconds": stream.usual_seconds,
            "p95_seconds": stream.long_seconds,
            "actual_seconds": took.get(stream.id),
        }
        for stream in plan.streams
    ]
