"""What a front end sees of a run: one protocol, whether the engine is in this process or not.

A front end *pulls*. It keeps a cursor, asks for a frame ten times a second and gets what changed
since: the newest state, the streams whose facts moved, and the events. The engine never waits for
it, and a front end that fell behind learns how many events it missed.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Literal, Protocol

import msgspec

from anabranch.core.events import Recorded
from anabranch.core.ids import RunId, Seq, StreamId
from anabranch.core.inputs import Command
from anabranch.core.model.outcome import Refusal
from anabranch.core.model.state import State
from anabranch.core.strategies import Strategies
from anabranch.engine.guarded_strategies import StrategyUse
from anabranch.engine.latency import DecisionLatency
from anabranch.engine.pressure_samples import Sample
from anabranch.engine.vitals import Vitals

Hosting = Literal["here", "elsewhere", "nobody"]


class Overhead(msgspec.Struct, frozen=True):
    """What coordination has cost so far: seconds by category, and their share of all time spent.

    ``share`` is overhead / (overhead + work), 0..1. ``latency`` is known where the engine runs.
    """

    by_category: dict[str, float]
    work_seconds: float
    share: float
    latency: DecisionLatency | None = None


class Frame(msgspec.Struct, frozen=True):
    """What changed since a cursor. ``cursor`` goes into the next call of :meth:`Source.take`."""

    cursor: Seq
    state: State
    streams: frozenset[StreamId]
    events: tuple[Recorded, ...]
    missed: int


class Source(Protocol):
    """A run to look at, and perhaps to steer. All methods may be called from any thread."""

    @property
    def run(self) -> RunId: ...

    @property
    def folder(self) -> Path:
        """The run's folder; logs lie in ``logs/STREAM.ATTEMPT.log``."""
        ...

    @property
    def hosting(self) -> Hosting:
        """Who hosts the run: this process, another one (which can be asked), or nobody."""
        ...

    @property
    def state(self) -> State:
        """The newest state."""
        ...

    @property
    def trouble(self) -> str | None:
        """What keeps the engine from going on now; None if all is well, or nobody hosts it."""
        ...

    def now(self) -> float:
        """Return the run clock, in seconds since the run began."""
        ...

    def take(self, cursor: Seq) -> Frame:
        """Return what happened after event ``cursor`` (0 for everything that is still kept)."""
        ...

    def vitals(self) -> Mapping[StreamId, Vitals]:
        """Return the newest live facts of the streams that run."""
        ...

    def strategy_use(self) -> Mapping[str, StrategyUse]:
        """Return how each strategy that was asked here has done; empty where no engine runs."""
        ...

    @property
    def strategies(self) -> Strategies | None:
        """Every strategy that can be chosen for the run; None where no engine runs."""
        ...

    def overhead(self) -> Overhead:
        """Return what coordination has cost so far."""
        ...

    def pressure(self) -> tuple[Sample, ...]:
        """Return what the machine was like in the last minutes, the newest last.

        Where nothing else needs it, the machine is looked at for a while after each call only.
        """
        ...

    def submit(self, command: Command) -> Future[Refusal | None]:
        """Send a command; the future holds None once it is journalled, or why it was refused."""
        ...
