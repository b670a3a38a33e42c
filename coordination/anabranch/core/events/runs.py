"""Events of the run as a whole."""

from __future__ import annotations

import msgspec

from anabranch.core.events.base import Event
from anabranch.core.ids import RunId, StreamId
from anabranch.core.plans.plan import Plan, StreamPlan


class Included(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Files that git ignores and that every workspace gets; the ``paths`` of the first of them."""

    files: int = 0
    size_bytes: int = 0
    paths: tuple[str, ...] = ()


class RunStarted(Event, frozen=True, kw_only=True):
    run: RunId
    project: str
    plan_path: str | None
    plan: Plan
    approve: bool
    wall: float
    allow_sensitive: bool = False
    warnings: tuple[str, ...] = ()


class BaseCaptured(Event, frozen=True, kw_only=True):
    """The commit that every stream starts from is known and kept alive by a ref.

    ``left_out`` counts the files of the user's checkout with changes that are not part of it;
    ``warnings`` say what else of the checkout the run does not follow; ``included`` is what git
    ignores of it and every workspace gets all the same.
    """

    commit: str
    tree: str
    branch: str | None
    head: str | None
    left_out: int = 0
    warnings: tuple[str, ...] = ()
    included: Included = Included()


class RunResumed(Event, frozen=True, kw_only=True):
    """Another engine took the run over."""

    reason: str
    adopted: int


class RunStopRequested(Event, frozen=True, kw_only=True):
    reason: str


class RunReopened(Event, frozen=True, kw_only=True):
    reason: str


class StreamAdded(Event, frozen=True, kw_only=True):
    """A person has added a stream to the run's plan."""

    stream: StreamId
    plan: StreamPlan


class StreamReworded(Event, frozen=True, kw_only=True):
    """A person has changed what the plan says about a stream, before it is tried again."""

    stream: StreamId
    plan: StreamPlan


class RunClosed(Event, frozen=True, kw_only=True):
    """Nothing is added to an open run any more: it converges when its streams are over."""

    reason: str


class OldRunsRemoved(Event, frozen=True, kw_only=True):
    """Older runs of the project went when this one was over, as the plan's ``keep_runs`` says.

    All their work was proved to be in the user's own branches; they took ``removed_bytes``. The
    ``kept`` are old enough and stay, each for a reason.
    """

    removed: tuple[RunId, ...] = ()
    removed_bytes: int = 0
    kept: dict[RunId, str] = msgspec.field(default_factory=dict)


class RunNeedsOperator(Event, frozen=True, kw_only=True):
    """A person has to decide; ``proof`` says how every stream and point stands."""

    reason: str
    hint: str
    proof: str = ""


class RunConverged(Event, frozen=True, kw_only=True):
    """Everything is merged, or named as left out; ``reason`` says what proves it."""

    commit: str | None
    branch: str | None
    reason: str = ""


class RunFailed(Event, frozen=True, kw_only=True):
    """Something that the plan wants did not succeed; ``proof`` says how everything stands."""

    reason: str
    proof: str = ""


class RunStopped(Event, frozen=True, kw_only=True):
    """The run was stopped; ``proof`` says how every stream ended and what is kept."""

    reason: str
    proof: str = ""


class ApprovalRequested(Event, frozen=True, kw_only=True):
    """A person takes the result; ``onto`` is the branch to merge it onto, as that is now.

    Then an empty name is the branch that the run began on.
    """

    allow_sensitive: bool = False
    onto: str | None = None


class RunApproved(Event, frozen=True, kw_only=True):
    branch: str | None
    commit: str
    message: str


class ApprovalRefused(Event, frozen=True, kw_only=True):
    """The result did not come to a branch; ``kind`` says what kept it: ``sensitive`` paths,
    a ``conflict``, its ``verify`` command, or (empty) that work would have been lost."""

    reason: str
    hint: str
    kind: str = ""
