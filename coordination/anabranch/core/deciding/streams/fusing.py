"""Fusion: whether a short stream goes on in the workspace that another has left in its slot.

A workspace of its own costs a stream a checkout. Where that is much beside the work that it is
expected to do, and it starts from what the one before it in its slot has left or had started from
itself, it takes that one's workspace over. Each keeps its name, log, result and locks, and what the
one before has done is kept by a ref beforehand. Who had to be tried again has a workspace of its
own, and so has whoever comes after: the first failure unfuses.

Operator chaining of stream processors is the model (Carbone et al. 2015, Apache Flink); it fuses by
the shape of a graph, this by what was learned as well.
"""

from __future__ import annotations

from anabranch.core.ids import StreamId
from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.slots import Slot
from anabranch.core.model.state import State, Stream
from anabranch.core.plans.plan import StreamPlan

WORTH_SHARE = 0.1
"""So much of a stream's expected work its own workspace must cost at least."""


def taken_over(state: State, stream: Stream, slot: Slot) -> StreamId | None:
    """Return whose workspace a stream takes over with a slot, None if it gets one of its own."""
    if not state.plan.fuses or slot.last is None:
        return None
    left = state.streams[slot.last]
    if not _is_set_up_alike(state, left, stream):
        return None
    fits = _is_left_whole(state, left, slot) and _is_new(state, stream)
    if not (fits and _starts_alike(state, left, stream) and is_worth_it(state, stream)):
        return None
    return left.id


def slot_to_go_on_in(state: State, stream: Stream) -> Slot | None:
    """Return the free slot in which the one was that a stream goes on from, if it takes it over."""
    if not is_worth_it(state, stream):
        return None
    before = _goes_on_from(state, stream)
    slot = None if before is None else state.slots.get(state.streams[before].slot)
    if slot is None or not slot.is_free or slot.number > state.max_parallel or slot.last != before:
        return None
    return slot if taken_over(state, stream, slot) is not None else None


def _goes_on_from(state: State, stream: Stream) -> StreamId | None:
    """Return the one stream that another starts from, None if there are none or several."""
    dependencies = state.stream_plan(stream.id).depends_on
    if len(dependencies) != 1 or len(dependencies[0].streams) != 1:
        return None
    return dependencies[0].streams[0]


def is_worth_it(state: State, stream: Stream) -> bool:
    """Say whether making a workspace is much beside what a stream was learned to take."""
    own, plan = state.fusion.own_seconds, state.stream_plan(stream.id)
    if own is None or plan.estimate_basis != "learned":
        return False
    return own >= WORTH_SHARE * plan.estimate_seconds


def _is_left_whole(state: State, left: Stream, slot: Slot) -> bool:
    """Say whether nobody needs what a stream has left, and all of it is in its result."""
    if left.phase is not Phase.SUCCEEDED or left.workspace is None or left.result is None:
        return False
    if (left.slot, left.incarnation) != (slot.number, slot.incarnation) or left.attempt != 1:
        return False
    had_survivors = left.exit is None or left.exit.survivors_ended > 0
    may_be_settled_there = any(left.id in pair for pair in state.foreseen)
    if had_survivors or left.ignored or left.result.is_mixed or may_be_settled_there:
        return False
    return _is_plain(state.stream_plan(left.id))


def _is_set_up_alike(state: State, left: Stream, stream: Stream) -> bool:
    """Say whether what made one's workspace ready does so for the other: it is not run again.

    One that is torn down is not there for anybody else.
    """
    before, after = state.stream_plan(left.id), state.stream_plan(stream.id)
    has_teardown = before.teardown is not None or after.teardown is not None
    if before.setup is None and after.setup is None:
        return not has_teardown
    return not has_teardown and before.setup == after.setup and before.env == after.env


def _is_new(state: State, stream: Stream) -> bool:
    is_first = stream.attempt == 1 and not stream.is_retry and stream.handed_back is None
    return is_first and _is_plain(state.stream_plan(stream.id))


def _is_plain(plan: StreamPlan) -> bool:
    has_more_workspaces = plan.fan is not None and plan.fan.workspace == "each"
    return plan.workspace == "isolated" and not has_more_workspaces


def _starts_alike(state: State, left: Stream, stream: Stream) -> bool:
    """Say whether a stream goes on from another, or starts from the same as that one did."""
    wanted = state.stream_plan(stream.id).depends_on
    if any(d.condition != "succeeded" for d in wanted):
        return False
    begins_alike = wanted == state.stream_plan(left.id).depends_on
    return begins_alike or _goes_on_from(state, stream) == left.id
