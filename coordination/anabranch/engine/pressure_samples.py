"""What the machine was like in the last minutes, for whoever looks at a run."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

MOST_SAMPLES = 600
"""Ten minutes at a look a second."""


class Waits(NamedTuple):
    """Percentages of the last ten seconds in which somebody, or everybody, waited."""

    some: float | None = None
    full: float | None = None


class Sample(msgspec.Struct, frozen=True, gc=False):
    """The machine at a moment of the monotonic clock.

    ``busy`` is the share (0..1) of its processors' time used since the look before, ``own``
    the share that the run's streams used; ``swapped_in_mb`` and ``disk_mb`` are a second, what was
    read and written together. What nobody can tell is None.
    """

    at: float
    cores: int
    memory_available_mb: float
    memory_total_mb: float
    busy: float | None = None
    own: float | None = None
    swapped_in_mb: float | None = None
    disk_mb: float | None = None
    cpu: Waits = Waits()
    memory: Waits = Waits()
    io: Waits = Waits()
