"""Effects that ask nothing of the world are answered in the turn that brought them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from anabranch.core import effects as fx
from anabranch.core import inputs
from anabranch.core.events import Recorded, StreamSucceeded, WorkspacePrepared
from anabranch.core.ids import FINAL_POINT, RunId, StreamId
from anabranch.core.plans.plan import Plan, PointPlan, StreamPlan, WorkspaceKind
from anabranch.engine.engine import Engine, Turn
from anabranch.engine.performers.workspaces import WorkspaceEffects
from anabranch.engine.workspaces import open_repository
from anabranch.paths import RunFolder
from anabranch.plugins import load_plugins

ONE = StreamId("one")
COMMIT = "1" * 40


class Transactions:
    """Keeps what each append brought."""

    def __init__(self) -> None:
        self.appended: list[Sequence[Recorded]] = []

    def append(self, records: Sequence[Recorded]) -> None:
        self.appended.append(list(records))


class Begun:
    """A run of one stream in a plain folder, begun and given its base."""

    def __init__(self, folder: Path, kind: WorkspaceKind) -> None:
        project = folder / "project"
        project.mkdir()
        self.root = project.resolve()
        repository = open_repository(project, folder / "store", folder / "git.lock")
        effects = WorkspaceEffects(repository, RunFolder(folder / "run"))
        self.store = Transactions()
        strategies = load_plugins().strategies
        self.engine = Engine(
            self.store, strategies, lambda: 1.0, immediate=effects.immediate_result
        )
        stream = StreamPlan(ONE, ("true",), "true", workspace=kind)
        plan = Plan("plan", (stream,), (PointPlan(FINAL_POINT, streams=(ONE,)),), 1)
        start = inputs.StartRun(
            run=RunId("run"), project="", plan_path=None, plan=plan, approve=False, wall=0.0
        )
        self.engine.turn([start])
        base = inputs.BaseFound(commit=COMMIT, tree=COMMIT, branch=None, head=None)
        self.turn: Turn = self.engine.turn([base])


def test_a_stream_in_the_users_folder_starts_in_the_turn_that_admits_it(tmp_path: Path) -> None:
    """Its workspace is the folder itself: admitted, prepared and to be started at once."""
    begun = Begun(tmp_path, "shared")
    prepared = [r.event for r in begun.turn.records if isinstance(r.event, WorkspacePrepared)]
    assert [event.path for event in prepared] == [str(begun.root)]
    assert [type(effect) for effect in begun.turn.effects] == [fx.StartProcess]


def test_its_end_is_one_transaction(tmp_path: Path) -> None:
    """The exit, that there is nothing to capture, and the success are durable together or not."""
    begun = Begun(tmp_path, "shared")
    ended = inputs.ProcessExited(
        stream=ONE, attempt=1, exit_code=0, signal=None, error=None, happened_at=1.0
    )
    before = len(begun.store.appended)
    begun.engine.turn([ended])
    assert len(begun.store.appended) == before + 1
    assert any(isinstance(r.event, StreamSucceeded) for r in begun.store.appended[-1])


@pytest.mark.parametrize("kind", ["isolated", "clone"])
def test_a_workspace_that_has_to_be_made_is_left_to_be_performed(
    tmp_path: Path, kind: WorkspaceKind
) -> None:
    """Git and the disk are never used inside a turn."""
    begun = Begun(tmp_path, kind)
    assert [type(effect) for effect in begun.turn.effects] == [fx.PrepareWorkspace]
