"""What is to be done in the world: imperative, frozen, and idempotent under its (stream, attempt).

An effect is owed exactly as long as the state says so (:mod:`anabranch.core.deciding.owed`).
Performing one twice does no harm; how it went comes back as an observation through the one door.
"""

from __future__ import annotations

import msgspec

from anabranch.core.ids import Attempt, PointId, Seq, StreamId


class Effect(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Something the state owes to the world; ``cause`` is the event that made it so."""

    cause: Seq


class CaptureBase(Effect, frozen=True):
    """Find and keep the commit that every stream starts from."""


class PrepareWorkspace(Effect, frozen=True):
    stream: StreamId
    attempt: Attempt


class StartProcess(Effect, frozen=True):
    stream: StreamId
    attempt: Attempt


class StopProcess(Effect, frozen=True):
    stream: StreamId
    attempt: Attempt
    grace_seconds: float


class ReturnPorts(Effect, frozen=True):
    """Give back the ports that a stream had, up to this attempt."""

    stream: StreamId
    attempt: Attempt


class AwaitReadiness(Effect, frozen=True):
    """See whether a service is ready, until the run clock reaches ``until``, once at least."""

    stream: StreamId
    attempt: Attempt
    until: float


class WatchHealth(Effect, frozen=True):
    """See whether a service that was ready goes on to answer, for as long as it runs."""

    stream: StreamId
    attempt: Attempt


class AskStream(Effect, frozen=True):
    """Ask a silent stream for a sign in the way that its plan says."""

    stream: StreamId
    attempt: Attempt


class TypeInput(Effect, frozen=True):
    """Type the line with that number into a stream's terminal, once."""

    stream: StreamId
    attempt: Attempt
    number: Seq


class RecoverHandler(Effect, frozen=True):
    """Have one handler of a stream ended, if it runs, and tried again."""

    stream: StreamId
    attempt: Attempt
    handler: int


class AskVictim(Effect, frozen=True):
    """Ask the owner of a queue to let go of streams that another slot wants."""

    victim: int
    streams: tuple[tuple[StreamId, Attempt], ...]


class CaptureResult(Effect, frozen=True):
    """Snapshot the workspace: a result to be merged, or partial work to be kept."""

    stream: StreamId
    attempt: Attempt
    is_partial: bool


class TearDown(Effect, frozen=True):
    """Run the plan's teardown in the workspace of an attempt whose work has been kept."""

    stream: StreamId
    attempt: Attempt


class TakeCheckpoint(Effect, frozen=True):
    """Snapshot the workspace of a stream that runs."""

    stream: StreamId
    attempt: Attempt
    number: int


class MergeResults(Effect, frozen=True):
    point: PointId


class RunResolver(Effect, frozen=True):
    """Let the plan's resolver command settle the conflicts of a point."""

    point: PointId


class MergeCheckpoint(Effect, frozen=True):
    """Merge the snapshots that a point's checkpoint is made of."""

    point: PointId
    number: int


class OfferCheckpoint(Effect, frozen=True):
    """Bring the files of a point's checkpoint into a running stream's workspace.

    That waits for a quiet moment, for ``patience_seconds`` at most.
    """

    stream: StreamId
    attempt: Attempt
    point: PointId
    number: int
    patience_seconds: float


class RunVerify(Effect, frozen=True):
    """Merge the work of these streams, and run the point's check on it.

    One that ``is_again`` is a second look, whatever the first one saw; ``failures`` is how often
    this one has failed, and is tried again, so far. ``trial_of`` is whose work is looked at alone,
    before one is adopted.
    """

    point: PointId
    streams: tuple[StreamId, ...]
    is_again: bool = False
    failures: int = 0
    trial_of: StreamId = StreamId("")


class WakeAt(Effect, frozen=True):
    """Tell the core when the run clock reaches ``at``.

    One that ``replaces`` takes the place of any other of its subject and cause.
    """

    at: float
    subject: str
    replaces: bool = False


class FindTime(Effect, frozen=True):
    """Tell the core when the first ``at`` in ``zone`` from ``after_wall`` on comes, and once more
    when it has come, or when that changes because the clock on the wall was set.
    """

    stream: StreamId
    at: str
    zone: str
    after_wall: float


class ApproveResult(Effect, frozen=True):
    """Bring the result to the user's branch."""


class RemoveOldRuns(Effect, frozen=True):
    """Remove the project's older runs that the plan does not keep, if their work is kept."""


class WriteReport(Effect, frozen=True):
    """The run came to an end: write its report beside the journal."""


_IN_WORDS: dict[type[Effect], str] = {
    CaptureBase: "looking at the base",
    TakeCheckpoint: "a checkpoint",
    TearDown: "a teardown",
    MergeCheckpoint: "a checkpoint",
    OfferCheckpoint: "bringing a checkpoint",
    MergeResults: "merging",
    RunResolver: "the resolver",
    RunVerify: "the check",
    ApproveResult: "the approval",
    AskVictim: "a steal",
    RemoveOldRuns: "removing old runs",
    WriteReport: "the report",
}


def in_words(effect: Effect) -> str:
    """Return what an effect is called in talk with a person."""
    return _IN_WORDS.get(type(effect), "a process")
