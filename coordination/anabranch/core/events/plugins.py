"""Events about the plugins that a run's strategies come from."""

from __future__ import annotations

from anabranch.core.events.base import Event
from anabranch.core.ids import PointId, StreamId


class StrategyFaulted(Event, frozen=True, kw_only=True):
    """A plugin's strategy did wrong, and the core's own was asked instead.

    ``fault`` says how; ``count`` is how often it has by now. One that ``is_set_aside`` is not asked
    again in this run by this engine. One that ``is_heeded`` did wrong beside its answer, which was
    taken.
    """

    plugin: str
    strategy: str
    fault: str
    count: int
    is_set_aside: bool
    is_heeded: bool = False


class StrategyChosen(Event, frozen=True, kw_only=True):
    """From now on another strategy is asked; ``kind``: convergence, balancer, recovery, fallback.

    ``was`` is the one before; a convergence type is chosen for a ``point``, which says what it
    does: whether it ``merges_early`` or ``takes_checkpoints``.
    """

    kind: str
    strategy: str
    was: str
    reason: str
    point: PointId = PointId("")
    merges_early: bool = False
    takes_checkpoints: bool = False


class QueueRanked(Event, frozen=True, kw_only=True):
    """The streams that are ready have other places in the queue now; the smallest rank is first."""

    ranks: dict[StreamId, tuple[float, ...]]
    reason: str
