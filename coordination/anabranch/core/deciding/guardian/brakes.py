"""What holds the guardian back: limits on how often it ends streams, and what is left alone.

Many streams that stand still at once are seldom many troubles: the machine is short of something,
or all wait for the same service. Ending them all would lose their work's momentum and mend nothing.
The limit is an intensity, as a supervisor has it (Armstrong 2003): so many within so long.
"""

from __future__ import annotations

from anabranch.core.model.state import State

INTENSITY_SECONDS = 60.0
LEAST_INTENSITY = 3
SHARE_OF_STREAMS = 4


def most_at_once(state: State) -> int:
    """Return how many streams may be ended within :data:`INTENSITY_SECONDS`."""
    return max(LEAST_INTENSITY, -(-len(state.plan.streams) // SHARE_OF_STREAMS))


def held_until(state: State, now: float) -> float | None:
    """Return when another stream may be ended, or None if one may be now."""
    recent = [at for at in state.guardian.hard_at if at > now - INTENSITY_SECONDS]
    most = most_at_once(state)
    return recent[-most] + INTENSITY_SECONDS if len(recent) >= most else None
