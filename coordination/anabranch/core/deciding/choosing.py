"""Choosing another strategy while a run goes on: for points and streams that have not begun.

What was decided stays as it was; from now on another one is asked. The event says all that a replay
needs, so it never asks a plugin.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, Literal, get_args

import msgspec

from anabranch.core import events as ev
from anabranch.core import inputs
from anabranch.core.deciding.draft import Draft
from anabranch.core.ids import PointId
from anabranch.core.model.care import HARD, SOFT
from anabranch.core.model.outcome import Refusal
from anabranch.core.model.state import PointPhase, State
from anabranch.core.plans.plan import Plan
from anabranch.core.strategies import Strategies, options_for

Choice = Literal["convergence", "balancer", "recovery", "fallback"]
CHOICES: tuple[Choice, ...] = get_args(Choice)


def candidates(strategies: Strategies, kind: str) -> list[str]:
    """Return the strategies that can be chosen, by their shortest names."""
    of_kind: Mapping[str, Mapping[str, Any]] = {
        "convergence": strategies.convergence,
        "balancer": strategies.balancers,
        "recovery": strategies.recovery,
        "fallback": strategies.remedies,
    }
    found = of_kind.get(kind, {})
    plain = {name for name in found if ":" not in name}
    shortest = [n for n in found if n in plain or n.rpartition(":")[2] not in plain]
    return sorted(n for n in shortest if kind != "fallback" or n not in (SOFT, HARD))


def chosen(plan: Plan, kind: str, point: PointId) -> str:
    """Return the strategy that a plan has now."""
    if kind == "convergence":
        return next(p.type for p in plan.points if p.id == point)
    return {"balancer": plan.balancer, "recovery": plan.recovery, "fallback": plan.fallback}[kind]


def choose(draft: Draft, command: inputs.ChooseStrategy) -> Refusal | None:
    """Let another strategy be asked from now on."""
    state, kind, name = draft.state, command.kind, command.strategy
    if state.has_ended:
        return Refusal("the run has ended", "the next run takes what its plan says")
    if kind not in CHOICES:
        return Refusal(f"there is no choice of {kind!r}", f"choices: {', '.join(CHOICES)}")
    refusal = _why_not_at(state, command.point) if kind == "convergence" else None
    if refusal is not None:
        return refusal
    known = candidates(draft.strategies, kind)
    if name not in known:
        near = get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"installed: {', '.join(known)}"
        return Refusal(f"the {kind} strategy {name!r} is not installed", hint)
    was = chosen(state.plan, kind, command.point)
    if was == name:
        return Refusal(f"{name} it is already", "nothing was changed")
    type_ = draft.strategies.convergence.get(name) if kind == "convergence" else None
    fault = _fault_of_options(type_, state, command.point)
    if fault is not None:
        told = f"{name} does not take the options of {command.point}: {fault}"
        return Refusal(told, "choose one that takes them, or change them in the next run's plan")
    is_early = bool(getattr(type_, "merges_early", False))
    if kind == "convergence" and not is_early and _waits_for_itself(state, command.point):
        told = f"streams at {command.point} wait until it has merged, and {name} merges them last"
        return Refusal(told, "choose one that merges early, such as progressive")
    draft.emit(
        ev.StrategyChosen(
            kind=kind,
            strategy=name,
            was=was,
            reason=command.reason,
            point=command.point if kind == "convergence" else PointId(""),
            merges_early=is_early,
            takes_checkpoints=bool(getattr(type_, "takes_checkpoints", False)),
        )
    )
    return None


def _why_not_at(state: State, point_id: PointId) -> Refusal | None:
    point = state.points.get(point_id)
    if point is None:
        return Refusal(f"there is no point {point_id!r}", f"points: {', '.join(state.points)}")
    if point.phase is not PointPhase.OPEN or point.merged or point.checkpoint.last:
        return Refusal(f"{point_id} has begun to merge", "only a point that has not can change")
    return None


def _fault_of_options(type_: object, state: State, point: PointId) -> str | None:
    """Return what a type objects to in the options that a point has."""
    taken = getattr(type_, "options_type", None)
    if taken is None:
        return None
    try:
        msgspec.convert(options_for(taken, state.point_plan(point).options), taken)
    except Exception as error:  # a plugin's type may raise what it likes
        return " ".join(str(error).split()) or type(error).__name__
    return None


def _waits_for_itself(state: State, point: PointId) -> bool:
    """Whether a stream of the point depends on a merge of the same point."""
    members = {s.id for s in state.plan.streams if point in s.points}
    return any(
        dependency.condition == "converged" and members.intersection(dependency.streams)
        for stream in state.plan.streams
        if stream.id in members
        for dependency in stream.depends_on
    )
