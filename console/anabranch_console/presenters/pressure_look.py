"""What the pressure on the machine is shown with: meters over time, and who uses most."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Literal, NamedTuple

from anabranch.core.ids import StreamId
from anabranch.core.model.state import State
from anabranch.core.views.accounting import Figures
from anabranch.core.views.width import (
    IO_SOME,
    MEMORY_SOME,
    SWAPPED_IN_MB,
    WidthStep,
    width_at,
    width_steps,
)
from anabranch_console.glyphs import UNICODE, Glyphs
from anabranch_console.lines import Line
from anabranch_console.presenters.spark_lines import Point, means, seconds_a_cell, spark_line

if TYPE_CHECKING:
    from anabranch.engine.pressure_samples import Sample
    from anabranch.engine.source import Overhead
    from anabranch.engine.token_ledger import Ledger
    from anabranch.engine.vitals import Vitals

WIDTH = "width"
_FREE_TOP = 25.0
"""A line of what has no end by itself is at least so high, so that little looks like little."""


class Meter(NamedTuple):
    """One thing that is measured: how much of it a sample shows, in which unit, and up to where.

    ``top`` is None if there is no end to it. Above ``limit`` the machine is under pressure. Where
    the kernel has to tell it, that is its ``source``; ``words`` say what it is.
    """

    name: str
    title: str
    of: Callable[[Sample], float | None]
    words: str
    unit: str = "%"
    top: float | None = 100.0
    limit: float | None = None
    source: str = ""


def _percent(share: float | None) -> float | None:
    return None if share is None else share * 100


def _memory(sample: Sample) -> float | None:
    if not sample.memory_total_mb:
        return None
    return 100 * (1 - sample.memory_available_mb / sample.memory_total_mb)


METERS = (
    Meter(
        "cpu", "processors", lambda s: _percent(s.busy),
        "how much of the processors' time is used",
    ),
    Meter(
        "own", "  by streams", lambda s: _percent(s.own),
        "how much of the processors' time the streams of this run use",
    ),
    Meter(
        "cpu-wait", "  wait for them", lambda s: s.cpu.some,
        "so much of the time somebody waits for a processor",
        top=None, source="/proc/pressure/cpu",
    ),
    Meter("memory", "memory", _memory, "how much of the memory is in use, caches left out"),
    Meter(
        "memory-wait", "  wait for it", lambda s: s.memory.some,
        f"so much of the time somebody waits for memory; above {MEMORY_SOME:.0f} % fewer run",
        top=None, limit=MEMORY_SOME, source="/proc/pressure/memory",
    ),
    Meter(
        "swap", "  from swap", lambda s: s.swapped_in_mb,
        "what comes back from swap, a second",
        unit=" MB/s", top=None, limit=SWAPPED_IN_MB,
    ),
    Meter(
        "disks", "disks", lambda s: s.disk_mb,
        "what is read and written, a second",
        unit=" MB/s", top=None, source="no counters of disks",
    ),
    Meter(
        "disk-wait", "  wait for them", lambda s: s.io.some,
        f"so much of the time somebody waits for a disk; above {IO_SOME:.0f} % no more are added",
        top=None, limit=IO_SOME, source="/proc/pressure/io",
    ),
)  # fmt: skip
BY_NAME = {meter.name: meter for meter in METERS}

Kind = Literal["meter", "head", "stream"]


class PressureRow(NamedTuple):
    """A meter, a heading, or a stream that uses something."""

    kind: Kind
    name: str


class Measured:
    """What the machine was like in the last minutes, as points and as lines of so many cells.

    Each is made once, and only if somebody looks at it.
    """

    def __init__(
        self, samples: tuple[Sample, ...] = (), cells: int = 40, glyphs: Glyphs = UNICODE
    ) -> None:
        self.samples, self.cells, self.glyphs = samples, cells, glyphs
        self._points: dict[str, list[Point]] = {}
        self._lines: dict[str, Line] = {}

    def is_of(self, samples: tuple[Sample, ...], cells: int, glyphs: Glyphs) -> bool:
        """Return whether it is about these samples, to be seen like this."""
        return self.samples is samples and (self.cells, self.glyphs) == (cells, glyphs)

    @property
    def newest(self) -> Sample | None:
        """The newest sample; None if there is none."""
        return self.samples[-1] if self.samples else None

    def points(self, meter: Meter) -> list[Point]:
        """Return what was measured of something, the newest last."""
        if meter.name not in self._points:
            found = ((sample.at, meter.of(sample)) for sample in self.samples)
            self._points[meter.name] = [(at, value) for at, value in found if value is not None]
        return self._points[meter.name]

    def line(self, meter: Meter) -> Line:
        """Return what was measured over the last minutes as signs; nothing of what nobody tells."""
        if meter.name not in self._lines:
            self._lines[meter.name] = self._drawn(meter)
        return self._lines[meter.name]

    def _drawn(self, meter: Meter) -> Line:
        newest, points = self.newest, self.points(meter)
        if newest is None or not points:
            return ()
        values = means(points, newest.at, seconds_a_cell(self.cells), self.cells)
        return spark_line(values, self.top(meter), self.glyphs, meter.limit)

    def top(self, meter: Meter) -> float:
        """Return what a sign of full height stands for."""
        if meter.top is not None:
            return meter.top
        return max([_FREE_TOP, *(value for _, value in self.points(meter))])


class PressureLook:
    """Answers about the machine and who uses it at one moment.

    Args:
        state: the run.
        now: run seconds.
        is_past: whether that is a moment of the past.
        measured: what the machine was like.
        vitals: what streams use now.
        figures: how well the run uses what it has.
        overhead: what coordination has cost.
        tokens: how the jobserver stands, None if that is not known.
        lent: how many tokens each stream has.
        broken: the promises that the state breaks, None if that is not looked at.
    """

    def __init__(
        self,
        state: State,
        now: float,
        *,
        is_past: bool = False,
        measured: Measured | None = None,
        vitals: Mapping[StreamId, Vitals] | None = None,
        figures: Figures | None = None,
        overhead: Overhead | None = None,
        tokens: Ledger | None = None,
        lent: Mapping[StreamId, int] | None = None,
        broken: tuple[str, ...] | None = None,
    ) -> None:
        self.state, self.now, self.is_past = state, now, is_past
        self.measured, self.vitals = measured or Measured(), vitals or {}
        self.figures, self.overhead = figures, overhead
        self.tokens, self.lent = tokens, lent or {}
        self.broken = broken
        self.glyphs, self.cells = self.measured.glyphs, self.measured.cells
        self.steps = width_steps(state)

    @property
    def newest(self) -> Sample | None:
        """The newest sample; None if there is none."""
        return self.measured.newest

    @property
    def is_live(self) -> bool:
        """Whether streams use something now."""
        return not (self.is_past or self.state.has_ended)

    def used(self, name: StreamId) -> Vitals | None:
        """Return what a stream uses now; None if that is not known."""
        stream, vitals = self.state.streams.get(name), self.vitals.get(name)
        if stream is None or vitals is None or not stream.is_active:
            return None
        return vitals if vitals.attempt == stream.attempt else None

    def most_memory_mb(self, name: StreamId) -> float | None:
        """Return the most memory that is known of a stream, from before or from this run."""
        stream = self.state.streams[name]
        known = (self.state.stream_plan(name).peak_memory_mb, stream.worked.peak_memory_mb)
        return max((each for each in known if each is not None), default=None)

    def width_line(self) -> Line:
        """Return the width over the last minutes as signs."""
        seconds, planned = seconds_a_cell(self.cells), self.state.plan.max_parallel
        first = int(self.now / seconds) - self.cells + 1
        ends = [(first + cell + 1) * seconds for cell in range(self.cells)]
        values = [
            float(width_at(self.steps, min(end, self.now), planned)) if end > 0 else None
            for end in ends
        ]
        top = max((value for value in values if value is not None), default=1.0)
        return spark_line(values, top, self.glyphs)

    @property
    def last_step(self) -> WidthStep | None:
        """How the width changed last; None if it never has."""
        return self.steps[-1] if self.steps else None


def pressure_rows(look: PressureLook) -> list[PressureRow]:
    """Return the meters, then who uses most: now, or up to the moment that is shown."""
    rows = [PressureRow("meter", meter.name) for meter in METERS]
    rows.append(PressureRow("meter", WIDTH))
    streams = _by_use(look) if look.is_live else _by_what_was_used(look)
    if streams:
        title = "who uses most" if look.is_live else "who used most"
        rows += [PressureRow("head", title), *(PressureRow("stream", s) for s in streams)]
    return rows


def _by_use(look: PressureLook) -> list[StreamId]:
    """Return who runs, first who takes the largest share of processors or memory."""
    newest = look.newest
    cores = newest.cores if newest is not None else 1
    total = newest.memory_total_mb * 2**20 if newest is not None else 2**34
    shares: dict[StreamId, float] = {}
    for name in look.vitals:
        used = look.used(name)
        if used is not None:
            cpu = (used.cpu_percent or 0.0) / 100 / cores
            shares[name] = round(max(cpu, used.memory_bytes / total), 2)
    position = look.state.topology.position
    return sorted(shares, key=lambda name: (-shares[name], position[name]))


def _by_what_was_used(look: PressureLook) -> list[StreamId]:
    streams = look.state.streams.values()
    used = {s.id: s.spent.on_processors for s in streams if s.spent.on_processors > 0}
    return sorted(used, key=lambda name: (-used[name], look.state.topology.position[name]))
