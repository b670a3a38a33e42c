"""Removing a project's older runs by itself, as the plan of the one that is over says.

Only what a person could remove without giving their word goes: all work of the run is proved to be
in their own branches, tags or remote-tracking refs. First it is looked at without touching
anything; then its workspaces have to hold nothing else, and what would have to be rescued from one
keeps the run as it is. Wherever it is killed a run is whole, or its removal goes on the next time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from anabranch.core import inputs
from anabranch.core.folds.resolutions import open_conflicts
from anabranch.core.folds.reviews import needs_taking
from anabranch.core.ids import RunId
from anabranch.core.model.state import State
from anabranch.core.plans.plan import KeepRuns
from anabranch.core.strategies import Strategies
from anabranch.core.wording import counted
from anabranch.engine.removing import RemovedRun, remove_run
from anabranch.engine.retention import due, standing
from anabranch.engine.runs import FoundRun, read_run, runs_of
from anabranch.errors import AnabranchError
from anabranch.paths import RunFolder

MOST_SECONDS = 20.0
"""Nothing more is begun after so long: whoever waits for the run's end waits for this, too."""


def remove_old_runs(
    own: RunFolder, state: State, strategies: Strategies, is_leaving: Callable[[], bool]
) -> inputs.OldRunsSeen:
    """Remove the runs that the plan lets go; return what went, and why others stay.

    Args:
        own: the run that is over, which stays.
        state: how it stands; its plan says which runs are old.
        is_leaving: whether the process is to end; then the rest is left to the next run.
    """
    began = time.monotonic()
    removed: list[RunId] = []
    kept: dict[RunId, str] = {}
    taken = 0
    for home, found in old_runs(own, state.plan.keep_runs):
        if is_leaving() or time.monotonic() - began > MOST_SECONDS:
            break
        done = _remove(home, found, strategies)
        if done.outcome == "removed":
            removed.append(home.run)
            taken += done.bytes
        elif home.path.exists():
            kept[home.run] = _reason(done)
    return inputs.OldRunsSeen(removed=tuple(removed), removed_bytes=taken, kept=kept)


def old_runs(own: RunFolder, policy: KeepRuns) -> Iterator[tuple[RunFolder, FoundRun]]:
    """Yield the runs that are old enough, and those whose removal was begun and came to no end."""
    homes = {home.run: home for home in runs_of(own.project)}
    found = {run: read_run(home) for run, home in homes.items()}
    for run, home in homes.items():
        if home.removing.exists():
            yield home, found[run]
    for run in due([standing(one) for one in found.values()], policy):
        if run != own.run:
            yield homes[run], found[run]


def _remove(home: RunFolder, found: FoundRun, strategies: Strategies) -> RemovedRun:
    """Remove one run if everything in it is proved; only then is anything of it touched."""
    unsettled = "" if found.state is None else _unsettled(found.state)
    if unsettled:
        return RemovedRun(home.run, "refused", 0, unsettled)
    try:
        looked_at = remove_run(home, strategies, is_rehearsal=True)
        if looked_at.outcome == "refused" or looked_at.would_lose:
            return looked_at
        return remove_run(home, strategies, may_park=False)
    except AnabranchError as error:
        return RemovedRun(home.run, "refused", 0, error.message)
    except OSError as error:
        return RemovedRun(home.run, "refused", 0, f"{error.strerror}: {error.filename}")


def _unsettled(state: State) -> str:
    """Return what a person has still to decide in a run that is over."""
    if open_conflicts(state):
        return "its conflicts are not settled"
    awaited = [name for name in state.topology.reviewed if needs_taking(state, name)]
    return f"{awaited[0]} is not reviewed" if awaited else ""


def _reason(done: RemovedRun) -> str:
    """Say why a run stays, by the first piece of work that nothing else keeps."""
    if not done.would_lose:
        return done.reason
    first, more = done.would_lose[0], len(done.would_lose) - 1
    others = f" and {counted(more, 'other')}" if more else ""
    return f"only it keeps {first.what}{others}"
