"""What must hold of results that a person has to take first."""

from __future__ import annotations

from collections.abc import Iterator

from anabranch.core.folds.reviews import is_taken, waits_for_review
from anabranch.core.model.state import PointPhase, RunPhase, State


def review_promises(state: State) -> Iterator[str]:
    """Yield every promise about reviews that the state breaks, in words."""
    if not state.topology.reviewed:
        return
    reviewed = set(state.topology.reviewed)
    for point in state.points.values():
        for name, result in point.holds:
            stream = state.streams[name]
            counts = name in point.merged and name in reviewed and result == stream.result
            changes = result.tree != result.start_tree
            if counts and changes and not is_taken(state, stream):
                yield f"{point.id} has merged {name}, and nobody has taken that"
        if point.phase in (PointPhase.MERGING, PointPhase.VERIFYING):
            for name in point.merging:
                if waits_for_review(state, name):
                    yield f"{point.id} merges {name}, and nobody has taken that"
    for name in reviewed:
        stream = state.streams[name]
        if state.phase is RunPhase.CONVERGED and waits_for_review(state, name):
            yield f"the run converged, and {name} waits for a review"
        if waits_for_review(state, name) and any(name in p.arrived for p in state.points.values()):
            yield f"{name} waits for a review, and has come to a point"
