"""Events of the check that a point's merged result has to pass."""

from __future__ import annotations

from anabranch.core.events.base import PointEvent
from anabranch.core.ids import StreamId


class VerifyStarted(PointEvent, frozen=True):
    """The point's ``verify`` command runs on the merged work of these streams; none: the base."""

    streams: tuple[StreamId, ...]


class VerifyPassed(PointEvent, frozen=True):
    """The command succeeded on ``tree``; it ``is_remembered`` if that tree had been checked."""

    streams: tuple[StreamId, ...]
    tree: str
    seconds: float
    is_remembered: bool = False


class VerifyFailed(PointEvent, frozen=True):
    """The command failed on ``tree``; ``log`` has what it said."""

    streams: tuple[StreamId, ...]
    tree: str
    exit_code: int | None
    reason: str
    seconds: float
    log: str = ""
    is_remembered: bool = False


class VerifyAborted(PointEvent, frozen=True):
    """The command came to no result: it could not be run, or was not wanted any more."""

    streams: tuple[StreamId, ...]
    reason: str


class GuiltyFound(PointEvent, frozen=True):
    """These streams make the merged result fail, after so many runs; the last one is left out."""

    streams: tuple[StreamId, ...]
    runs: int
    reason: str
