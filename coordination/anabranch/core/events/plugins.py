"""Events about the plugins that a run's strategies come from."""

from __future__ import annotations

from anabranch.core.events.base import Event


class StrategyFaulted(Event, frozen=True):
    """A plugin's strategy did wrong, and the core's own was asked instead.

    ``fault`` says how; ``count`` is how often it has by now. One that ``is_set_aside`` is not asked
    again in this run by this engine.
    """

    plugin: str
    strategy: str
    fault: str
    count: int
    is_set_aside: bool
