"""What somebody wants: the commands."""

from __future__ import annotations

from anabranch.core import events as ev
from anabranch.core.ids import PointId, RunId, Seq, StreamId
from anabranch.core.inputs.base import Command
from anabranch.core.plans.plan import Plan, StreamPlan


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


class AddStream(Command, frozen=True):
    """A person wants one more stream in the run."""

    stream: StreamPlan

    @property
    def words(self) -> str:
        return f"add {self.stream.id}"


class RewordStream(Command, frozen=True):
    """A person wants a stream that has ended tried again, as the plan says from now on."""

    stream: StreamPlan
    reason: str = "edited by you"

    @property
    def words(self) -> str:
        return f"edit {self.stream.id} and try it again"


class CloseRun(Command, frozen=True):
    """A person adds nothing more to an open run."""

    reason: str = "closed by you"

    in_words = "close the run"


class StopStream(Command, frozen=True):
    stream: StreamId
    reason: str

    in_words = "stop {0.stream}"


class AnswerQuestion(Command, frozen=True):
    """A person answers what a stream asks: the question with that ticket, or its oldest one."""

    stream: StreamId
    answer: str
    question: Seq | None = None

    in_words = "answer {0.stream}"


class SendInput(Command, frozen=True):
    """A person wants a line typed into a stream's terminal, and Enter pressed.

    ``request`` is a name of the sender's own: the same one is typed once.
    """

    stream: StreamId
    text: str
    request: str

    in_words = "input for {0.stream}"


class LookAt(Command, frozen=True):
    """A person has looked at what became of streams that are over."""

    streams: tuple[StreamId, ...]

    @property
    def words(self) -> str:
        return f"looked at {', '.join(self.streams)}"


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


class AdoptStream(Command, frozen=True):
    """Of those who raced, let this one count; the others are kept."""

    stream: StreamId
    reason: str = "adopted by the operator"

    in_words = "adopt {0.stream}"


class ResolveConflict(Command, frozen=True):
    """Settle conflicted paths: what each of them shall be."""

    resolutions: tuple[ev.Resolution, ...]
    reason: str = "the conflict was decided"

    @property
    def words(self) -> str:
        if len(self.resolutions) == 1:
            return f"{self.resolutions[0].path}: {self.resolutions[0].choice}"
        return "settle the conflict"


class ReopenConflict(Command, frozen=True):
    """Take decisions about conflicted paths back: they wait for one again."""

    resolutions: tuple[ev.Resolution, ...]
    reason: str = "the decision was taken back"

    @property
    def words(self) -> str:
        if len(self.resolutions) == 1:
            return f"{self.resolutions[0].path}: decide again"
        return "decide the conflict again"


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


class TakeWork(Command, frozen=True):
    """A person has looked at the result of a stream that stands in ``commit``: it may be merged."""

    stream: StreamId
    commit: str
    by: str = "operator"
    reason: str = "taken by the operator"

    in_words = "take the work of {0.stream}"


class HandBackWork(Command, frozen=True):
    """A person sends the result in ``commit`` back: the stream goes on from it, with the notes."""

    stream: StreamId
    commit: str
    note: str = ""
    by: str = "operator"
    reason: str = "handed back by the operator"

    in_words = "hand the work of {0.stream} back"


class AddNote(Command, frozen=True):
    """Keep a note on a stream's work until that is handed back."""

    stream: StreamId
    note: ev.ReviewNote
    by: str = "operator"

    in_words = "note on {0.stream}"


class RemoveNote(Command, frozen=True):
    """Take a note back; ``note`` is the number of the event that added it."""

    stream: StreamId
    note: Seq

    in_words = "remove a note on {0.stream}"
