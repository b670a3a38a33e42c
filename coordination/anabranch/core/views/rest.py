"""Whether an open run has nothing to do."""

from __future__ import annotations

from anabranch.core.deciding.runs import is_at_rest
from anabranch.core.folds.reviews import waiting_for_review
from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.state import State
from anabranch.core.views.projections import run_state


def awaits_more(state: State) -> bool:
    """Return whether an open run goes on only once a person adds something, or closes it."""
    if not state.plan.is_open or state.has_ended or state.base is None:
        return False
    if not is_at_rest(state):
        return False
    waits = any(s.phase is Phase.WAITING for s in state.streams.values())
    return not waits or bool(waiting_for_review(state))


def run_in_words(state: State, is_hosted: bool) -> str:
    """Return the run's state for a person: one that only waits for more is not interrupted."""
    if not is_hosted and awaits_more(state):
        return "open"
    return run_state(state, is_hosted).replace("_", " ")
