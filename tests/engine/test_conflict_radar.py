"""When the radar looks, and that it finds what was written before anybody watched."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from anabranch.core import inputs
from anabranch.core.ids import StreamId
from anabranch.core.model.state import State, Workspace
from anabranch.engine.conflict_radar import ConflictRadar
from anabranch.engine.watching import WorkspaceWatcher
from anabranch.engine.workspaces import PreparedWorkspace
from anabranch.testing import stream as stream_plan
from tests.core.given import given
from tests.engine.repositories import RUN, Project, make_repository, open_project, write

DEADLINE_SECONDS = 60.0
NAMES = (StreamId("one"), StreamId("two"))


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return open_project(make_repository(tmp_path / "user", {"a": "a\n"}), tmp_path / "out")


@pytest.fixture
def watcher() -> Iterator[WorkspaceWatcher]:
    watcher = WorkspaceWatcher()
    yield watcher
    watcher.close()


def running(workspaces: list[PreparedWorkspace]) -> State:
    """A state in which the streams of some workspaces run."""
    run = given(*(stream_plan(w.stream) for w in workspaces), max_parallel=len(workspaces))
    streams = run.state.streams
    for workspace in workspaces:
        run.run(workspace.stream)
        known = Workspace(str(workspace.path), workspace.start_commit, workspace.start_tree)
        stream = replace(run.state.streams[workspace.stream], workspace=known)
        streams = streams.insert(workspace.stream, stream)
    return replace(run.state, run=RUN, streams=streams)


def test_it_looks_as_soon_as_streams_are_watched_and_not_in_vain_before(
    project: Project, watcher: WorkspaceWatcher
) -> None:
    """A look before watching would find less, and put off the one that finds everything."""
    workspaces = [project.workspace(name) for name in NAMES]
    state = running(workspaces)
    found: list[inputs.Input] = []
    is_found = threading.Event()

    def hear(given: inputs.Input) -> None:
        found.append(given)
        is_found.set()

    radar = ConflictRadar(project.repo, lambda: state, watcher, hear, round_seconds=3600.0)
    try:
        radar.look(state)
        assert "anabranch-radar" not in [thread.name for thread in threading.enumerate()]
        for workspace in workspaces:
            write(workspace.path, {"a": f"by {workspace.stream}\n"})
            watcher.watch(workspace.stream, workspace.path)
        radar.look(state)
        assert is_found.wait(DEADLINE_SECONDS), "the first look was made in vain"
    finally:
        radar.close()
    (tested,) = found
    assert isinstance(tested, inputs.PairTested)
    assert (tested.streams, [p.path for p in tested.paths]) == (NAMES, ["a"])


def test_a_machine_that_starts_no_thread_is_asked_again(
    project: Project, watcher: WorkspaceWatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What only looks ahead fails nothing: neither the tick that wakes it nor the end of it all."""
    workspaces = [project.workspace(name) for name in NAMES]
    state = running(workspaces)
    is_found = threading.Event()
    for workspace in workspaces:
        write(workspace.path, {"a": f"by {workspace.stream}\n"})
        watcher.watch(workspace.stream, workspace.path)

    def hear(_: inputs.Input) -> None:
        is_found.set()

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    radar = ConflictRadar(project.repo, lambda: state, watcher, hear, round_seconds=3600.0)
    with monkeypatch.context() as machine:
        machine.setattr(threading.Thread, "start", refuse)
        radar.look(state)
        radar.close()  # it may come to this at any time
    other = ConflictRadar(project.repo, lambda: state, watcher, hear, round_seconds=3600.0)
    with monkeypatch.context() as machine:
        machine.setattr(threading.Thread, "start", refuse)
        other.look(state)
    try:
        other.look(state)
        assert is_found.wait(DEADLINE_SECONDS), "it was not asked again"
    finally:
        other.close()
