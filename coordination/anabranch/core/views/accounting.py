"""What a run cost and what it could have cost: pure sums over a state."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from anabranch.core import events as ev
from anabranch.core.deciding.overhead import in_words, is_too_much
from anabranch.core.ids import StreamId
from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.resources import CPU
from anabranch.core.model.state import State, Stream
from anabranch.core.plans.graph import critical_path, estimated_seconds, lower_bound_seconds
from anabranch.core.plans.plan import Plan
from anabranch.core.views.coordination import coordination_failures
from anabranch.core.views.copies import speculation
from anabranch.core.views.fusion import saved_seconds
from anabranch.core.views.learning import gain_of_learning, predictions
from anabranch.core.views.memory import overruns
from anabranch.core.views.projections import status as status_of
from anabranch.core.views.projections import stream_counts, wall_time
from anabranch.core.views.samples import estimate_errors, samples_of


def work_seconds(state: State, now: float) -> float:
    """Return the seconds that streams' own processes have run, added up."""
    return sum(worked_seconds(s, now) for s in state.streams.values())


def worked_seconds(stream: Stream, now: float) -> float:
    """Return the seconds that one stream's processes have run, all attempts together."""
    runs = stream.phase in (Phase.RUNNING, Phase.STOPPING) and stream.started_at is not None
    current = max(0.0, now - stream.started_at) if runs and stream.started_at is not None else 0.0
    return stream.spent.working + current


def setup_seconds(state: State, now: float) -> float:
    """Return the seconds that setups of workspaces have run: the project's own work, as well."""
    under_way = (
        now - s.setup.began_at
        for s in state.streams.values()
        if s.phase is Phase.SETTING_UP and s.setup.began_at is not None and s.setup.seconds is None
    )
    return sum(s.spent.setting_up for s in state.streams.values()) + sum(under_way)


def processor_seconds(state: State) -> float:
    """Return the seconds that streams' processes have used of processors, once they have ended."""
    return sum(stream.spent.on_processors for stream in state.streams.values())


def overhead_seconds(state: State) -> dict[str, float]:
    """Return the seconds that streams spent waiting for coordination, by category.

    Waiting for a slot or for other streams is not overhead: that is the plan's own doing.
    """
    spent = [s.spent for s in state.streams.values()]
    return {
        "workspaces": sum(s.preparing for s in spent),
        "processes": sum(s.starting for s in spent),
        "results": sum(s.capturing for s in spent),
        "merging": sum(p.merging_seconds for p in state.points.values()),
    }


def overhead_share(by_category: Mapping[str, float], work: float) -> float:
    """Return overhead as a share (0..1) of all seconds spent, ``work`` and setups among them."""
    total = sum(by_category.values())
    return total / (total + work) if total + work > 0 else 0.0


def wall_seconds(state: State, now: float) -> float:
    """Return how long the run has taken, or took."""
    return state.ended_at if state.ended_at is not None else now


class Figures(msgspec.Struct, frozen=True):
    """How well a run uses what it has; a ratio is None where there is nothing to divide by.

    ``bound_seconds`` is what no schedule is shorter than, and ``efficiency`` its share of what it
    took. ``utilisation`` is of slots, ``cpu_utilisation`` of processors by those that have ended.
    """

    wall_seconds: float
    work_seconds: float
    bound_seconds: float
    speedup: float | None
    efficiency: float | None
    utilisation: float | None
    cpu_utilisation: float | None


def figures(state: State, now: float) -> Figures:
    """Return how well a run uses what it has, up to a moment of its clock."""
    wall, work = wall_seconds(state, now), work_seconds(state, now)
    slots, cores = state.widest, state.resources.machine.get(CPU, 0.0)
    bound = lower_bound_seconds(state.plan, slots, durations_of(state, now))
    return Figures(
        wall_seconds=wall,
        work_seconds=work,
        bound_seconds=bound,
        speedup=_ratio(work, wall),
        efficiency=_ratio(bound, wall),
        utilisation=_ratio(work, slots * wall),
        cpu_utilisation=_ratio(processor_seconds(state), cores * wall) if cores else None,
    )


def durations_of(state: State, now: float) -> dict[StreamId, float]:
    """Return how long the processes of each job that has begun have run.

    A service takes as long as it is needed, so it says nothing about how long a plan takes.
    """
    jobs = (state.streams[name] for name in state.topology.jobs)
    begun = (s for s in jobs if s.first_started_at is not None)
    return {stream.id: worked_seconds(stream, now) for stream in begun}


def report(
    state: State,
    records: Iterable[ev.Recorded],
    now: float,
    engine_overhead: Mapping[str, float],
) -> dict[str, Any]:
    """Return the execution report as ``report --format json`` tells it.

    Of the run's ``records``, its retries are enough. ``engine_overhead`` adds the engine's own
    seconds to the streams' overhead.
    """
    streams = list(state.streams.values())
    known, durations, slots = figures(state, now), durations_of(state, now), state.widest
    by_category = {**overhead_seconds(state), **engine_overhead}
    set_up = setup_seconds(state, now)
    share = overhead_share(by_category, known.work_seconds + set_up)
    return {
        **status_of(state, True, round(share, 6)),
        "counts": stream_counts(state),
        "wall_seconds": _rounded(known.wall_seconds),
        "work_seconds": _rounded(known.work_seconds),
        "setup_seconds": _rounded(set_up),
        "speedup": known.speedup,
        "predicted_seconds": _rounded(estimated_seconds(state.plan, slots)),
        "estimates": _estimates(state, durations),
        "lower_bound_seconds": _rounded(known.bound_seconds),
        "efficiency": known.efficiency,
        "utilisation": known.utilisation,
        "cpu_utilisation": known.cpu_utilisation,
        "max_parallel": slots,
        "parallelism": [
            {"at": wall_time(state, c.at), "width": c.width, "reason": c.reason}
            for c in state.width.changes
        ],
        "overhead_alert": in_words(share, by_category) if is_too_much(share, by_category) else None,
        "coordination_failures": coordination_failures(state.effects),
        "overhead": {name: _rounded(seconds) for name, seconds in by_category.items()},
        "critical_path": {
            "predicted": critical_path(state.plan)[0],
            "actual": critical_path(with_durations(state.plan, durations))[0],
        },
        "seconds": {stream: _rounded(seconds) for stream, seconds in durations.items()},
        "commands": {stream: state.stream_plan(stream).command_text for stream in durations},
        "fusion_saved_seconds": _rounded(saved_seconds(state)),
        "recoveries": recoveries(records),
        "overruns": overruns(state),
        "speculation": speculation(state),
        "stealing": msgspec.to_builtins(state.queues.tally),
        "partial": [ref for s in streams for ref in s.partial],
        "rescue": [ref for s in streams for ref in s.rescue],
    }


def _estimates(state: State, durations: Mapping[StreamId, float]) -> dict[str, Any]:
    """Return how right the estimates were, and what they brought."""
    samples, gain = samples_of(state), gain_of_learning(state, durations)
    return {
        **estimate_errors(state.plan, samples),
        "gain_seconds": gain.seconds,
        "gain_share": gain.share,
        "gain_reason": gain.reason,
        "streams": predictions(state.plan, samples),
    }


def with_durations(plan: Plan, durations: Mapping[StreamId, float]) -> Plan:
    """Return the plan with what streams really took in place of their estimates."""
    streams = tuple(replace(s, estimate_seconds=durations.get(s.id, 0.0)) for s in plan.streams)
    return replace(plan, streams=streams)


def recoveries(records: Iterable[ev.Recorded]) -> list[dict[str, Any]]:
    """Return every attempt that was followed by another, and why."""
    return [
        {"stream": r.event.stream, "attempt": r.event.attempt, "reason": r.event.reason}
        for r in records
        if isinstance(r.event, ev.RetryScheduled)
    ]


def _rounded(seconds: float) -> float:
    return round(seconds, 3)


def _ratio(one: float, other: float) -> float | None:
    return round(one / other, 3) if other > 0 else None
