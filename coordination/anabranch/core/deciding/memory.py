"""Decisions about streams that run out of memory: who is ended for it, and how it is tried again.

Running out of memory says little about a stream and much about who ran beside it. So an attempt
that ended that way counts for a budget of its own, not for the stream's retries, and the next one
runs alone: nothing else is active, nothing starts beside it, and it asks for as much as it had.
"""

from __future__ import annotations

from collections.abc import Iterator

from anabranch.core import events as ev
from anabranch.core import inputs
from anabranch.core.deciding.draft import Draft
from anabranch.core.deciding.streams.speculating import memory_is_short
from anabranch.core.deciding.streams.streams import request_stop
from anabranch.core.deciding.victims import ABOVE_CEILING, Candidate, Victim, victim
from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.resources import MEMORY
from anabranch.core.model.state import State


def seen(draft: Draft, fact: inputs.MemorySeen) -> None:
    """End whom the rule names, if it names anybody."""
    state = draft.state
    if state.has_ended or state.stop_reason:
        return
    if memory_is_short(draft, fact):
        return
    is_short = fact.is_short and not _comes_back(state)
    found = victim(_candidates(state, fact), is_short=is_short)
    if found is None:
        return
    stream = draft.stream(found.stream)
    overran = ev.StreamOverran(
        stream.id,
        attempt=stream.attempt,
        resource=MEMORY,
        used=round(found.used_mb, 1),
        limit=round(found.limit_mb, 1),
        rule=found.rule,
    )
    with draft.because_of(stream.cause), draft.because_of(draft.emit(overran)):
        request_stop(draft, draft.stream(stream.id), _in_words(found), Phase.FAILED)


def _candidates(state: State, fact: inputs.MemorySeen) -> Iterator[Candidate]:
    for use in fact.uses:
        stream = state.streams.get(use.stream)
        if stream is None or stream.attempt != use.attempt or stream.phase is not Phase.RUNNING:
            continue
        ceiling = state.stream_plan(stream.id).limits.get(MEMORY)
        expected = state.expected_memory_mb(stream.id)
        yield Candidate(stream.id, use.memory_mb, ceiling, expected)


def _comes_back(state: State) -> bool:
    """Return whether memory of one that was ended for it is on its way back."""
    return any(
        s.phase is Phase.STOPPING and s.memory.overrun_of(s.attempt) is not None
        for s in state.streams.values()
    )


def _in_words(found: Victim) -> str:
    has = f"it has {found.used_mb:.0f} MB of memory"
    if found.rule == ABOVE_CEILING:
        return f"{has}, and its ceiling is {found.limit_mb:.0f}"
    return f"{has}, {found.used_mb - found.limit_mb:.0f} more than expected: {found.rule}"
