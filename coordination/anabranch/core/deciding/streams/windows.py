"""When a stream may start, as far as clocks decide: its time of day, its spread and its rate.

The core knows no clock on a wall. A time of day is sought by an effect, and what is answered is a
moment of the run clock; whoever answers looks at the wall until that moment has come.
"""

from __future__ import annotations

from zlib import crc32

from anabranch.core import events as ev
from anabranch.core import inputs
from anabranch.core.deciding.draft import Draft
from anabranch.core.ids import Attempt, RunId
from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.state import State, Stream
from anabranch.core.plans.plan import RatePlan, StreamPlan
from anabranch.core.wording import length

MISSED_SECONDS = 60.0
"""A time of day is missed if nobody could start the stream for longer than that."""
MOVED_SECONDS = 1.0
"""By so much a time has to move to be told: clocks are always set a little."""


def is_sought(stream: Stream) -> bool:
    """Return whether somebody is to say when a stream's time of day comes."""
    return stream.phase is Phase.WAITING and stream.window.is_sought


def is_awaited(stream: Stream) -> bool:
    """Return whether nothing but its time of day keeps a stream from being queued."""
    return is_sought(stream) and stream.window.is_awaited


def holds_back(draft: Draft, stream: Stream, is_awaited: bool) -> bool:
    """Return whether a waiting stream's time of day has still to come, and have it sought."""
    plan, window = draft.state.stream_plan(stream.id), stream.window
    if not plan.at or window.is_open:
        return False
    if not window.cause or (is_awaited and not window.is_awaited):
        after = draft.state.started_wall if window.after_wall is None else window.after_wall
        draft.emit(
            ev.StreamTimed(
                stream.id, at=plan.at, zone=plan.zone, after_wall=after, is_awaited=is_awaited
            )
        )
    return True


def has_come(draft: Draft, fact: inputs.TimeFound) -> bool:
    """Hear when a stream's time of day comes; return whether it may be queued now."""
    stream = draft.state.streams.get(fact.stream)
    if stream is None or not is_sought(stream) or fact.cause != stream.window.cause:
        return False
    late = draft.now - fact.due_at
    is_missed = stream.window.is_awaited and late > MISSED_SECONDS
    if not is_missed:
        _note(draft, stream, fact)
        return stream.window.is_awaited and fact.seen_wall >= fact.due_wall
    catch_up = draft.state.stream_plan(stream.id).catch_up
    what = "it waits for the next one" if catch_up == "skip" else "it starts now"
    draft.emit(
        ev.WindowMissed(
            stream.id,
            due_wall=fact.due_wall,
            seen_wall=fact.seen_wall,
            shown=fact.shown,
            late_seconds=late,
            catch_up=catch_up,
            reason=f"{fact.shown} passed {length(late)} ago while {_why(stream)}: {what}",
        )
    )
    return catch_up != "skip"


def _why(stream: Stream) -> str:
    """Return why nobody has started a stream at its time."""
    known = stream.window.due_at
    if known is not None and known < stream.window.since:
        return "it waited for others"
    return "nobody hosted the run, the machine slept, or its clock was set"


def _note(draft: Draft, stream: Stream, fact: inputs.TimeFound) -> None:
    known = stream.window.due_at
    moved = None if known is None else fact.due_at - known
    if moved is not None and abs(moved) <= MOVED_SECONDS:
        return
    reason = ""
    if moved is not None:
        way = "later" if moved > 0 else "earlier"
        reason = f"the clock was set, or the machine slept: {length(abs(moved))} {way}"
    draft.emit(
        ev.WindowFound(
            stream.id,
            due_at=fact.due_at,
            due_wall=fact.due_wall,
            shown=fact.shown,
            moved_seconds=moved,
            reason=reason,
        )
    )


def opening(state: State, stream: Stream, now: float) -> tuple[float, str]:
    """Return when a stream that may be queued now may start, in run seconds, and what for.

    There is nothing to say of the time that the plan's ``after`` names.
    """
    plan = state.stream_plan(stream.id)
    at, why = now, ""
    if stream.phase is Phase.WAITING:
        at += plan.after_seconds
        if plan.spread_seconds and not stream.window.is_open:
            at += spread(state.run, plan, stream.attempt + 1)
            why = f"its moment within {length(plan.spread_seconds)}"
    if plan.rate is not None and plan.fan is None:
        free_at = next_start(stream.window.starts, plan.rate)
        if free_at > at:
            at, why = free_at, f"its rate, {plan.rate.words}"
    return at, why


def spread(run: RunId, plan: StreamPlan, attempt: Attempt) -> float:
    """Return a stream's own share of its spread, in seconds: the same for the same attempt."""
    part = crc32(f"{run}/{plan.id}/{attempt}/spread".encode()) / 2**32
    return plan.spread_seconds * part


def next_start(starts: tuple[float, ...], rate: RatePlan) -> float:
    """Return from when on a rate allows another start after these, in run seconds."""
    if len(starts) < rate.at_most:
        return 0.0
    return starts[-rate.at_most] + rate.per_seconds


def expected_from(state: State, stream: Stream) -> float:
    """Return the moment before which a stream cannot start, in run seconds; 0 if none is known."""
    if stream.phase is not Phase.WAITING:
        return stream.not_before
    due = stream.window.due_at
    if due is None or stream.window.is_open:
        return 0.0
    return due + spread(state.run, state.stream_plan(stream.id), stream.attempt + 1)


def expected_idle(state: State, stream: Stream) -> float:
    """Return how long a stream stays idle by its spread once all else is there, in seconds."""
    plan = state.stream_plan(stream.id)
    if stream.phase is not Phase.WAITING or plan.at or stream.window.is_open:
        return 0.0
    return spread(state.run, plan, stream.attempt + 1)
