"""Which of a project's runs are old enough to go: by how long they are over, and how they ended."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

import msgspec

from anabranch.core.ids import RunId
from anabranch.core.plans.plan import KeepRuns
from anabranch.core.views.projections import run_state
from anabranch.engine.runs import FoundRun

ENDINGS = ("converged", "failed", "stopped")


class Kept(msgspec.Struct, frozen=True):
    """A run that is kept: its public state, and for how many seconds it is over (None: it is not).

    ``is_hosted`` is true while a process has it open, over or not.
    """

    run: RunId
    state: str
    is_hosted: bool
    over_seconds: float | None


def standing(found: FoundRun) -> Kept:
    """Return what is to be known of a run to choose it; one that cannot be read is not over."""
    state = found.state
    if state is None:
        return Kept(found.folder.run, "unreadable", found.is_hosted, None)
    ended = None if state.ended_at is None else state.started_wall + state.ended_at
    over = None if ended is None else time.time() - ended
    return Kept(state.run, run_state(state, found.is_hosted), found.is_hosted, over)


def chosen(runs: Iterable[Kept], older_than: float, states: Sequence[str] = ()) -> list[RunId]:
    """Return the runs that are over for at least so many seconds and ended in one of the states.

    No states mean all in which a run is over. Whoever goes on, waits, or is hosted is never chosen.
    """
    wanted = set(states or ENDINGS) & set(ENDINGS)
    return [
        one.run
        for one in runs
        if one.state in wanted
        and not one.is_hosted
        and one.over_seconds is not None
        and one.over_seconds >= older_than
    ]


def due(runs: Sequence[Kept], policy: KeepRuns) -> list[RunId]:
    """Return the runs that a policy lets go by itself, the oldest first.

    Args:
        runs: all of the project, the newest first; so many of these stay as the policy says.
        policy: for how long a run is kept once it is over, by how it ended.
    """
    limits = policy.by_ending
    old = [
        run
        for one in runs[policy.at_least :]
        if one.state in limits
        for run in chosen([one], limits[one.state], [one.state])
    ]
    return old[::-1]
