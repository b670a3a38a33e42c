"""Workspaces that hold a part of the project: git works inside, and nothing else is removed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anabranch.core.ids import StreamId
from anabranch.core.plans.plan import WorkspaceMethod
from anabranch.engine.workspaces import PreparedWorkspace, prepare_workspace
from anabranch.engine.workspaces.cone import patterns_of
from anabranch.engine.workspaces.layers.mounting import hide_all_below
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
