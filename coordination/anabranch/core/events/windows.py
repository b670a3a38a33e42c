"""Events of streams that wait for a time of day."""

from __future__ import annotations

from anabranch.core.events.base import StreamEvent


class StreamTimed(StreamEvent, frozen=True, kw_only=True):
    """Its time of day is sought: the first ``at`` in ``zone`` from ``after_wall`` on.

    An empty zone is that of the machine; ``after_wall`` is in seconds since 1970. It ``is_awaited``
    once everything else is there that the stream waits for.
    """

    at: str
    zone: str
    after_wall: float
    is_awaited: bool


class WindowFound(StreamEvent, frozen=True, kw_only=True):
    """Its time comes at ``due_at``, in run seconds; ``shown`` is what clocks will show then.

    ``moved_seconds`` is by how much later that is than was known, None if nothing was.
    """

    due_at: float
    due_wall: float
    shown: str
    moved_seconds: float | None = None
    reason: str = ""


class WindowMissed(StreamEvent, frozen=True, kw_only=True):
    """Its time has passed without it: it starts now (``once``) or waits for the next (``skip``).

    ``seen_wall`` is when that was seen, in seconds since 1970.
    """

    due_wall: float
    seen_wall: float
    shown: str
    late_seconds: float
    catch_up: str
    reason: str
