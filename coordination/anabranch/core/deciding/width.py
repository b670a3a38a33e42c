"""How many streams may run at a time, by what the machine bears.

A controller in steps, that prefers a stable width to a perfect one:

- *Room*: never more at a time than are expected to fit into memory, by the most that each was seen
  to have (learned, asked for, or as much as the largest in this run).
- *Pressure*: where processes wait for memory, or memory comes back from swap, a quarter fewer run;
  nobody is ended for it. Pressure stall information says so seconds before the kernel kills.
- *Growth*: while all slots are taken, others are ready and the machine has processors to spare, the
  width doubles until it first had to be cut, and then grows by one (slow start and additive
  increase, multiplicative decrease: Jacobson 1988).
- *Return*: where one more was learned to add less than a twentieth of a stream's work, since it
  slows the others down, nothing grows (:mod:`anabranch.core.plans.contention`).
- *Saturation*: once the processors are busy, and with this run, more at a time makes nothing
  faster. Nothing grows then, and what is beyond twice the processors shrinks.

Each change is an event that says why.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from anabranch.core import events as ev
from anabranch.core import inputs
from anabranch.core.deciding.draft import Draft
from anabranch.core.deciding.resources import least_free_mb
from anabranch.core.events.guardian import BY_MACHINE
from anabranch.core.model.at_work import active_streams
from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.state import State, Stream
from anabranch.core.plans.contention import marginal

MOST_WIDTH = 1000
MEMORY_SOME, MEMORY_FULL = 10.0, 2.0
"""Above so many percent of the time it is pressure: somebody waits for memory, everybody does."""
MEMORY_CALM = 5.0
"""Above so many, nothing grows."""
IO_SOME = 60.0
SWAPPED_IN_MB = 1.0
BUSY = 0.95
"""Above this share of the processors' time, more at a time makes nothing faster."""
OWN = 0.25
"""Where the run's streams use less than this share, others keep the machine busy, and they wait."""
FEWER = 0.75
PROBE_SECONDS, STEP_SECONDS, REST_SECONDS = 1.0, 4.0, 10.0
"""How long a width stays at least: while it doubles, while it grows by one, after a cut."""
LEAST_RETURN = 0.05
"""One more must be learned to add at least this share of the work of one alone, if it was."""
LEAST_STREAM_MB = 64.0
"""What a stream of which nothing is known takes at least."""


class Seen(NamedTuple):
    """What the next width is decided on: the run's side of it.

    ``shown_seconds`` is for how long half of those that run have shown what they take, ``slowdown``
    what each was learned to cost the others.
    """

    width: int
    active: int
    ready: int
    most: int
    next_mb: float
    held_seconds: float
    has_peaked: bool
    shown_seconds: float = math.inf
    slowdown: float | None = None


class Step(NamedTuple):
    """Another width, and why."""

    width: int
    reason: str


def pressure_seen(draft: Draft, fact: inputs.PressureSeen) -> None:
    """Have the width follow the machine, if the plan leaves it to it."""
    state = draft.state
    if not state.plan.is_adaptive or state.has_ended or state.stop_reason:
        return
    if state.guardian.narrowed_to is not None or state.runs_alone is not None:
        return
    step = next_width(seen_of(state, fact, draft.now), fact)
    if step is not None:
        draft.emit(
            ev.ParallelismChanged(
                max_parallel=step.width, reason=step.reason, by=BY_MACHINE, was=state.max_parallel
            )
        )


def seen_of(state: State, fact: inputs.PressureSeen, now: float) -> Seen:
    """Return the run's side of the decision."""
    ready = [name for _, _, name in state.ready if state.streams[name].not_before <= now]
    known_mb = state.expected_memory_mb(ready[0]) if ready else 0.0
    return Seen(
        width=state.max_parallel,
        active=state.counts.active,
        ready=len(ready),
        most=min(len(state.streams), MOST_WIDTH),
        next_mb=known_mb or max(fact.largest_mb, LEAST_STREAM_MB),
        held_seconds=now - state.width.since if state.width.current is not None else math.inf,
        shown_seconds=_shown_seconds(state, now),
        has_peaked=state.width.has_peaked,
        slowdown=state.plan.slowdown,
    )


def _shown_seconds(state: State, now: float) -> float:
    ages = sorted(_age(stream, now) for stream in active_streams(state))
    return ages[len(ages) // 2] if ages else math.inf


def _age(stream: Stream, now: float) -> float:
    """Return for how long a stream has shown what it takes."""
    if stream.phase is Phase.CAPTURING:
        return math.inf
    return now - stream.started_at if stream.started_at is not None else 0.0


def next_width(seen: Seen, fact: inputs.PressureSeen) -> Step | None:
    """Return the width that the machine bears, None if it is the one that there is."""
    step = _pressed(seen, fact) or _crowded(seen, fact) or _saturated(seen, fact)
    step = step or _grown(seen, fact)
    return step if step is not None and step.width != seen.width else None


def room_for(seen: Seen, fact: inputs.PressureSeen) -> int:
    """Return how many more streams like the next one are expected to fit into memory."""
    least_mb = least_free_mb(fact.memory_total_mb)
    free = fact.memory_available_mb - least_mb - fact.growing_mb
    return max(0, int(free / seen.next_mb))


def _pressed(seen: Seen, fact: inputs.PressureSeen) -> Step | None:
    if seen.active < 2 or (seen.held_seconds < REST_SECONDS and seen.has_peaked):
        return None
    why = _memory_pressure(fact)
    if not why:
        return None
    return Step(max(1, int(min(seen.width, seen.active) * FEWER)), why)


def _memory_pressure(fact: inputs.PressureSeen) -> str:
    if fact.memory_some is not None and fact.memory_some > MEMORY_SOME:
        return f"memory pressure {fact.memory_some:.0f} %"
    if fact.memory_full is not None and fact.memory_full > MEMORY_FULL:
        return f"memory pressure {fact.memory_full:.0f} %, of everybody"
    if fact.swapped_in_mb > SWAPPED_IN_MB:
        return f"{fact.swapped_in_mb:.0f} MB a second come back from swap"
    return ""


def _crowded(seen: Seen, fact: inputs.PressureSeen) -> Step | None:
    """Leave no slot free that nothing fits into."""
    fits = seen.active + room_for(seen, fact)
    if not seen.ready or fits >= seen.width:
        return None
    free = fact.memory_available_mb
    why = f"{free:.0f} MB of memory are free, and the next one takes about {seen.next_mb:.0f}"
    return Step(max(1, fits), why)


def _saturated(seen: Seen, fact: inputs.PressureSeen) -> Step | None:
    enough = 2 * fact.cores
    if not _is_saturated(fact) or seen.active <= enough or seen.held_seconds < REST_SECONDS:
        return None
    width = max(enough, int(seen.width * FEWER))
    return Step(width, f"{_busy(fact)}: more at a time makes nothing faster")


def _grown(seen: Seen, fact: inputs.PressureSeen) -> Step | None:
    patience = STEP_SECONDS if seen.has_peaked else PROBE_SECONDS
    if not seen.ready or seen.active < seen.width or seen.held_seconds < patience:
        return None
    if seen.shown_seconds < PROBE_SECONDS:  # nobody knows yet how much they will take
        return None
    is_calm = (fact.memory_some or 0.0) <= MEMORY_CALM and (fact.io_some or 0.0) <= IO_SOME
    brings = 1.0 if seen.slowdown is None else marginal(seen.slowdown, seen.width)
    if _is_saturated(fact) or not is_calm or brings < LEAST_RETURN:
        return None
    wanted = seen.width + 1 if seen.has_peaked else 2 * seen.width
    most = min(seen.most, seen.active + room_for(seen, fact), seen.active + seen.ready)
    width = min(wanted, most)
    if width <= seen.width:
        return None
    learned = "" if seen.slowdown is None else f", and one more brings about {brings:.0%}"
    return Step(width, f"all {seen.width} slots are taken, {_busy(fact)}{learned}")


def _is_saturated(fact: inputs.PressureSeen) -> bool:
    return fact.busy >= BUSY and fact.own >= OWN


def _busy(fact: inputs.PressureSeen) -> str:
    return f"the processors are {fact.busy:.0%} busy, {fact.own:.0%} with it"
