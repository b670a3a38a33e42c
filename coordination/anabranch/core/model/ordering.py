"""Timed events in the order of their stamps, window by window, whatever order they come in.

Each source stamps what it tells; a stamp is a hybrid logical clock (Kulkarni and others 2014): the
time on the wall, and a number for what one source tells at the same microsecond. A stamp is never
before what the same source said last, and never in the future: what is told has happened. Windows
are spans of the time on the wall, all of one length. The *watermark* is how far everybody is: the
oldest of what the live sources have said last. A window is released, in the order of stamps, once
the watermark has passed its end. A source that is silent, or whose clock is behind, does not hold
it: the watermark is never more than :data:`MOST_WINDOWS_BEHIND` windows behind the wall. What comes
after its window was released is *late*: it goes with the next window, and is called so.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec.structs import replace

from anabranch.core.ids import Seq, StreamId

MOST_WINDOWS_BEHIND = 2
US = 1_000_000
"""Microseconds in a second."""


class Stamp(msgspec.Struct, frozen=True, order=True, gc=False):
    """When a source says that something was, in microseconds since 1970 on the wall."""

    physical_us: int
    logical: int
    source: StreamId


class Held(msgspec.Struct, frozen=True, order=True, gc=False):
    """An event that waits for its window; ``id`` is the number under which it was taken in."""

    stamp: Stamp
    id: Seq
    attempt: int
    body: str
    deadline_seconds: float | None = None
    is_late: bool = False


class Ordering(msgspec.Struct, frozen=True, gc=False):
    """The timed events of one length of window.

    ``held`` are in the order of their stamps. ``said`` is what each source has said last. Windows
    are released up to ``released_us``.
    """

    size_us: int
    held: tuple[Held, ...] = ()
    said: dict[StreamId, Stamp] = {}
    released_us: int = 0


def stamped(ordering: Ordering, source: StreamId, given_us: int | None, wall_us: int) -> Stamp:
    """Return the stamp of what a source tells now."""
    physical = wall_us if given_us is None else min(given_us, wall_us)
    last = ordering.said.get(source)
    if last is not None and physical <= last.physical_us:
        return Stamp(last.physical_us, last.logical + 1, source)
    return Stamp(physical, 0, source)


def is_late(ordering: Ordering, stamp: Stamp) -> bool:
    """Return whether the window of a stamp has been released already."""
    return stamp.physical_us < ordering.released_us


def with_held(ordering: Ordering, held: Held) -> Ordering:
    """Return the ordering with one more event, from a source that is heard of by it."""
    source, known = held.stamp.source, ordering.held
    place = bisect(known, held)  # mostly the last: sorting anew costs as much as all that is held
    return replace(
        ordering,
        held=(*known[:place], held, *known[place:]),
        said={**ordering.said, source: held.stamp},
    )


def releasable_us(ordering: Ordering, live: Iterable[StreamId], wall_us: int) -> int:
    """Return the end of the last window that may be released at a time on the wall.

    Args:
        ordering: what is held.
        live: the sources that may still tell something.
        wall_us: the time on the wall, in microseconds since 1970.
    """
    floor = wall_us - MOST_WINDOWS_BEHIND * ordering.size_us
    said = [ordering.said[s].physical_us for s in live if s in ordering.said]
    watermark = max(floor, min(said)) if said else wall_us + ordering.size_us
    return max(ordering.released_us, watermark - watermark % ordering.size_us)


def split(ordering: Ordering, end_us: int) -> tuple[tuple[Held, ...], tuple[Held, ...]]:
    """Return what is released with all windows up to an end, in order, and what is held on."""
    due = tuple(h for h in ordering.held if h.is_late or h.stamp.physical_us < end_us)
    rest = tuple(h for h in ordering.held if not (h.is_late or h.stamp.physical_us < end_us))
    return due, rest


def next_end_us(ordering: Ordering) -> int | None:
    """Return when, on the wall, the first held event is released even if nobody says any more."""
    if not ordering.held:
        return None
    first = min(_window_end(ordering, held) for held in ordering.held)
    return first + MOST_WINDOWS_BEHIND * ordering.size_us


def _window_end(ordering: Ordering, held: Held) -> int:
    """Return the end of the window that an event goes with; a late one goes with the next."""
    size = ordering.size_us
    if held.is_late:
        return ordering.released_us + size
    return held.stamp.physical_us - held.stamp.physical_us % size + size


def as_json(stamp: Stamp, is_late: bool) -> dict[str, Any]:
    """Return what the reader of an event is told of its stamp."""
    return {
        "at": stamp.physical_us / US,
        "logical": stamp.logical,
        "source": stamp.source,
        "is_late": is_late,
    }
