"""What the tabs say of the panes: whether there is anything to see, and what waits in each."""

from __future__ import annotations

from collections.abc import Mapping

from anabranch.core.model.messages import OPERATOR
from anabranch.core.model.state import State
from anabranch.core.views.conflicts import open_conflicts, undecided


def has_more_than_streams(state: State) -> bool:
    """Return whether a pane beside the streams has something to show."""
    return bool(
        state.resources.machine
        or state.shared.head
        or len(state.locks.entries)
        or len(state.messages.messages)
        or len(state.foreseen)
        or any(p.conflicts for p in state.points.values())
        or any(s.care.outcome or s.care.remedy for s in state.streams.values())
    )


def waiting_in_panes(state: State) -> Mapping[str, int]:
    """Return how many things in a pane wait for the operator, by the pane's name."""
    return {
        "messages": state.messages.waiting(OPERATOR),
        "conflicts": sum(len(undecided(state, c)) for _, c in open_conflicts(state)),
    }
