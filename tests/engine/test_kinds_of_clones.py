"""Submodules, large files, partial and shallow clones: each works by every method of making
workspaces, from the base to the approved result, with remotes that are real."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from anabranch.engine.workspaces import (
    Approved,
    Kept,
    PreparedWorkspace,
    Reclaimed,
    approve,
    empty_in_words,
    reclaim_workspace,
    submodules_in,
)
from tests.engine import repositories
from tests.engine.repositories import (
    RUN,
    Project,
    git,
    make_repository,
    merge_results,
    open_project,
    write,
)

FILES: dict[str, str | bytes | None] = {"a.txt": "a\n", "d/b.txt": "b\n", "d/c.txt": "c\n"}
BIG = bytes(range(256)) * 20
ALLOWED = ("-c", "protocol.file.allow=always")


def served(tmp_path: Path) -> Path:
    """A repository of three commits that others may clone by halves."""
    origin = make_repository(tmp_path / "origin", FILES)
    for number in range(2):
        write(origin, {"a.txt": f"{number}\n"})
        git(origin, "commit", "-qam", f"{number}")
    for key in ("allowFilter", "allowAnySHA1InWant"):
        git(origin, "config", f"uploadpack.{key}", "true")
    return origin


def partial(tmp_path: Path) -> Path:
    return cloned(tmp_path, "--filter=blob:none")


def sparse_partial(tmp_path: Path) -> Path:
    return cloned(tmp_path, "--filter=blob:none", "--sparse")


def treeless(tmp_path: Path) -> Path:
    return cloned(tmp_path, "--filter=tree:0")


def shallow(tmp_path: Path) -> Path:
    return cloned(tmp_path, "--depth=1")


def cloned(tmp_path: Path, *how: str) -> Path:
    origin = served(tmp_path)
    git(tmp_path, "clone", "-q", *how, f"file://{origin}", "user")
    return tmp_path / "user"


def with_large_files(tmp_path: Path) -> Path:
    """A clone of a repository with a large file that came by git-lfs."""
    if shutil.which("git-lfs") is None:
        pytest.skip("git-lfs is not installed here")
    origin = make_repository(tmp_path / "origin", FILES)
    git(origin, "lfs", "install", "--local")
    git(origin, "lfs", "track", "*.bin")
    write(origin, {"big.bin": BIG})
    git(origin, "add", "-A")
    git(origin, "commit", "-qm", "large")
    git(tmp_path, "clone", "-q", f"file://{origin}", "user")
    user = tmp_path / "user"
    git(user, "lfs", "install", "--local")
    git(user, "lfs", "pull")
    assert (user / "big.bin").read_bytes() == BIG
    return user


def without_contents(tmp_path: Path) -> Path:
    """A clone of such a repository whose contents nobody can reach."""
    user = with_large_files(tmp_path)
    git(user, "config", "remote.origin.url", f"file://{tmp_path}/nowhere")
    (user / ".git" / "lfs" / "objects").rename(tmp_path / "lfs")
    return user


def with_submodule(tmp_path: Path) -> Path:
    inner = make_repository(tmp_path / "inner", {"i.txt": "i\n"})
    user = make_repository(tmp_path / "user", FILES)
    git(user, *ALLOWED, "submodule", "--quiet", "add", str(inner), "sub")
    git(user, "commit", "-qm", "submodule")
    return user


CLONES = (
    partial,
    sparse_partial,
    treeless,
    shallow,
    with_large_files,
    with_submodule,
)
Clone = Callable[[Path], Path]


@pytest.fixture
def project(request: pytest.FixtureRequest, tmp_path: Path) -> Project:
    make: Clone = request.param
    return open_project(make(tmp_path), tmp_path / "out")


@pytest.mark.parametrize("project", CLONES, indirect=True, ids=lambda make: make.__name__)
def test_it_works_from_the_base_to_the_approved_result(project: Project) -> None:
    user, before = project.user, project.files_of(project.base.commit)
    one, two = project.workspace("one"), project.workspace("two")
    for work in (one, two):
        assert git(work.path, "status", "--porcelain") == ""
        assert (work.path / "d/b.txt").read_text() == "b\n"
    git(one.path, "fsck", "--connectivity-only")
    write(one.path, {"a.txt": "by one\n", "d/c.txt": None})
    git(two.path, "mv", "d/b.txt", "moved.txt")
    git(two.path, "commit", "-qm", "by two")
    results = [project.capture(work) for work in (one, two)]
    ref = "refs/heads/merged"
    merged = merge_results(
        project.repo, RUN, project.base, results, message="all", ref=ref, expected=None
    )
    assert merged.conflicts == ()
    after = project.files_of(merged.commit)
    assert set(after) == {*before, "moved.txt"} - {"d/c.txt", "d/b.txt"}
    assert isinstance(approve(project.repo, RUN, project.base, merged.commit), Approved)
    assert git(user, "status", "--porcelain") == ""
    assert (user / "a.txt").read_text() == "by one\n"
    for work in (one, two):
        assert not isinstance(reclaim_workspace(project.repo, RUN, work), Kept)
        assert not work.path.exists()
    git(user, "fsck", "--connectivity-only")


SUBMODULE = pytest.mark.parametrize("project", [with_submodule], indirect=True)


def filled(project: Project, stream: str) -> PreparedWorkspace:
    """A workspace in which git has brought the submodule, which was an empty folder before."""
    work = project.workspace(stream)
    assert work.warnings == ()
    assert list((work.path / "sub").iterdir()) == []
    git(work.path, *ALLOWED, "submodule", "--quiet", "update", "--init")
    assert (work.path / "sub" / "i.txt").read_text() == "i\n"
    assert git(work.path, "status", "--porcelain") == ""
    return work


@SUBMODULE
def test_a_submodule_that_a_stream_only_filled_is_nothing_to_keep(project: Project) -> None:
    work = filled(project, "one")
    write(work.path, {"a.txt": "by one\n"})
    done = project.capture(work)
    assert (done.files_changed, done.warnings) == (1, ())
    assert isinstance(reclaim_workspace(project.repo, RUN, work), Reclaimed)
    assert not work.path.exists()


def edited(sub: Path) -> None:
    write(sub, {"i.txt": "edited\n"})


def added(sub: Path) -> None:
    write(sub, {"new.txt": "new\n"})


def ignored(sub: Path) -> None:
    git_dir = Path(git(sub, "rev-parse", "--absolute-git-dir").strip())
    (git_dir / "info" / "exclude").write_text("built\n")
    write(sub, {"built": "b\n"})


def committed(sub: Path) -> None:
    edited(sub)
    git(sub, "commit", "-qam", "inside")


def committed_and_left(sub: Path) -> None:
    committed(sub)
    git(sub, "checkout", "-q", "HEAD~1")


def stashed(sub: Path) -> None:
    edited(sub)
    git(sub, "stash", "-q")


def tagged(sub: Path) -> None:
    git(sub, "tag", "-am", "of the stream", "mine")


def staged(sub: Path) -> None:
    edited(sub)
    git(sub, "add", "-A")
    write(sub, {"i.txt": "i\n"})


WORKS = (edited, added, ignored, committed, committed_and_left, stashed, tagged, staged)


@SUBMODULE
@pytest.mark.only_folders  # it is the same proof for all
@pytest.mark.parametrize("work_inside", WORKS)
def test_what_a_stream_does_in_a_submodule_keeps_its_workspace(
    project: Project, work_inside: Callable[[Path], None]
) -> None:
    work = filled(project, "one")
    work_inside(work.path / "sub")
    kept = reclaim_workspace(project.repo, RUN, work)
    assert kept == Kept("it holds a repository of its own: sub")
    assert (work.path / "sub" / "i.txt").exists()


@SUBMODULE
def test_what_a_stream_does_in_a_submodule_is_said(project: Project) -> None:
    """The result has the commit, and people hear where it is; the rest is not in it."""
    work = filled(project, "one")
    edited(work.path / "sub")
    (said,) = project.capture(work).warnings
    assert said.startswith("what is not committed in nested repositories is not captured: sub")
    committed(work.path / "sub")
    done = project.capture(work)
    (said,) = done.warnings
    assert said.startswith("only the commit of nested repositories is captured: sub")
    assert "push it from there" in said
    head = git(work.path / "sub", "rev-parse", "HEAD").strip()
    assert project.files_of(done.commit)["sub"] == f"160000 commit {head}"


@SUBMODULE
def test_nothing_that_a_submodule_names_is_started(project: Project, tmp_path: Path) -> None:
    work, mark = filled(project, "one"), tmp_path / "ran"
    for key in ("core.fsmonitor", "filter.x.clean", "diff.external", "uploadpack.packObjectsHook"):
        git(work.path / "sub", "config", key, f"touch {mark}; cat")
    write(work.path / "sub", {".gitattributes": "* filter=x\n"})
    project.capture(work)
    reclaim_workspace(project.repo, RUN, work)
    assert not mark.exists()


@SUBMODULE
def test_submodules_are_said_once_for_a_run(project: Project) -> None:
    paths = submodules_in(project.repo, RUN, project.base.tree)
    assert paths == ("sub",)
    (said,) = empty_in_words(paths)
    assert "empty folder in workspaces: sub" in said
    assert empty_in_words(()) == ()


@pytest.mark.parametrize("project", [without_contents], indirect=True)
def test_large_files_that_cannot_be_had_are_pointers(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By whatever method; once they can be had, the next workspace has them."""
    if repositories.METHOD == "pool":  # no checkout is made ahead without them
        monkeypatch.setattr(repositories, "make_ahead", lambda *_: "nothing")
    one = project.workspace("one")
    (said,) = one.warnings
    assert "pointers in this workspace" in said
    assert (one.path / "big.bin").read_bytes().startswith(b"version https://git-lfs")
    assert git(one.path, "status", "--porcelain") == ""
    write(one.path, {"a.txt": "changed\n"})
    assert set(project.files_of(project.capture(one).commit)) == set(
        project.files_of(project.base.commit)
    )
    assert isinstance(reclaim_workspace(project.repo, RUN, one), Reclaimed)
    store = project.user / ".git" / "lfs" / "objects"
    shutil.rmtree(store)
    project.user.with_name("lfs").rename(store)
    two = project.workspace("two")
    assert two.warnings == ()
    assert (two.path / "big.bin").read_bytes() == BIG
