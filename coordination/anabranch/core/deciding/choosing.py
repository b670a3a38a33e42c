"""Choosing another strategy while a run goes on: for points and streams that have not begun.

What was decided stays as it was; from now on another one is asked. The event says all that a replay
needs, so it never asks a plugin.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

import msgspec

from anabranch.core import events as ev
from anabranch.core import inputs
from anabranch.core.deciding.draft import Draft
from anabranch.core.ids import PointId
from anabranch.core.model.outcome import Refusal
from anabranch.core.model.state import PointPhase, State
from anabranch.core.plans.plan import Plan
from anabranch.core.strategies import Abilities, Strategies, abilities_of, options_for
from anabranch.core.strategies.kinds import CHOICES, Kind


def candidates(strategies: Strategies, choice: str) -> list[str]:
    """Return the strategies that can be chosen, by their shortest names."""
    kind = CHOICES.get(choice)
    found: Mapping[str, Any] = getattr(strategies, kind.field) if kind else {}
    plain = {name for name in found if ":" not in name}
    shortest = [n for n in found if n in plain or n.rpartition(":")[2] not in plain]
    return sorted(n for n in shortest if kind and n not in kind.not_named)


def chosen(plan: Plan, kind: Kind, point: PointId) -> str:
    """Return the strategy that a plan has now."""
    if kind.is_at_points:
        return next(p.type for p in plan.points if p.id == point)
    name: str = getattr(plan, kind.choice)
    return name


def choose(draft: Draft, command: inputs.ChooseStrategy) -> Refusal | None:
    """Let another strategy be asked from now on."""
    state, name, kind = draft.state, command.strategy, CHOICES.get(command.kind)
    refusal = why_not_chosen(state, draft.strategies, command)
    if refusal is not None or kind is None:
        return refusal
    able = Abilities()
    if kind.is_at_points:
        able = abilities_of(draft.strategies.convergence_type(name))
    draft.emit(
        ev.StrategyChosen(
            kind=kind.choice,
            strategy=name,
            was=chosen(state.plan, kind, command.point),
            reason=command.reason,
            point=command.point if kind.is_at_points else PointId(""),
            merges_early=able.merges_early,
            takes_checkpoints=able.takes_checkpoints,
        )
    )
    return None


def why_not_chosen(
    state: State, strategies: Strategies, command: inputs.ChooseStrategy
) -> Refusal | None:
    """Return why a strategy cannot be asked from now on; None if it can."""
    name, kind = command.strategy, CHOICES.get(command.kind)
    if state.has_ended:
        return Refusal("the run has ended", "the next run takes what its plan says")
    if kind is None:
        return Refusal(f"there is no choice of {command.kind!r}", f"choices: {', '.join(CHOICES)}")
    refusal = _why_not_at(state, command.point) if kind.is_at_points else None
    if refusal is not None:
        return refusal
    known = candidates(strategies, kind.choice)
    if name not in known:
        near = get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"installed: {', '.join(known)}"
        return Refusal(f"the {kind.choice} strategy {name!r} is not installed", hint)
    if chosen(state.plan, kind, command.point) == name:
        return Refusal(f"it is {name} already", "nothing was changed")
    if kind.is_at_points:
        able = abilities_of(strategies.convergence_type(name))
        return _why_unfit(state, command.point, name, able)
    return None


def _why_unfit(state: State, point: PointId, name: str, able: Abilities) -> Refusal | None:
    fault = _fault_of_options(able.options_type, state, point)
    if fault is not None:
        reason = f"{name} does not take the options of {point}: {fault}"
        return Refusal(reason, "choose one that takes them, or change them in the next run's plan")
    if able.adopts_one != state.point_plan(point).adopts_one:
        how = "adopts one of its streams" if able.adopts_one else "merges all of its streams"
        reason = f"{name} {how}, and the plan has {point} for something else"
        return Refusal(reason, "the next run's plan may name it from the start")
    if not able.merges_early and _waits_for_itself(state, point):
        reason = f"streams at {point} wait until it has merged, and {name} merges them last"
        return Refusal(reason, "choose one that merges early, such as progressive")
    return None


def _why_not_at(state: State, point_id: PointId) -> Refusal | None:
    point = state.points.get(point_id)
    if point is None:
        return Refusal(f"there is no point {point_id!r}", f"points: {', '.join(state.points)}")
    if point.phase is not PointPhase.OPEN or point.merged or point.checkpoint.last:
        return Refusal(f"{point_id} has begun to merge", "only a point that has not can change")
    return None


def _fault_of_options(taken: Any, state: State, point: PointId) -> str | None:
    """Return what an options type objects to in the options that a point has."""
    if taken is None:
        return None
    try:
        msgspec.convert(options_for(taken, state.point_plan(point).options), taken)
    except Exception as error:  # a plugin's type may raise what it likes
        return " ".join(str(error).split()) or type(error).__name__
    return None


def _waits_for_itself(state: State, point: PointId) -> bool:
    """Return whether a stream of the point depends on a merge of the same point."""
    members = {s.id for s in state.plan.streams if point in s.points}
    return any(
        dependency.condition == "converged" and members.intersection(dependency.streams)
        for stream in state.plan.streams
        if stream.id in members
        for dependency in stream.depends_on
    )
