"""Reading a run for a command that only looks: also after the run, and beside a running console."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import UTC, datetime

from anabranch.core.ids import StreamId
from anabranch.core.model.state import State
from anabranch.core.views import accounting
from anabranch.core.wording import listing
from anabranch.engine.reporting import read_report
from anabranch.engine.runs import FoundRun, read_run, run_clock
from anabranch.errors import UsageError, WorldError
from anabranch_console.cli.output import say
from anabranch_console.cli.which_run import run_meant


def found_run(
    command: str, name: str | None, stream: str | None = None, *, tells_silence: bool = True
) -> tuple[FoundRun, State]:
    """Return the run that a command means, and its state; say if that is an old one.

    Raises UsageError, WorldError.
    """
    found = read_run(run_meant(command, name, stream))
    if found.state is None:
        raise WorldError(
            f"run {found.folder.run} cannot be read: {found.fault or 'it has no events'}",
            "anabranch doctor looks at it more closely",
        )
    if tells_silence and found.silent_since is not None:
        say(silence_in_words(found.silent_since))
    return found, found.state


def silence_in_words(since: float) -> str:
    """Say that a run's host has given no sign since a time of day, so that what is shown is old."""
    moment = datetime.fromtimestamp(since, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return f"its host has not answered since {moment}; this is how it stood then"


def last_moment(found: FoundRun, state: State) -> float:
    """Return the run time that what is shown is of: now, or when its host gave its last sign."""
    now = run_clock(found.folder, state).now()
    if found.silent_since is None:
        return now
    return max(state.at, now - max(0.0, time.time() - found.silent_since))


def known_streams(state: State, names: Iterable[str], others: Iterable[str] = ()) -> list[StreamId]:
    """Return the streams that are named; ``others`` may be named too. Raises UsageError."""
    known = [*(plan.id for plan in state.plan.streams), *state.registry.joined, *others]
    for name in names:
        if name not in known:
            from difflib import get_close_matches  # here, because most names are known

            near = get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are: {listing(known, 8)}"
            raise UsageError(f"there is no {name!r} in run {state.run}", hint)
    return [StreamId(name) for name in names]


def overhead_share(found: FoundRun, state: State) -> float:
    """Return the share of coordination in all time spent, 0..1.

    A finished run's report knows the engine's own seconds too; without one the streams' count.
    """
    report = read_report(found.folder.report) if state.has_ended else None
    if report and isinstance(report.get("overhead_share"), float):
        return float(report["overhead_share"])
    now = last_moment(found, state)
    work = accounting.work_seconds(state, now) + accounting.setup_seconds(state, now)
    return round(accounting.overhead_share(accounting.overhead_seconds(state), work), 6)
