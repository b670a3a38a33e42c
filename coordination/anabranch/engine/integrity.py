"""Whether a state is whole, for whoever shows a run: the same promises that tests are held to."""

from __future__ import annotations

from anabranch.core.model.state import State
from anabranch.core.promises.invariants import broken_promises


def what_is_broken(state: State) -> tuple[str, ...]:
    """Return every promise that a state breaks, in words; nothing if it is whole."""
    return tuple(broken_promises(state))
