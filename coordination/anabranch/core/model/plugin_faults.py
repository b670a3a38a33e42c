"""What plugins of a run did wrong, and what is done instead: shown wherever the run is."""

from __future__ import annotations

import msgspec

_INSTEAD = {
    "probe": "how much there is of {name} is not known, so nothing limits it",
    "observer": "it misses events",
    "executor": "what names it is not started",
    "plugin": "the run does without it",
}
"""What follows when somebody besides the strategies fails, by the first word of the name."""


class PluginFault(msgspec.Struct, frozen=True, gc=False):
    """The newest fault of one strategy, observer, probe or executor; ``count`` of them so far."""

    plugin: str
    strategy: str
    fault: str
    count: int
    is_set_aside: bool
    at: float
    is_heeded: bool = False

    @property
    def instead(self) -> str:
        """What is done instead of what it would have done."""
        if self.is_heeded:
            return "its answers are taken all the same"
        kind, _, name = self.strategy.partition(" ")
        if name and kind in _INSTEAD:
            return _INSTEAD[kind].format(name=name)
        return "the core's own is asked"

    @property
    def words(self) -> str:
        """The fault in one sentence."""
        again = "; it is not asked again" if self.is_set_aside else ""
        source = f" ({self.plugin})" if self.plugin else ""
        return f"{self.strategy}{source}: {self.fault}; {self.instead}{again}"
