"""A run that is looked at from here, and hosted from here once there is something to do in it.

Whoever only looks changes nothing: opening the console on a run that is over writes nothing. A run
that somebody else hosts is steered through its host. When nobody hosts it, this console can.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from anabranch.core.ids import RunId, Seq, StreamId
from anabranch.core.inputs import Command
from anabranch.core.model.outcome import Refusal
from anabranch.core.model.state import State
from anabranch.core.strategies import Strategies

if TYPE_CHECKING:
    from anabranch.engine.follower import RunFollower
    from anabranch.engine.guarded_strategies import StrategyUse
    from anabranch.engine.host import RunHost
    from anabranch.engine.pressure_samples import Sample
    from anabranch.engine.source import Frame, Hosting, Overhead, Source
    from anabranch.engine.vitals import Vitals


@runtime_checkable
class CanBeHosted(Protocol):
    """A source whose run this process may begin to host."""

    def open_host(self) -> Source:
        """Open a host of the run; takes a while. Raises AnabranchError."""

    def host_here(self, host: Source) -> None:
        """Show and steer the run through a host that was opened."""


class FollowedRun:
    """A follower until it is hosted here. It is a :class:`anabranch.engine.source.Source`.

    Args:
        follower: what the run is looked at through until then.
        opening: opens a host of the run.
    """

    def __init__(self, follower: RunFollower, opening: Callable[[], RunHost]) -> None:
        self._follower: RunFollower | None = follower
        self._source: Source = follower
        self._opening = opening
        self.host: RunHost | None = None

    def open_host(self) -> RunHost:
        """Open a host of the run, which :meth:`close` closes. Raises AnabranchError."""
        self.host = self._opening()
        return self.host

    def host_here(self, host: Source) -> None:
        """Show and steer the run through its host; nobody follows it any more."""
        follower, self._follower = self._follower, None
        self._source = host
        if follower is not None:
            follower.close()

    def close(self) -> None:
        """Stop following, or hosting; streams run on."""
        if self.host is not None:
            self.host.close()
        if self._follower is not None:
            self._follower.close()

    # --- the protocol ----------------------------------------------------------------------------

    @property
    def run(self) -> RunId:
        return self._source.run

    @property
    def folder(self) -> Path:
        return self._source.folder

    @property
    def hosting(self) -> Hosting:
        return self._source.hosting

    @property
    def state(self) -> State:
        return self._source.state

    @property
    def trouble(self) -> str | None:
        return self._source.trouble

    @property
    def strategies(self) -> Strategies | None:
        return self._source.strategies

    def now(self) -> float:
        return self._source.now()

    def take(self, cursor: Seq) -> Frame:
        return self._source.take(cursor)

    def vitals(self) -> Mapping[StreamId, Vitals]:
        return self._source.vitals()

    def strategy_use(self) -> Mapping[str, StrategyUse]:
        return self._source.strategy_use()

    def overhead(self) -> Overhead:
        return self._source.overhead()

    def pressure(self) -> tuple[Sample, ...]:
        return self._source.pressure()

    def submit(self, command: Command) -> Future[Refusal | None]:
        return self._source.submit(command)
