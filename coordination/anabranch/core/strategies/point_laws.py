"""What must be true of one answer about a convergence point, whoever gave it.

Each law takes what was shown and what was answered, and returns what is wrong in words, or nothing.
The engine holds every answer to them before it follows one
(:mod:`anabranch.core.deciding.points.convergence`), and so does the conformance suite. They exist
so that no stream which brought a result can be lost by an answer: a point ends with everybody
merged or named, or it does not end.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from anabranch.core.strategies.convergence import (
    Abandon,
    AskForOne,
    Checkpoint,
    Converge,
    PointDecision,
    PointView,
    WaitForMore,
)

LEAST_LOOK_SECONDS = 0.1
"""A point is not asked again sooner than this because of the clock alone."""

PointLaw = Callable[[PointView, PointDecision], str]


def it_merges_only_who_arrived(view: PointView, decision: PointDecision) -> str:
    """It merges a tuple of streams that have arrived: at least one, none of them twice."""
    if not isinstance(decision, Converge):
        return ""
    if not isinstance(decision.streams, tuple):
        return f"the streams to merge are a {type(decision.streams).__name__}, not a tuple"
    arrived = set(view.arrived)
    strangers = [stream for stream in decision.streams if stream not in arrived]
    if strangers:
        return f"it merges {strangers[0]!r}, which has not arrived"
    if len(set(decision.streams)) != len(decision.streams):
        return "it merges a stream twice"
    if not isinstance(decision.is_final, bool):
        return "it does not say whether the merge is final"
    return "" if decision.streams else "it converges on nothing"


def a_part_is_a_step_forward(view: PointView, decision: PointDecision) -> str:
    """A merge that is not final holds all who are merged already, and somebody new."""
    if not isinstance(decision, Converge) or decision.is_final:
        return ""
    chosen = set(decision.streams)
    dropped = [stream for stream in view.merged if stream not in chosen]
    if dropped:
        return f"a merge that is not final leaves out {dropped[0]!r}, which the point holds already"
    if chosen <= set(view.merged):
        return "a merge that is not final adds nobody, so the point would merge for ever"
    return ""


def it_snapshots_only_who_runs(view: PointView, decision: PointDecision) -> str:
    """It takes checkpoints of streams that run or have arrived, of at least one."""
    if not isinstance(decision, Checkpoint):
        return ""
    if not isinstance(decision.streams, tuple):
        return f"the streams to snapshot are a {type(decision.streams).__name__}, not a tuple"
    known = {*view.running, *view.arrived}
    strangers = [stream for stream in decision.streams if stream not in known]
    if strangers:
        return f"it takes a checkpoint of {strangers[0]!r}, which does not run"
    return "" if decision.streams else "it takes a checkpoint of nobody"


def it_waits_for_somebody(view: PointView, decision: PointDecision) -> str:
    """It does not go on waiting once everybody has arrived or departed."""
    if isinstance(decision, WaitForMore | Checkpoint) and not view.outstanding:
        return "it goes on waiting though everybody has arrived or departed"
    return ""


def it_gives_up_nobodys_work(view: PointView, decision: PointDecision) -> str:
    """It abandons a point only if nobody has arrived, is merged, or may still come.

    Who does not pass the check of a point that adopts one alone has brought nothing to adopt.
    """
    if not isinstance(decision, Abandon):
        return ""
    here = {*view.adoptable, *view.merged}
    if here:
        return f"it abandons the point though {min(here)} has brought a result"
    return "it abandons the point though somebody may still come" if view.outstanding else ""


def it_looks_again_at_a_time(view: PointView, decision: PointDecision) -> str:
    """It asks to be asked again at a finite time, or at none."""
    again = decision.look_again_at if isinstance(decision, WaitForMore) else None
    if again is None:
        return ""
    is_number = isinstance(again, int | float) and not isinstance(again, bool)
    return "" if is_number and math.isfinite(again) else f"it looks again at {again!r}, no time"


def one_is_adopted(view: PointView, decision: PointDecision) -> str:
    """It merges one alone if its type adopts one: whom a person chose, and who passes the check."""
    if not view.adopts_one or not isinstance(decision, Converge):
        return ""
    if len(decision.streams) != 1 or not decision.is_final:
        return "it adopts one, and merges others too"
    (chosen,) = decision.streams
    if view.outstanding:
        return f"it adopts {chosen!r} though somebody may still come"
    if view.adopted not in (None, chosen):
        return f"it adopts {chosen!r}, and a person has chosen {view.adopted!r}"
    return "" if chosen in view.adoptable else f"it adopts {chosen!r}, which fails the check"


def it_asks_about_who_can_be_adopted(view: PointView, decision: PointDecision) -> str:
    """It asks a person only for one to adopt, of those who can be, once, and when all are there."""
    if not isinstance(decision, AskForOne):
        return ""
    if not view.adopts_one:
        return "it asks for one to adopt, and its type adopts nobody"
    if not isinstance(decision.streams, tuple):
        return f"the streams to choose from are a {type(decision.streams).__name__}, not a tuple"
    if view.outstanding:
        return "it asks though somebody may still come"
    if view.adopted is not None:
        return f"it asks though a person has chosen {view.adopted!r}"
    strangers = [stream for stream in decision.streams if stream not in view.adoptable]
    if strangers:
        return f"it offers {strangers[0]!r}, which cannot be adopted"
    if len(set(decision.streams)) != len(decision.streams):
        return "it offers a stream twice"
    return "" if decision.streams else "it offers nobody"


POINT_LAWS: tuple[PointLaw, ...] = (
    it_merges_only_who_arrived,
    a_part_is_a_step_forward,
    it_snapshots_only_who_runs,
    it_waits_for_somebody,
    it_gives_up_nobodys_work,
    it_looks_again_at_a_time,
    one_is_adopted,
    it_asks_about_who_can_be_adopted,
)


def fault_of(view: PointView, decision: PointDecision) -> str:
    """Return why an answer must not be followed, or nothing if it may."""
    return next((fault for law in POINT_LAWS if (fault := law(view, decision))), "")
