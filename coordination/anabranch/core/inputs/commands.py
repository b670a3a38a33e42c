"""What somebody wants: the commands."""

from __future__ import annotations

from anabranch.core import events as ev
from anabranch.core.ids import PointId, RunId, StreamId
from anabranch.core.inputs.base import Command
from anabranch.core.plans.plan import Plan


class StartRun(Command, frozen=True):
    run: RunId
    project: str
    plan_path: str | None
    plan: Plan
    approve: bool
    wall: float
    allow_sensitive: bool = False
    warnings: tuple[str, ...] = ()


class ResumeRun(Command, frozen=True):
    """Another engine takes the run over; ``adopted`` counts the processes that it found alive."""

    reason: str
    adopted: int
    retry_failed: bool = False


class StopRun(Command, frozen=True):
    reason: str

    in_words = "stop the run"


class StopStream(Command, frozen=True):
    stream: StreamId
    reason: str

    in_words = "stop {0.stream}"


class RetryStream(Command, frozen=True):
    stream: StreamId
    reason: str

    in_words = "retry {0.stream}"


class RecoverStream(Command, frozen=True):
    """A person wants a stream recovered; ``remedy``: soft, hard or fallback."""

    stream: StreamId
    remedy: str
    reason: str = ""

    in_words = "{0.remedy} recovery of {0.stream}"


class RecoverHandler(Command, frozen=True):
    """A person wants one handler of a stream ended, if it runs, and tried again.

    A stream that has failed gets an attempt in which only such handlers run.
    """

    stream: StreamId
    handler: int
    reason: str = ""

    in_words = "try handler {0.handler} of {0.stream} again"


class ResetBreaker(Command, frozen=True):
    """A person says that what a breaker holds back may start again."""

    breaker: str
    reason: str = "reset by the operator"

    in_words = "close the breaker of {0.breaker}"


class ChooseStrategy(Command, frozen=True):
    """A person wants another strategy asked from now on; ``point`` is for convergence types."""

    kind: str
    strategy: str
    point: PointId = PointId("")
    reason: str = "chosen by the operator"

    @property
    def words(self) -> str:
        where = f" at {self.point}" if self.kind == "convergence" else ""
        return f"{self.strategy} as {self.kind}{where}"


class ApproveRun(Command, frozen=True):
    """A person takes the result; with ``allow_sensitive`` also what others run or obey.

    ``onto`` is the branch to merge it onto as that is now ("": the one that the run began on);
    None moves that branch, from where it was.
    """

    allow_sensitive: bool = False
    onto: str | None = None

    in_words = "approve the result"


class AllowViolation(Command, frozen=True):
    """Let what a stream wrote against the locks be merged; without a path, all of it."""

    stream: StreamId
    path: str | None = None
    reason: str = "allowed by the operator"

    in_words = "let the violations of {0.stream} be merged"


class ResolveConflict(Command, frozen=True):
    """Settle conflicted paths: what each of them shall be."""

    resolutions: tuple[ev.Resolution, ...]
    reason: str = "the conflict was decided"

    @property
    def words(self) -> str:
        if len(self.resolutions) == 1:
            return f"{self.resolutions[0].path}: {self.resolutions[0].choice}"
        return "settle the conflict"


class HandBack(Command, frozen=True):
    """Let a stream that is in a conflict do its work again, with the conflict as its message."""

    stream: StreamId
    note: str = ""
    reason: str = "handed back by the operator"

    in_words = "hand the conflict back to {0.stream}"


class TellConflict(Command, frozen=True):
    """Let both sides of a foreseen conflict know of it."""

    streams: tuple[StreamId, StreamId]

    in_words = "tell {0.streams[0]} and {0.streams[1]}"
