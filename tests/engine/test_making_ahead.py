"""Who fills the pool gives way to who waits for a workspace, and keeps within the room there is."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from msgspec.structs import replace

from anabranch.core.ids import StreamId
from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.state import State
from anabranch.engine.caches import POOL
from anabranch.engine.making_ahead import MakingAhead
from anabranch.engine.pool_bounds import FEWEST_FILES, bounds_of, number_in_room
from anabranch.engine.workspaces.pool.bounds import NO_MORE, Bounds
from anabranch.engine.workspaces.pool.checkouts import checkouts
from anabranch.engine.workspaces.pool.filling import TreeSize
from anabranch.testing import stream
from tests.core.given import given
from tests.e2e.program import until
from tests.engine.repositories import RUN, Project
from tests.engine.test_pool import project as project  # the same files

ONE, TWO = StreamId("one"), StreamId("two")


def at_work(project: Project, phase: Phase = Phase.RUNNING, **plan: Any) -> State:
    """A run of two streams with a pool, the first of which is in this phase."""
    streams = (replace(stream("one"), method="pool"), replace(stream("two"), method="pool"))
    state = given(*streams, max_parallel=4, **plan).state
    one = replace(state.streams[ONE], phase=phase, attempt=1)
    counts = replace(state.counts, active=1)
    two = replace(state.streams[TWO], phase=Phase.QUEUED)
    known = state.streams.insert(ONE, one).insert(TWO, two)
    return replace(state, run=RUN, base=project.base, streams=known, counts=counts)


def test_it_is_filled_to_the_width_or_the_number_of_streams(project: Project) -> None:
    state = at_work(project)
    MakingAhead(project.repo, lambda: state, dict).round()
    assert len(checkouts(project.repo)) == 2


def test_nothing_is_written_while_somebody_waits_for_a_workspace(project: Project) -> None:
    states = [at_work(project, Phase.PREPARING)]
    ahead = MakingAhead(project.repo, lambda: states[-1], dict)
    thread = threading.Thread(target=ahead.round)
    thread.start()
    thread.join(0.2)
    assert not checkouts(project.repo)
    states.append(at_work(project))
    thread.join(60)
    assert len(checkouts(project.repo)) == 2


def test_who_leaves_waits_for_nobody(project: Project) -> None:
    state = at_work(project, Phase.PREPARING)
    ahead = MakingAhead(project.repo, lambda: state, dict)
    ahead.look(state)
    assert not ahead._rounds.are_going_on, "a short run is left alone"
    ahead._rounds.want()
    until(lambda: ahead._rounds.are_going_on, "the thread works")
    ahead.close()
    assert not checkouts(project.repo)


def test_above_the_budget_the_pool_goes_first(project: Project) -> None:
    state = at_work(project, max_disk_bytes=10**6)
    MakingAhead(project.repo, lambda: state, dict).round()
    assert len(checkouts(project.repo)) == 2
    MakingAhead(project.repo, lambda: state, lambda: {"workspaces": 2 * 10**6}).round()
    assert not checkouts(project.repo)


def test_a_small_project_gets_none_unless_it_asks(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = at_work(project)
    assert bounds_of(project.repo, state) == Bounds(2, 0)
    monkeypatch.setattr("anabranch.engine.workspaces.method_here", lambda repo, method: method)
    streams = tuple(replace(s, method="worktree") for s in state.plan.streams)
    assert bounds_of(project.repo, given(*streams).state) == NO_MORE
    monkeypatch.setattr("anabranch.engine.workspaces.method_here", lambda repo, method: "pool")
    assert bounds_of(project.repo, given(*streams).state).fewest_files == FEWEST_FILES


@pytest.mark.parametrize(
    ("ready", "free", "budget", "used", "number"),
    [
        (0, 10**9, None, {}, 10),
        (0, 0, None, {}, 0),
        (5, 5 * 10**7, None, {}, 1),
        (0, 10**9, 10**8, {"workspaces": 6 * 10**7}, 2),
        (2, 10**9, 10**8, {"workspaces": 4 * 10**7, POOL.name: 2 * 10**7}, 3),
        (2, 10**9, 10**8, {"workspaces": 2 * 10**8, POOL.name: 2 * 10**7}, 0),
    ],
)
def test_there_is_room_for(
    ready: int, free: int, budget: int | None, used: dict[str, int], number: int
) -> None:
    one = TreeSize(0, 10**7 - 1)
    assert number_in_room(one, ready, free, budget, used) == number
