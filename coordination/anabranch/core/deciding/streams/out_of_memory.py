"""How it is known that an attempt ended for want of memory, and what comes of that.

Three things tell: the engine has ended it by its rule (:mod:`anabranch.core.deciding.victims`), the
kernel has killed it, or it could get no more below its own ceiling and failed. A log that speaks
of memory is the stream's own word, and counts only for one that has a ceiling.
"""

from __future__ import annotations

import math
import signal as signals

from anabranch.core import events as ev
from anabranch.core import inputs
from anabranch.core.deciding.draft import Draft
from anabranch.core.model.memory import Overrun
from anabranch.core.model.resources import MEMORY
from anabranch.core.model.state import State, Stream
from anabranch.core.strategies import FailureClass, GiveUp, RecoveryDecision, Retry
from anabranch.core.wording import counted

MOST_TRIES = 2
"""How often a stream that ran out of memory is tried again, alone."""
NEAR = 0.9
"""Whoever fails having had so much of its ceiling has met it."""
OUT_OF_MEMORY = "out of memory"

KILLED = "the kernel has killed it for want of memory"
AT_CEILING = "it could get no more below its ceiling"


def found_at_exit(draft: Draft, stream: Stream, fact: inputs.ProcessExited) -> None:
    """Note that the kernel has ended a stream, if its process says so and the kernel, too."""
    was_killed = fact.signal == signals.SIGKILL or fact.exit_code == 128 + signals.SIGKILL
    if not (fact.memory_kills and was_killed) or stream.stop:
        return
    _overran(draft, stream, fact.peak_memory_mb or 0.0, KILLED)


def found_in_failure(draft: Draft, stream: Stream, kind: FailureClass) -> FailureClass:
    """Return the class of a failure, having noted if its own ceiling was in the way."""
    limit = draft.state.stream_plan(stream.id).limits.get(MEMORY)
    known = stream.memory.overrun_of(stream.attempt)
    if known is None and limit is not None and not stream.stop:
        peak = stream.worked.peak_memory_mb or 0.0
        if peak >= NEAR * limit or kind.name == OUT_OF_MEMORY:
            known = _overran(draft, stream, max(peak, limit), AT_CEILING)
    if known is None:
        return kind
    has_said = bool(stream.stop)  # what it was ended for says it all
    return FailureClass(OUT_OF_MEMORY, evidence="" if has_said else _in_words(known))


def _overran(draft: Draft, stream: Stream, used: float, rule: str) -> Overrun | None:
    limit = draft.state.stream_plan(stream.id).limits.get(MEMORY, 0.0)
    draft.emit(
        ev.StreamOverran(
            stream.id,
            attempt=stream.attempt,
            resource=MEMORY,
            used=round(used, 1),
            limit=limit,
            rule=rule,
        )
    )
    return draft.stream(stream.id).memory.overrun_of(stream.attempt)


def _in_words(known: Overrun) -> str:
    if known.rule == AT_CEILING:
        return f"{known.rule} of {known.limit:g} MB"
    return f"{known.rule}, one process of it had {known.used:.0f} MB" if known.used else known.rule


def again(stream: Stream) -> RecoveryDecision:
    """Return whether a stream that ran out of memory is tried again: by a budget of its own."""
    if stream.memory.tries >= MOST_TRIES:
        return GiveUp(f"it ran out of memory alone as well, {counted(MOST_TRIES, 'time')}")
    return Retry(0.0, "alone, once nothing else runs")


def asks_next(state: State, stream: Stream) -> float:
    """Return how much memory the next attempt asks for: as much as this one had, if there is."""
    known = stream.memory.overrun_of(stream.attempt)
    had = max(known.used if known else 0.0, state.asks_of(stream.id).get(MEMORY, 0.0))
    whole = state.plan.resources.get(MEMORY, state.resources.machine.get(MEMORY, math.inf))
    return min(round(had, 1), whole)
