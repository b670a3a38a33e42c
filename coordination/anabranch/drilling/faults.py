"""What a drill can do to a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from enum import StrEnum

import msgspec

from anabranch.core.ids import Attempt, StreamId
from anabranch.core.plans.plan import Plan, StreamPlan
from anabranch.errors import UsageError

NOBODY = StreamId("")


class FaultKind(StrEnum):
    """A kind of fault, by the name of its option."""

    KILL = "kill"
    STALL = "stall"
    SLOW_START = "slow-start"
    CONFLICT = "conflict"
    FULL_DISK = "full-disk"
    CLOCK_JUMP = "clock-jump"


class Fault(msgspec.Struct, frozen=True):
    """One fault to inject. A clock jump is by ``seconds`` and strikes the whole run."""

    kind: FaultKind
    streams: tuple[StreamId, ...] = ()
    seconds: float = 0.0

    @property
    def words(self) -> str:
        """The fault as its option says it."""
        if self.kind is FaultKind.CLOCK_JUMP:
            return f"{self.kind} {self.seconds:g} s"
        return f"{self.kind} {','.join(self.streams)}"


@dataclass(eq=False)
class Injection:
    """A fault and how it struck: when (run seconds; None for not yet), whom, and what was there.

    ``contents`` are blob ids of the files that were in the workspace and in no commit, by path;
    ``arrived`` are the streams of a conflict whose results are there.
    """

    fault: Fault
    at: float | None = None
    stream: StreamId = NOBODY
    attempt: Attempt = 0
    contents: Mapping[str, str] = field(default_factory=dict)
    arrived: set[StreamId] = field(default_factory=set)
    trouble: str = ""
    noticed_at: float | None = None
    ended_at: float | None = None


STRIKES_PROCESSES = (FaultKind.KILL, FaultKind.STALL)


def usual_faults(plan: Plan) -> tuple[Fault, ...]:
    """Return what a drill does if nobody says: one stream is killed, and another one stalls."""
    names = [stream.id for stream in plan.streams]
    kinds = (FaultKind.KILL, FaultKind.STALL)
    return tuple(Fault(kind, (name,)) for kind, name in zip(kinds, names, strict=False))


def check_faults(plan: Plan, faults: Sequence[Fault]) -> None:
    """Raise UsageError if the plan does not allow one of the faults."""
    known = {stream.id: stream for stream in plan.streams}
    for fault in faults:
        for name in fault.streams:
            if name not in known:
                near = get_close_matches(name, known, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"streams: {', '.join(known)}"
                raise UsageError(f"--{fault.kind}: the plan has no stream {name!r}", hint)
        if fault.kind is FaultKind.CONFLICT:
            _check_conflict(plan, fault)
        elif fault.kind is FaultKind.STALL:
            _check_stall(plan, known[fault.streams[0]])


def _check_stall(plan: Plan, stream: StreamPlan) -> None:
    """Refuse what nobody would ever notice: the drill would wait for nothing."""
    if "heartbeat" not in plan.protocols:
        raise UsageError(
            f"--stall {stream.id}: the plan has silence judged by nobody",
            'put "heartbeat" among its protocols',
        )
    if stream.tty and not stream.ask.words:
        raise UsageError(
            f"--stall {stream.id}: it has a terminal and may wait for a person, so its silence"
            " means nothing",
            "say in the plan how it is asked: ask = { line = … }",
        )


def _check_conflict(plan: Plan, fault: Fault) -> None:
    one, other = fault.streams
    option = f"--conflict {one},{other}"
    if one == other:
        raise UsageError(f"{option}: a stream does not conflict with itself", "name two streams")
    for late, early in ((one, other), (other, one)):
        if early in _built_on(plan, late):
            raise UsageError(
                f"{option}: {late} is built on {early}, so they cannot conflict",
                "name two streams of which neither depends on the other",
            )
    if any(plan_of.workspace == "shared" for plan_of in plan.streams if plan_of.id in (one, other)):
        raise UsageError(
            f"{option}: they share one workspace, so they cannot conflict",
            'use workspace = "isolated"',
        )


def _built_on(plan: Plan, stream: StreamId) -> set[StreamId]:
    needs = {s.id: [name for d in s.depends_on for name in d.streams] for s in plan.streams}
    found: set[StreamId] = set()
    ahead = list(needs[stream])
    while ahead:
        name = ahead.pop()
        if name not in found:
            found.add(name)
            ahead += needs.get(name, [])
    return found
