"""The operator lets writes against the locks be merged after all."""

from __future__ import annotations

from anabranch.core import events as ev
from anabranch.core import inputs
from anabranch.core.deciding.draft import Draft
from anabranch.core.deciding.locks.violations import unresolved
from anabranch.core.deciding.points import convergence
from anabranch.core.model.outcome import Refusal
from anabranch.core.model.state import PointPhase, RunPhase


def allow_violation(draft: Draft, command: inputs.AllowViolation) -> Refusal | None:
    """Let violations of a stream be merged, and go on with the points that they kept back."""
    state, stream = draft.state, command.stream
    if stream not in state.streams:
        return Refusal(f"there is no stream {stream!r} in this run", "name one of its own")
    open_ones = [v for v in unresolved(state, stream) if command.path in (None, v.path)]
    if not open_ones:
        return Refusal(f"{stream} has no such violation", "`anabranch locks` lists all there are")
    if state.phase is RunPhase.NEEDS_OPERATOR:
        draft.cause = draft.emit(ev.RunReopened(reason=command.reason))
    attempt = state.streams[stream].attempt
    draft.cause = draft.emit(
        ev.ViolationAllowed(stream, attempt, "", path=command.path, reason=command.reason)
    )
    for point in state.topology.points:
        found = draft.point(point)
        if found.phase is PointPhase.BLOCKED and not found.conflicts:
            convergence.reopen(draft, point, command.reason)
    return None
