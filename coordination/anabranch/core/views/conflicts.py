"""Conflicts that are open or foreseen, as they are shown.

The queries are those that decisions go by; what is shown cannot differ from what is decided.
"""

from __future__ import annotations

from anabranch.core.deciding.conflicts.radar import foreseen_with, in_order
from anabranch.core.deciding.conflicts.reopening import why_not_reopened
from anabranch.core.folds.resolutions import key_of, open_conflicts, resolution_of, undecided
from anabranch.core.model.decisions import Decision
from anabranch.core.model.state import State

__all__ = [
    "decisions_of",
    "foreseen_with",
    "in_order",
    "key_of",
    "open_conflicts",
    "resolution_of",
    "undecided",
    "why_not_reopened",
]


def decisions_of(state: State) -> list[Decision]:
    """Return the decisions that hold, the newest first."""
    return sorted(state.decisions.values(), key=lambda made: made.seq, reverse=True)
