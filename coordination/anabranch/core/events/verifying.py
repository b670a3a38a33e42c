"""Events of the check that a point's merged result has to pass."""

from __future__ import annotations

from anabranch.core.events.base import PointEvent
from anabranch.core.ids import StreamId


class VerifyStarted(PointEvent, frozen=True, kw_only=True):
    """The point's ``verify`` command runs on the merged work of these streams; none: the base.

    ``is_again``: although it is known how it comes out, to see whether it does so once more.
    ``trial_of`` is who may be adopted, if its work is looked at alone.
    """

    streams: tuple[StreamId, ...]
    is_again: bool = False
    trial_of: StreamId = StreamId("")


class VerifyRetried(PointEvent, frozen=True, kw_only=True):
    """The command failed, and the plan lets it be tried again; ``failures`` counts these."""

    streams: tuple[StreamId, ...]
    failures: int
    exit_code: int | None
    reason: str
    log: str = ""


class VerifyPassed(PointEvent, frozen=True, kw_only=True):
    """The command succeeded on ``tree``; it ``is_remembered`` if that tree had been checked.

    ``failures`` is how often it failed before it succeeded, on the same tree.
    """

    streams: tuple[StreamId, ...]
    tree: str
    seconds: float
    is_remembered: bool = False
    failures: int = 0


class VerifyFailed(PointEvent, frozen=True, kw_only=True):
    """The command failed on ``tree``; ``log`` has what it said."""

    streams: tuple[StreamId, ...]
    tree: str
    exit_code: int | None
    reason: str
    seconds: float
    log: str = ""
    is_remembered: bool = False


class VerifyAborted(PointEvent, frozen=True, kw_only=True):
    """The command came to no result: it could not be run, or was not wanted any more."""

    streams: tuple[StreamId, ...]
    reason: str


class GuiltyFound(PointEvent, frozen=True, kw_only=True):
    """These streams make the merged result fail, after so many runs; the last one is left out."""

    streams: tuple[StreamId, ...]
    runs: int
    reason: str


class VerifyUnreliable(PointEvent, frozen=True, kw_only=True):
    """The command has both passed and failed on the work of these streams: it proves nothing."""

    streams: tuple[StreamId, ...]
    reason: str
