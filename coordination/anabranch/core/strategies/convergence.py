"""What a convergence type is: asked about a point, it says what the point does next.

It is asked whenever a participant arrives or departs, begins or ends its work, after each merge and
checkpoint of the point, and at the time that it asked for itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

from anabranch.core.ids import PointId, StreamId


class PointView(msgspec.Struct, frozen=True):
    """What a convergence type sees of a point; times are seconds on the run clock.

    ``arrived`` are participants whose result is captured, in order of arrival, and ``arrived_at``
    says when each did; ``departed`` are those that ended without one, each with its reason;
    ``running`` says since when those are at work that run in a workspace of their own and meet here
    first. ``merged`` is whose results the point's newest merge holds, ``left_out`` who did not
    merge. ``expected`` counts all participants. ``checkpoint_at`` is when the newest checkpoint was
    finished or given up, None before the first; ``interval_seconds`` lies between two.

    Of a type that adopts one (``adopts_one``): ``adopted`` is whom a person has chosen, None before
    that; ``failed_check`` are those on whose work alone the point's check fails, each with the
    reason, and ``files_changed`` says of how many files the work of each is.
    """

    point: PointId
    expected: int
    arrived: Sequence[StreamId]
    departed: Mapping[StreamId, str]
    options: Mapping[str, object]
    arrived_at: Mapping[StreamId, float] = {}
    priorities: Mapping[StreamId, int] = {}
    running: Mapping[StreamId, float] = {}
    merged: Sequence[StreamId] = ()
    left_out: Sequence[StreamId] = ()
    opened_at: float = 0.0
    checkpoint_at: float | None = None
    interval_seconds: float = 300.0
    adopts_one: bool = False
    adopted: StreamId | None = None
    failed_check: Mapping[StreamId, str] = {}
    files_changed: Mapping[StreamId, int] = {}

    @property
    def adoptable(self) -> tuple[StreamId, ...]:
        """Who has arrived and passes the point's check, if it has one, in order of arrival."""
        return tuple(s for s in self.arrived if s not in self.failed_check)

    @property
    def outstanding(self) -> int:
        """How many participants have neither arrived nor departed."""
        return self.expected - len(self.arrived) - len(self.departed)

    @property
    def unmerged(self) -> tuple[StreamId, ...]:
        """Who has arrived and is neither in the newest merge nor left out, in order of arrival."""
        done = {*self.merged, *self.left_out}
        return tuple(s for s in self.arrived if s not in done)


class WaitForMore(msgspec.Struct, frozen=True):
    """The point is not ready; ``reason`` says what it waits for.

    ``look_again_at`` is when to ask once more though nothing happened (seconds, run clock).
    """

    reason: str
    look_again_at: float | None = None


class Converge(msgspec.Struct, frozen=True):
    """Merge these streams now.

    One that is not final merges a part: what the point holds already stays, and it opens again.
    """

    streams: tuple[StreamId, ...]
    reason: str
    is_final: bool = True


class Checkpoint(msgspec.Struct, frozen=True):
    """Snapshot these streams while they run, merge the snapshots, and offer the result to them."""

    streams: tuple[StreamId, ...]
    reason: str


class AskForOne(msgspec.Struct, frozen=True):
    """A person has to say which one of these streams is adopted; only a type that adopts asks."""

    streams: tuple[StreamId, ...]
    reason: str


class Abandon(msgspec.Struct, frozen=True):
    """Nothing will ever come to merge here."""

    reason: str


PointDecision = WaitForMore | Converge | Checkpoint | AskForOne | Abandon


ENGINES_OWN_OPTION = "reduce"
"""How the values that streams arrive with are put together; it goes with every type."""


def options_for(taken: Any, options: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a point's options without the engine's own, unless the options type has that too."""
    if taken is None or ENGINES_OWN_OPTION not in options:
        return options
    if ENGINES_OWN_OPTION in getattr(taken, "__struct_fields__", ()):
        return options
    return {name: value for name, value in options.items() if name != ENGINES_OWN_OPTION}


class Abilities(msgspec.Struct, frozen=True):
    """What a convergence type says of itself, in attributes of the same names; it needs none.

    ``options_type``: which options it takes; ``merges_early``: it merges streams before all are
    there; ``takes_checkpoints``: it asks for checkpoints of streams that run; ``adopts_one``: it
    merges one of them, whom it chooses or asks a person for.
    """

    options_type: Any = None
    merges_early: bool = False
    takes_checkpoints: bool = False
    adopts_one: bool = False


def abilities_of(strategy: object) -> Abilities:
    """Return what a strategy says of itself."""
    return Abilities(
        getattr(strategy, "options_type", None),
        bool(getattr(strategy, "merges_early", False)),
        bool(getattr(strategy, "takes_checkpoints", False)),
        bool(getattr(strategy, "adopts_one", False)),
    )


class ConvergenceType(Protocol):
    """Decides when a convergence point merges, and whom.

    A type that merges streams before all are there says so by ``merges_early = True``: streams may
    then depend on others of the same point. One that asks for checkpoints says so by
    ``takes_checkpoints = True``: only then is ``running`` filled in. One that merges one stream,
    and has the others kept, says so by ``adopts_one = True``: only it may ask a person, each
    stream's work is then checked alone before it is asked, and nobody's failure fails the run as
    long as somebody is adopted.
    """

    @property
    def name(self) -> str: ...

    def next_step(self, view: PointView, now: float) -> PointDecision:
        """Return what the point does next at run time ``now`` (seconds)."""
        ...
