"""Older runs of the project, which go when this one is over, as the plan's ``keep_runs`` says."""

from __future__ import annotations

from anabranch.core import events as ev
from anabranch.core import inputs
from anabranch.core.deciding.draft import Draft
from anabranch.core.model.state import State


def are_owed_a_look(state: State) -> bool:
    """Return whether older runs may go now; what was to be approved first may prove their work."""
    is_approving = state.approval.is_requested and not state.approval.is_done
    return state.has_ended and bool(state.plan.keep_runs.by_ending) and not is_approving


def seen(draft: Draft, fact: inputs.OldRunsSeen) -> None:
    """Record which runs went, and why others that are old enough stay, where that is news."""
    if fact.removed or fact.kept != draft.state.kept_runs:
        draft.emit(
            ev.OldRunsRemoved(
                removed=fact.removed, removed_bytes=fact.removed_bytes, kept=dict(fact.kept)
            )
        )
