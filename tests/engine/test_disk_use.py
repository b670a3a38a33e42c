"""What takes the disk is counted place by place, and a budget is told of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from msgspec.structs import replace

from anabranch.core import inputs
from anabranch.core.ids import StreamId
from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.state import State, Stream
from anabranch.engine.disk_use import bytes_in, places_of_project, run_use
from anabranch.engine.disk_watch import SETTLED_SECONDS, DiskWatch
from anabranch.paths import ProjectFolder
from anabranch.testing import stream as stream_plan
from tests.core.given import given
from tests.engine.repositories import RUN, Project, make_repository, open_project, write

BLOCK = 4096


def test_blocks_count_once_and_nothing_is_followed(tmp_path: Path) -> None:
    """A file with holes counts for what it takes, one with two names once, a link for itself."""
    place, other = tmp_path / "place", tmp_path / "other"
    (place / "deep").mkdir(parents=True)
    other.write_bytes(b"x" * 50 * BLOCK)
    before = bytes_in(place)
    (place / "whole").write_bytes(b"x" * 10 * BLOCK)
    os.link(place / "whole", place / "deep" / "again")
    (place / "out").symlink_to(other)
    with open(place / "holes", "wb") as file:
        file.truncate(10**9)
    assert 10 * BLOCK <= bytes_in(place) - before <= 14 * BLOCK
    assert bytes_in(place / "whole") == 10 * BLOCK
    assert bytes_in(tmp_path / "gone") == 0


def test_a_bound_ends_the_counting(tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / f"{number}").write_bytes(b"x" * BLOCK)
    assert bytes_in(tmp_path, most_entries=5) <= bytes_in(tmp_path) - 15 * BLOCK


@pytest.fixture
def project(tmp_path: Path) -> Project:
    home = ProjectFolder(tmp_path / "state" / "p")
    home.run(RUN).create()
    files = {f"{n}.txt": "x" * 3 * BLOCK for n in range(50)}
    made = open_project(make_repository(tmp_path / "user", files), tmp_path / "out")
    store = replace(made.repo, store=home.store, lock_path=home.git_lock)
    return Project(made.user, home.run(RUN).path, store, made.base)


def running(name: str = "one") -> State:
    run = given(stream_plan(name), stream_plan("two"), max_disk_bytes=10**6)
    before = run.state.streams[StreamId(name)]
    after: Stream = replace(before, phase=Phase.RUNNING, attempt=1)
    counts = replace(run.state.counts, active=1)
    streams = run.state.streams.insert(StreamId(name), after)
    rests: Stream = replace(streams[StreamId("two")], phase=Phase.QUEUED)
    streams = streams.insert(StreamId("two"), rests)
    return replace(run.state, run=RUN, streams=streams, counts=counts)


def test_a_round_counts_what_is_a_workspaces_own_and_tells_of_all(project: Project) -> None:
    """What no stream works in is counted anew after a while only; what is gone counts no more."""
    home = ProjectFolder(project.outside.parents[1])
    told: list[inputs.DiskSeen] = []
    clock = [0.0]
    watch = DiskWatch(home.run(RUN), project.repo, told.append, now=lambda: clock[0])  # type: ignore[arg-type]
    one, two = project.workspace("one"), project.workspace("two")
    watch._state = running()
    watch.round()
    first = watch.workspace_bytes(StreamId("one"), 1)
    before = watch.workspace_bytes(StreamId("two"), 1)
    assert first is not None
    for workspace in (one, two):
        write(workspace.path, {"new": "n" * 25 * BLOCK})
    watch.round()
    assert watch.workspace_bytes(StreamId("one"), 1) == first + 25 * BLOCK
    assert watch.workspace_bytes(StreamId("two"), 1) == before
    clock[0] = SETTLED_SECONDS
    watch.round()
    assert watch.workspace_bytes(StreamId("two"), 1) == (before or 0) + 25 * BLOCK
    assert told[-1].used_bytes == sum(told[-1].by_kind.values())
    assert told[-1].used_bytes >= told[0].used_bytes + 50 * BLOCK
    kinds = {place.kind for place in places_of_project(home)}
    assert {"workspaces", "logs", "records"} <= kinds
    assert run_use(home.run(RUN))["workspaces"] >= first
