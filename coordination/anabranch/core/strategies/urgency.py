"""How urgent a stream is: a sum of seconds, each part of which can be shown.

Everything is measured in seconds of the run, so that parts can be added and explained: the longest
way that is still behind a stream (the upward rank of HEFT, Topcuoglu 2002); a share of the work of
all that wait for it; how much longer than expected it sometimes takes, as stragglers should not
start last; and what the plan's author gives it. A stream that waits becomes more urgent by a second
each ten seconds (ageing against starvation): whoever is ready waits for later ones at most ten
times as long as these are more urgent, and then goes before them. Ageing as fast as time goes by
would cost two percent of the time that a run takes: the longest ways would wait too often.
"""

from __future__ import annotations

import msgspec

from anabranch.core.strategies.balancing import QueuedStream

PRIORITY_SECONDS = 3600.0
"""One step of priority outweighs so much of the others: an hour of the plan."""
AGE_SHARE = 0.1
"""So much more urgent does a second of waiting make."""
IMPACT_SHARE = 0.1
"""So much of the time of those that wait counts, in proportion to the width: few wait alone."""


class Urgency(msgspec.Struct, frozen=True):
    """The parts of a stream's urgency, in seconds; who has been ready longer has more ``age``."""

    path: float
    impact: float
    history: float
    priority: float
    age: float = 0.0

    @property
    def total(self) -> float:
        """All of them together; the largest goes first."""
        return self.path + self.impact + self.history + self.priority + self.age


def urgency_of(view: QueuedStream, now: float) -> Urgency:
    """Return how urgent a ready stream is at a moment of the run's clock."""
    straggle = 0.0 if view.long_seconds is None else view.long_seconds - view.estimate_seconds
    return Urgency(
        path=view.remaining_path_seconds,
        impact=IMPACT_SHARE * view.waiters * view.mean_seconds / max(view.max_parallel, 1),
        history=max(0.0, straggle),
        priority=view.priority * PRIORITY_SECONDS,
        age=AGE_SHARE * max(0.0, now - view.queued_at),
    )


def rank_of(view: QueuedStream) -> tuple[float, ...]:
    """Return the place of a stream among those that are ready; it does not change with time.

    All of them age alike, so the moment since which each is ready stands for its age.
    """
    return (AGE_SHARE * view.queued_at - urgency_of(view, view.queued_at).total,)
