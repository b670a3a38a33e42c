"""What a setup made needs no rescue, what a stream made of it does: by every way of making it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from anabranch.core.events import Conflict
from anabranch.core.ids import StreamId
from anabranch.engine import kept_setups
from anabranch.engine.caches import LEAST_AGE_SECONDS
from anabranch.engine.kept_setups.made import made_in
from anabranch.engine.kept_setups.wanted import Wanted
from anabranch.engine.workspaces import (
    Parked,
    PreparedWorkspace,
    Reclaimed,
    Setup,
    made_path,
    prepare_workspace,
    reclaim_workspace,
)
from anabranch.engine.workspaces.ageing import forget_old
from anabranch.engine.workspaces.layers.mounting import hide
from anabranch.engine.workspaces.layers.standing import require_standing
from tests.engine import repositories
from tests.engine.repositories import RUN, Project, make_repository, open_project, write

FILES: dict[str, str | bytes | None] = {".gitignore": "env/\n*.log\n", "deps": "one\n"}
ARGV = (
    *("/bin/sh", "-c"),
    "for d in sub a b c d gone; do mkdir -p env/$d; echo $d > env/$d/x; done; "
    "for f in one rewritten more here run link; do echo one > env/$f; done; "
    "echo $PWD > env/where",
)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return open_project(make_repository(tmp_path / "user", FILES), tmp_path / "out")


def wanted(project: Project, stream: str, *inputs: str) -> Wanted:
    """Return what is asked for a stream, but for where its workspace is."""
    made = made_path(project.repo, RUN, StreamId(stream), 1)
    return Wanted("", str(project.repo.store), inputs=inputs, made=str(made))


def prepared(project: Project, stream: str, *inputs: str) -> PreparedWorkspace:
    """Make a workspace that is to be set up."""
    folder = project.outside / "workspaces" / stream
    workspace = prepare_workspace(
        project.repo, RUN, StreamId(stream), 1, "isolated", folder, project.base,
        method=repositories.METHOD, setup=Setup(ARGV, wanted(project, stream, *inputs)),
    )  # fmt: skip
    assert not isinstance(workspace, Conflict)
    return workspace


def set_up(project: Project, workspace: PreparedWorkspace, *inputs: str) -> str:
    """Run the setup in a workspace, and return what it said."""
    asked = wanted(project, workspace.stream, *inputs)
    given = json.dumps({**{n: getattr(asked, n) for n in asked.__struct_fields__},
                        "workspace": str(workspace.path)})  # fmt: skip
    program = (sys.executable, "-I", "-m", kept_setups.__name__, given, *ARGV)
    done = subprocess.run(program, cwd=workspace.path, capture_output=True, text=True, check=True)
    return done.stdout


def by_copy(project: Project) -> PreparedWorkspace:
    """Make a workspace into which what another one's setup made is copied or shown."""
    set_up(project, prepared(project, "first", "deps"), "deps")
    workspace = prepared(project, "s", "deps")
    said = set_up(project, workspace, "deps")
    assert ("(shown" in said) == (repositories.METHOD == "overlay"), said
    return workspace


def anew(project: Project) -> PreparedWorkspace:
    """Make a workspace whose setup says nothing of its inputs."""
    workspace = prepared(project, "s")
    assert set_up(project, workspace) == ""
    return workspace


WAYS = pytest.mark.parametrize("made", [by_copy, anew])


@WAYS
def test_what_nobody_changed_is_dropped_without_a_word(
    project: Project, made: Callable[[Project], PreparedWorkspace]
) -> None:
    """Nothing of it is parked, however much it is, and no warning tells of it."""
    workspace = made(project)
    write(workspace.path, {"work.txt": "w\n"})
    result = project.capture(workspace)
    assert result.warnings == ()
    assert result.ignored == ("env/",)
    assert set(project.files_of(result.commit)) == {*FILES, "work.txt"}
    assert reclaim_workspace(project.repo, RUN, workspace, most_ignored_bytes=0) == Reclaimed()
    assert not os.path.lexists(workspace.path)
    assert not made_path(project.repo, RUN, workspace.stream, 1).exists()


CHANGES = {
    "echo more >> env/more": {"env/more"},
    "printf 'ONE\\n' > env/rewritten; touch -r env/one env/rewritten": {"env/rewritten"},
    "echo mine > env/mine; echo x > a.log": {"env/mine", "a.log"},
    "mv env/here env/there": {"env/there"},
    "mv env/a/x tmp; mv env/b/x env/a/x; mv tmp env/b/x": {"env/a/x", "env/b/x"},
    "mv env/c tmp; mv env/d env/c; mv tmp env/d": {"env/c/x", "env/d/x"},
    "chmod +x env/run": {"env/run"},
    "rm env/link; ln -s sub/two env/link": {"env/link"},
    "rm -r env/gone; echo file > env/gone": {"env/gone"},
}
"""What streams do to what a setup made, and what of it is theirs then."""


@WAYS
def test_what_a_stream_has_changed_is_parked(
    project: Project, made: Callable[[Project], PreparedWorkspace]
) -> None:
    """Whatever it did, whatever times it gave to it, and nothing besides; the capture tells it."""
    workspace = made(project)
    for change in CHANGES:
        subprocess.run(change, shell=True, cwd=workspace.path, check=True)
    result = project.capture(workspace)
    assert result.warnings == ("2 ignored files or folders are not captured: a.log, env/",)
    outcome = reclaim_workspace(project.repo, RUN, workspace)
    assert isinstance(outcome, Parked), outcome
    assert set(project.files_of(outcome.commit)) - FILES.keys() == set().union(*CHANGES.values())
    assert project.content(outcome.commit, "env/a/x") == "b\n"
    assert project.content(outcome.commit, "env/c/x") == "d\n"
    assert project.content(outcome.commit, "env/rewritten") == "ONE\n"


def test_a_workspace_goes_on_to_stand_on_what_it_shows(project: Project) -> None:
    """Also one that is not shown now; when it is given back, the result ages like others."""
    if repositories.METHOD != "overlay":
        pytest.skip("it shows none")
    workspace = by_copy(project)
    write(workspace.path, {"env/one": "mine\n"})
    place = Path(made_in(made_path(project.repo, RUN, workspace.stream, 1)).below)
    assert (place / "tree/env/one").read_text() == "one\n"
    assert workspace.layers is not None
    own = os.listdir(workspace.layers.upper / "env")
    assert sorted(own) == ["one", "where"], "nothing else takes room"
    long_ago = time.time() - 2 * LEAST_AGE_SECONDS
    os.utime(place, (long_ago, long_ago))
    hide(workspace.path)
    kept = {aged.path: aged.reason for aged in forget_old(project.repo.store, 0.0)}
    assert kept[str(place)] == "a workspace stands on it"
    require_standing(workspace)
    assert (workspace.path / "env/sub/x").read_text() == "sub\n"
    assert (workspace.path / "env/where").read_text() == f"{workspace.path}\n"
    assert isinstance(reclaim_workspace(project.repo, RUN, workspace), Parked)
    gone = {aged.path: aged.outcome for aged in forget_old(project.repo.store, 0.0)}
    assert gone[str(place)] == "removed"


def test_what_is_shown_and_is_not_wanted_any_more_goes(project: Project) -> None:
    """Its inputs were changed meanwhile, say: then the setup is run where nothing of it is."""
    set_up(project, prepared(project, "first", "deps"), "deps")
    workspace = prepared(project, "s", "deps")
    write(workspace.path, {"deps": "two\n"})
    said = set_up(project, workspace, "deps")
    assert "used again" not in said
    assert (workspace.path / "env/where").read_text() == f"{workspace.path}\n"


def test_a_damaged_result_is_used_by_nobody_and_taken_from_nobody(project: Project) -> None:
    set_up(project, prepared(project, "first", "deps"), "deps")
    stands = prepared(project, "stands", "deps")
    set_up(project, stands, "deps")
    (place,) = (p for p in (project.repo.store / "setups").iterdir() if p.is_dir())
    late = prepared(project, "late", "deps")
    (place / "tree/env/where").unlink()
    said = set_up(project, late, "deps")
    assert "cannot be used" in said
    assert "kept for others" in said
    assert (stands.path / "env/one").read_text() == "one\n"
    assert "used again" in set_up(project, prepared(project, "next", "deps"), "deps")
