"""What clocks have to do with the starts of one stream."""

from __future__ import annotations

import msgspec

from anabranch.core.ids import Seq

MOST_STARTS = 10_000
"""Of more starts than that nobody needs to know: no rate allows more in a window."""


class Window(msgspec.Struct, frozen=True, gc=False):
    """When a stream may start, as far as clocks decide.

    ``cause`` is the event that its time of day is sought for, 0 as long as it is not; it
    ``is_awaited`` once all else is there that the stream waits for, ``since`` then. The time is the
    first one from ``after_wall`` on (seconds since 1970). ``due_at`` is when it comes, in run
    seconds, and ``shown`` what clocks will show. One that ``is_open`` is held up by no time of day
    any more. ``why`` says what a queued stream's ``not_before`` is for. ``starts`` are its starts
    so far, in run seconds.
    """

    cause: Seq = 0
    is_awaited: bool = False
    since: float = 0.0
    after_wall: float | None = None
    due_at: float | None = None
    shown: str = ""
    is_open: bool = False
    why: str = ""
    starts: tuple[float, ...] = ()

    @property
    def is_sought(self) -> bool:
        """Whether somebody is to say when its time comes."""
        return bool(self.cause) and not self.is_open
