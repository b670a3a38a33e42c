"""The plan that a drill runs: the user's own, with hurried time limits and streams that hold still.

Each fault precedes the end of the work that it disturbs, by construction. A stream whose processes
are to be struck in its nth attempt is held at the end of that attempt until the fault has come. One
whose disk is to be full, or during which the clock is to jump, is held after its command while the
fault's hold exists: a file of that fault's number below ``ANABRANCH_DRILL_HOLDS``, which the drill
removes once it has struck. So a short stream does not escape, however busy the machine is. Its
command is the user's, argument for argument.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from anabranch.core.ids import StreamId
from anabranch.core.plans.plan import Plan, StreamPlan
from anabranch.drilling.faults import STRIKES_PROCESSES, Fault, FaultKind

SOFT_GRACE_SECONDS = 2.0
STOP_GRACE_SECONDS = 2.0
SLOW_SHARE = 0.6
HELD_SECONDS = 600
CONFLICT_FILE = "anabranch-drill-conflict.txt"
MARKER_FILE = "anabranch-drill-{stream}.{attempt}.txt"

_WAITING_FIRST = 'if [ "$ANABRANCH_ATTEMPT" = {attempt} ]; then sleep {seconds:g}; fi\n'
_COMMAND = '"$@"\ncode=$?\n'
_HELD = (
    'case " {attempts} " in *" $ANABRANCH_ATTEMPT "*)\n'
    "    sleep {seconds} ;; # the drill strikes before this is over\nesac\n"
)
_UNTIL_STRUCK = 'while [ -e "$ANABRANCH_DRILL_HOLDS/{number}" ]; do sleep 0.1; done\n'
# Written again until it is there: another fault of the same drill may have filled the disk.
_CONFLICT = """\
file="$ANABRANCH_WORKSPACE/{file}"
[ "$code" != 0 ] ||
    until printf '%s\\n' "by $ANABRANCH_STREAM" 2>/dev/null > "$file" && [ -s "$file" ]; do
        sleep 0.1
    done
"""


class Rehearsal(msgspec.Struct, frozen=True):
    """The plan to run, and what in it differs from the user's, a sentence each."""

    plan: Plan
    changes: tuple[str, ...]


def rehearsal_of(plan: Plan, faults: Sequence[Fault], heartbeat_seconds: float) -> Rehearsal:
    """Return the plan of a drill.

    ``heartbeat_seconds`` is how long a stream that stalls or starts slowly may be silent, if its
    plan gives it longer.
    """
    changes: list[str] = []
    hurried = replace(
        plan,
        soft_grace_seconds=min(plan.soft_grace_seconds, SOFT_GRACE_SECONDS),
        stop_grace_seconds=min(plan.stop_grace_seconds, STOP_GRACE_SECONDS),
    )
    if hurried.soft_grace_seconds < plan.soft_grace_seconds:
        changes.append(
            f"an answer is awaited for {hurried.soft_grace_seconds:g} s,"
            f" not {plan.soft_grace_seconds:g} s"
        )
    if hurried.stop_grace_seconds < plan.stop_grace_seconds:
        changes.append(
            f"who is ended has {hurried.stop_grace_seconds:g} s to go,"
            f" not {plan.stop_grace_seconds:g} s"
        )
    streams = []
    for stream in plan.streams:
        own = [fault for fault in faults if stream.id in fault.streams]
        struck = _hurried(stream, own, heartbeat_seconds)
        if struck.heartbeat_timeout_seconds < stream.heartbeat_timeout_seconds:
            changes.append(
                f"{stream.id} may be silent for {struck.heartbeat_timeout_seconds:g} s,"
                f" not {stream.heartbeat_timeout_seconds:g} s"
            )
        holds = [n for n, fault in enumerate(faults) if stream.id in held_by(plan, fault)]
        streams.append(_scripted(struck, own, holds))
    return Rehearsal(replace(hurried, streams=tuple(streams)), tuple(changes))


def attempts_struck(faults: Sequence[Fault], stream: StreamId) -> list[Fault]:
    """Return the faults that strike a stream's processes, that of its first attempt first."""
    return [f for f in faults if f.kind in STRIKES_PROCESSES and stream in f.streams]


def held_by(plan: Plan, fault: Fault) -> tuple[StreamId, ...]:
    """Return the streams that a fault holds after their commands until it has struck.

    A clock jump needs somebody at work: the first stream that waits for nobody.
    """
    if fault.kind is FaultKind.FULL_DISK:
        return fault.streams
    if fault.kind is FaultKind.CLOCK_JUMP:
        return tuple(s.id for s in plan.streams if not s.depends_on)[:1]
    return ()


def slow_seconds(stream: StreamPlan) -> float:
    """Return how long a slow start keeps still: within what its plan allows."""
    return round(SLOW_SHARE * stream.heartbeat_timeout_seconds, 1)


def _hurried(stream: StreamPlan, faults: Sequence[Fault], seconds: float) -> StreamPlan:
    if not any(f.kind in (FaultKind.STALL, FaultKind.SLOW_START) for f in faults):
        return stream
    timeout = min(stream.heartbeat_timeout_seconds, seconds)
    interval = min(stream.heartbeat_interval_seconds, timeout)
    return replace(stream, heartbeat_timeout_seconds=timeout, heartbeat_interval_seconds=interval)


def _scripted(stream: StreamPlan, faults: Sequence[Fault], holds: Sequence[int]) -> StreamPlan:
    """Put the user's command between what a fault needs before and after it."""
    kinds = [fault.kind for fault in faults]
    before = after = ""
    if FaultKind.SLOW_START in kinds:
        before = _WAITING_FIRST.format(attempt=1, seconds=slow_seconds(stream))
    if FaultKind.CONFLICT in kinds:
        after += _CONFLICT.format(file=CONFLICT_FILE)
    after += "".join(_UNTIL_STRUCK.format(number=number) for number in holds)
    struck = len(attempts_struck(faults, stream.id))
    if struck:
        attempts = " ".join(str(number + 1) for number in range(struck))
        after += _HELD.format(attempts=attempts, seconds=HELD_SECONDS)
    if not before and not after:
        return stream
    script = f'{before}{_COMMAND}{after}exit "$code"\n'
    return replace(stream, command=("/bin/sh", "-c", script, "sh", *stream.command))
