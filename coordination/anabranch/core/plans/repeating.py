"""Which streams may have a second copy beside them, and why others never have one."""

from __future__ import annotations

from anabranch.core.ids import StreamId
from anabranch.core.plans.plan import Plan, StreamPlan

MOST_SHARE = 0.1
"""Of all streams of a plan so many may have a copy at a time, one at least."""


def most_copies(plan: Plan) -> int:
    """Return how many copies may run at a time."""
    return max(1, int(len(plan.streams) * MOST_SHARE))


def repeated(plan: Plan) -> tuple[StreamId, ...]:
    """Return the streams that may have a copy, in plan order."""
    if not plan.has_speculation:
        return ()
    return tuple(s.id for s in plan.streams if s.is_repeatable and not why_never(plan, s))


def why_never(plan: Plan, stream: StreamPlan) -> str:
    """Return why a repeatable stream has no copy all the same; empty if it may have one."""
    if stream.is_service:
        return "it is a service, of which there is one"
    if stream.workspace == "shared":
        return "it works in your own folder, where two would get in each other's way"
    if stream.fan is not None:
        return "it has handlers, which are balanced and tried again one by one"
    if stream.tty:
        return "it has a terminal, and what is typed there reaches one process only"
    if stream.rate is not None:
        return "its rate counts every start, and a copy is one"
    brought = {p.id for p in plan.points if p.takes_checkpoints}
    if stream.sync and brought & set(stream.points):
        return "others' work is brought to it while it runs, and a copy would begin without that"
    return ""
