"""Workspaces that hold a part of the project: git works inside, and nothing else is removed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anabranch.core.ids import StreamId
from anabranch.core.plans.plan import WorkspaceMethod
from anabranch.engine.handler_workspaces import HandlerWorkspaces
from anabranch.engine.workspaces import (
    Captured,
    PreparedWorkspace,
    handler_ground,
    merge_trees,
    prepare_workspace,
)
from anabranch.engine.workspaces.cone import held_in, patterns_of
from anabranch.engine.workspaces.handler_folders import Assignment
from anabranch.engine.workspaces.layers.mounting import hide_all_below
from anabranch.engine.workspaces.records import read_record
from tests.engine.checkpoint_round import Round
from tests.engine.conftest import methods_here
from tests.engine.repositories import RUN, Project, git, make_repository, open_project, pairs, write

FILES: dict[str, str | bytes | None] = {
    "top.txt": "t\n",
    "services/about.txt": "s\n",
    "services/api/app.py": "a\n",
    "services/api/deep/er.py": "d\n",
    "services/web/app.py": "w\n",
    "docs/guide.md": "g\n",
}
PART = ["services/about.txt", "services/api/app.py", "services/api/deep/er.py", "top.txt"]


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    yield open_project(make_repository(tmp_path / "user", FILES), tmp_path / "out")
    hide_all_below(tmp_path)


def part(
    project: Project, stream: str, method: WorkspaceMethod, *dependencies: object
) -> PreparedWorkspace:
    made = prepare_workspace(
        project.repo, RUN, StreamId(stream), 1, "isolated", project.outside / stream, project.base,
        pairs(*dependencies), method=method, paths=("services/api",),  # type: ignore[arg-type]
    )  # fmt: skip
    assert isinstance(made, PreparedWorkspace)
    return made


def files_in(folder: Path) -> list[str]:
    found = (p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    return sorted(name for name in found if name != ".git")


@pytest.mark.parametrize("method", methods_here())
def test_a_part_is_there_and_the_rest_is_not_removed(
    project: Project, method: WorkspaceMethod
) -> None:
    work = part(project, "one", method)
    assert files_in(work.path) == PART
    assert git(work.path, "status", "--porcelain") == ""
    assert git(work.path, "ls-files", "docs") == "docs/guide.md\n"
    assert git(work.path, "sparse-checkout", "list") == "services/api\n"
    git(work.path, "reset", "-q", "--hard")
    assert files_in(work.path) == PART, "git inside knows that it is a part"
    write(work.path, {"services/api/app.py": "changed\n", "services/api/new.py": "n\n"})
    write(work.path, {"docs/new.md": "beside its part\n", "top.txt": None})
    assert set(project.files_of(project.capture(work).commit)) == {
        *FILES, "services/api/new.py", "docs/new.md",
    } - {"top.txt"}  # fmt: skip


@pytest.mark.parametrize("method", methods_here())
def test_what_the_stream_commits_and_starts_from_is_whole(
    project: Project, method: WorkspaceMethod
) -> None:
    first = project.result(
        "whole", {"docs/guide.md": "more\n", "services/api/app.py": "by first\n"}
    )
    work = part(project, "one", method, first)
    assert (work.path / "services/api/app.py").read_text() == "by first\n"
    assert files_in(work.path) == PART
    write(work.path, {"services/api/deep/er.py": None, "services/api/x.py": "x\n"})
    git(work.path, "add", "-A")
    git(work.path, "commit", "-qm", "by the stream")
    commit = project.capture(work).commit
    assert project.content(commit, "docs/guide.md") == "more\n"
    expected = {*FILES, "services/api/x.py"} - {"services/api/deep/er.py"}
    assert set(project.files_of(commit)) == expected


NAMES = st.text("ab*?[\\ é-", min_size=1, max_size=4).filter(lambda n: n.strip() == n)
FOLDERS = st.lists(st.lists(NAMES, min_size=1, max_size=3).map("/".join), min_size=1, max_size=3)


@given(FOLDERS)
def test_patterns_are_those_that_git_writes(
    tmp_path_factory: pytest.TempPathFactory, folders: list[str]
) -> None:
    """git itself makes the same of the same folders."""
    at = _repository(tmp_path_factory)
    git(at, "sparse-checkout", "set", "--cone", "--stdin", stdin="".join(f"{f}\n" for f in folders))
    written = (at / ".git" / "info" / "sparse-checkout").read_bytes()
    assert sorted(patterns_of(folders).splitlines()) == sorted(written.splitlines())


def _repository(factory: pytest.TempPathFactory) -> Path:
    at = factory.getbasetemp() / "cones"
    return at if at.exists() else make_repository(at, {"a": "a\n"})


@pytest.mark.parametrize("method", methods_here())
def test_what_is_restored_is_a_part_too(project: Project, method: WorkspaceMethod) -> None:
    """An attempt that goes on from a checkpoint has removed nothing that was never there."""
    first = part(project, "one", method)
    write(first.path, {"services/api/app.py": "so far\n", "services/api/new.py": "n\n"})
    taken = project.capture(first)
    made = prepare_workspace(
        project.repo, RUN, StreamId("one"), 2, "isolated", project.outside / "again", project.base,
        checkpoint=taken, method=method, paths=("services/api",),
    )  # fmt: skip
    assert isinstance(made, PreparedWorkspace)
    assert made.is_restored
    assert git(made.path, "status", "--porcelain").split() == [
        *("M", "services/api/app.py", "??", "services/api/new.py")
    ]
    write(made.path, {"services/api/app.py": "further\n"})
    commit = project.capture(made).commit
    assert set(project.files_of(commit)) == {*FILES, "services/api/new.py"}
    assert project.content(commit, "services/api/app.py") == "further\n"


@pytest.mark.parametrize("method", methods_here())
def test_a_checkpoint_brings_what_lies_in_the_part_and_nothing_else(
    project: Project, method: WorkspaceMethod
) -> None:
    """Others change, add, remove and rename in it and beside it; the merge has all of that."""
    work, whole = part(project, "one", method), project.workspace("whole")
    write(work.path, {"services/api/mine.py": "m\n"})
    write(whole.path, {"services/api/app.py": "new\n", "docs/guide.md": "new\n", "more/x": "x\n"})
    write(whole.path, {"services/web/app.py": None, "services/api/web.py": "w\n", "top.txt": None})
    write(whole.path, {"services/api/deep/er.py": None, "docs/er.py": "d\n"})
    done = Round(project, work, whole).bring_to(work)
    assert (done.files, done.removed, done.left_alone) == (2, 2, ())
    there = ["services/about.txt", "services/api/app.py", "services/api/mine.py"]
    assert files_in(work.path) == [*there, "services/api/web.py"]
    write(work.path, {"services/api/mine.py": "more\n"})
    result = merged_in_the_end(project, work, whole)
    assert set(project.files_of(result)) == {
        *("services/about.txt", "services/api/app.py", "services/api/mine.py"),
        *("services/api/web.py", "docs/guide.md", "docs/er.py", "more/x"),
    }
    assert project.content(result, "docs/guide.md") == "new\n"
    assert project.content(result, "services/api/mine.py") == "more\n"


def merged_in_the_end(project: Project, *workspaces: PreparedWorkspace) -> str:
    records = [read_record(project.repo, RUN, w.stream, 1) for w in workspaces]
    results = [project.capture(record) for record in records if record is not None]
    outcome = merge_trees(
        project.repo, RUN, project.base, pairs(*results), message="all", stop_early=False
    )
    assert outcome.conflicts == ()
    return outcome.commit


def test_what_a_stream_has_git_bring_besides_is_held_too(project: Project) -> None:
    work = part(project, "one", "worktree")
    held = held_in(work.path, work.git_dir)
    paths = ("top.txt", "services/x", "services/api/x", "services/api/a/x", "docs/x", "docs/deep/x")
    assert [held(path) for path in paths] == [True, True, True, True, False, False]
    git(work.path, "sparse-checkout", "add", "docs")
    held = held_in(work.path, work.git_dir)
    assert [held(path) for path in paths] == [True] * 6
    assert held_in(project.workspace("whole").path, work.git_dir)("services/web/x") is False
    git(work.path, "sparse-checkout", "set", "--no-cone", "*.py")
    assert held_in(work.path, work.git_dir)("other/x")


# --- handlers ------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", methods_here())
def test_handlers_work_on_the_part_and_remove_nothing_beside_it(
    project: Project, method: WorkspaceMethod, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handler_ground, "LEAST_WRITTEN", 2)
    stream = part(project, "docs", method)
    folder = project.outside / "handlers" / "docs"
    given = Assignment(
        project.repo, RUN, stream.stream, 1, "isolated", folder, method=method,
        paths=("services/api",),
    )  # fmt: skip
    works = HandlerWorkspaces(given)

    def do(place: int, files: dict[str, str | bytes | None], *more: str) -> Path:
        made = works.make(place)
        path = Path(made["path"])
        if more:
            git(path, "sparse-checkout", "add", *more)
        write(path, files)
        taken = works.capture(place, made["number"])
        assert isinstance(taken, Captured)
        assert works.merge([(place, taken)]) == {}
        works.give_back(place, made["number"])
        return path

    do(0, {"services/api/app.py": "new\n", "docs/new.md": "beside it\n", "top.txt": None})
    do(1, {"services/web/app.py": "by force\n", "services/api/x.py": "x\n"}, "services/web")
    made = works.make(2)
    last = Path(made["path"])
    assert files_in(last) == [*PART[:3], "services/api/x.py"]
    assert git(last, "status", "--porcelain") == ""
    write(last, {"services/api/x.py": "y\n"})
    taken = works.capture(2, made["number"])
    assert isinstance(taken, Captured)
    assert works.merge([(2, taken)]) == {}
    works.give_back(2, made["number"])
    assert works.deliver() is None
    assert list(folder.iterdir()) == []
    commit = project.capture(stream).commit
    assert set(project.files_of(commit)) == {
        *FILES, "docs/new.md", "services/api/x.py",
    } - {"top.txt"}  # fmt: skip
    assert project.content(commit, "services/web/app.py") == "by force\n"
    assert project.content(commit, "services/api/x.py") == "y\n"
    assert set(files_in(stream.path)) >= {*PART[:3], "services/api/x.py"}
    assert git(stream.path, "status", "--porcelain") == ""
