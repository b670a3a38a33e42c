"""What a change of the width changes: the guardian's narrows the run, the machine's adapts it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from anabranch.core import events as ev
from anabranch.core.events.guardian import BY_MACHINE
from anabranch.core.model.state import State
from anabranch.core.model.width import KEPT_CHANGES, Change, Width


def _changed(state: State, record: ev.Recorded, event: ev.ParallelismChanged) -> State:
    known, guardian = state.width, state.guardian
    change = Change(record.at, event.max_parallel, event.reason)
    changes = (*known.changes, change)[-KEPT_CHANGES:]
    if event.by != BY_MACHINE:
        guardian = replace(guardian, narrowed_to=event.max_parallel)
        return replace(state, guardian=guardian, width=replace(known, changes=changes))
    width = Width(
        current=event.max_parallel,
        since=record.at,
        has_peaked=known.has_peaked or event.max_parallel < state.max_parallel,
        widest=max(known.widest, event.max_parallel),
        changes=changes,
    )
    return replace(state, width=width)


FOLDS: dict[type[ev.Event], Callable[[State, ev.Recorded, Any], State]] = {
    ev.ParallelismChanged: _changed,
}
