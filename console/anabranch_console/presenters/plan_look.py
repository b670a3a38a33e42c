"""What the graph of a plan is shown with: the facts of its streams, and of groups of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from anabranch.core import wording
from anabranch.core.ids import StreamId
from anabranch.core.model.state import State, Stream
from anabranch.core.plans.forecast import Expected, Forecast
from anabranch.core.plans.graph import waves
from anabranch.core.views.accounting import worked_seconds
from anabranch.core.views.outlook import guessed_streams, outlook
from anabranch.core.views.plan_tree import Node, critical_streams, plan_tree
from anabranch.core.views.waiting import Wait, in_short, waits_of
from anabranch_console.glyphs import UNICODE, Glyphs

LEAST_SLACK = 0.05
"""A stream with less than so many seconds is shown as one without any."""


class Times(NamedTuple):
    """When a stream ran, or is expected to (run seconds); what nobody can know is None."""

    start: float | None = None
    end: float | None = None
    slack: float | None = None


class Shape(NamedTuple):
    """The graph as it was worked out at ``now``, and the forecast that it follows.

    Of so many streams that are not over the estimate is ``guessed``.
    """

    now: float
    forecast: Forecast | None
    critical: tuple[StreamId, ...]
    tree: tuple[Node, ...]
    waves: tuple[tuple[StreamId, ...], ...]
    guessed: int


def shape_of(state: State, now: float) -> Shape:
    """Return the graph at a moment."""
    found = outlook(state, now)
    if found is not None:
        critical = found.critical
    else:
        critical = critical_streams(state, now) if state.has_ended else ()
    tree = plan_tree(state, found.streams if found is not None else {})
    grouped = tuple(map(tuple, waves(state.plan)))
    return Shape(now, found, critical, tree, grouped, guessed_streams(state))


class Total(NamedTuple):
    """Several streams in one: the sum of what they take, the whole of when they run."""

    states: tuple[tuple[str, int], ...]
    takes: float
    is_guessed: bool
    times: Times
    is_critical: bool


class PlanLook:
    """Answers about streams at one moment; sums of several are worked out once.

    Args:
        shape: the graph as it was worked out last.
        state: the run as it is.
        now: run seconds.
        glyphs: the signs.
        levels: how many levels of the tree are drawn.
    """

    def __init__(
        self, shape: Shape, state: State, now: float, glyphs: Glyphs = UNICODE, levels: int = 10
    ) -> None:
        self.shape, self.state, self.now = shape, state, now
        self.glyphs, self.levels = glyphs, levels
        self._expected = shape.forecast.streams if shape.forecast is not None else {}
        self._critical = frozenset(shape.critical)
        self._totals: dict[tuple[StreamId, ...], Total] = {}

    def stream(self, name: StreamId) -> Stream:
        """Return a stream as it is."""
        return self.state.streams[name]

    def expected(self, name: StreamId) -> Expected | None:
        """Return when a stream is expected to run; None of one that is over."""
        return None if self.stream(name).has_ended else self._expected.get(name)

    def is_critical(self, name: StreamId) -> bool:
        """Return whether a stream is on the chain that decides, or has decided."""
        return name in self._critical

    def takes(self, name: StreamId) -> float:
        """Return the seconds that a stream is estimated to take, or has taken if that is more.

        Of one that is over those that it took.
        """
        stream, estimate = self.stream(name), self.state.stream_plan(name).estimate_seconds
        worked = worked_seconds(stream, self.now)
        has_run = stream.has_ended and stream.first_started_at is not None
        return worked if has_run else max(estimate, worked)

    def is_guessed(self, name: StreamId) -> bool:
        """Return whether nobody has ever seen how long a stream takes."""
        basis = self.state.stream_plan(name).estimate_basis
        return basis == "guessed" and not self.stream(name).has_ended

    def times(self, name: StreamId) -> Times:
        """Return when a stream ran, or is expected to."""
        stream, found = self.stream(name), self.expected(name)
        start = stream.first_started_at
        if stream.has_ended:
            return Times(start, stream.since if start is not None else None)
        if found is None:
            return Times(start)
        return Times(found.start if start is None else start, found.end, found.slack)

    def waits(self, name: StreamId) -> list[Wait]:
        """Return what a stream waits for now."""
        return [] if self.stream(name).has_ended else waits_of(self.state, name)

    def waits_in_short(self, name: StreamId) -> str:
        """Return for how long a stream waits and for what; empty if it waits for nothing."""
        waits = self.waits(name)
        if not waits:
            return ""
        age = wording.age(self.now - min(wait.since for wait in waits))
        if all(wait.kind == "slot" or wait.holder in (None, wait.name) for wait in waits):
            return f"{age:>3} {', '.join(dict.fromkeys(wait.name for wait in waits))}"
        return f"{age:>3} {in_short(waits)}"

    def total(self, names: tuple[StreamId, ...]) -> Total:
        """Return several streams in one."""
        if names not in self._totals:
            self._totals[names] = self._summed(names)
        return self._totals[names]

    def _summed(self, names: Sequence[StreamId]) -> Total:
        counts = Counter(self.stream(name).public_state for name in names)
        times = [self.times(name) for name in names]
        return Total(
            states=tuple(counts.most_common()),
            takes=sum(self.takes(name) for name in names),
            is_guessed=any(self.is_guessed(name) for name in names),
            times=Times(
                min(_known(t.start for t in times), default=None),
                max(_known(t.end for t in times), default=None),
                min(_known(t.slack for t in times), default=None),
            ),
            is_critical=any(self.is_critical(name) for name in names),
        )


def _known(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]
