"""Bases and workspaces on real repositories of every shape."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from anabranch.core.ids import StreamId
from anabranch.core.plans.plan import WorkspaceKind
from anabranch.engine.git import GitError
from anabranch.engine.workspaces import (
    PreparedWorkspace,
    open_repository,
    publish_result_folder,
    result_branch,
)
from anabranch.engine.workspaces.layers.mounting import Layers, hide, show, why_not_layers
from anabranch.engine.workspaces.preparing import prepare_workspace
from anabranch.engine.workspaces.records import record_path
from tests.e2e.checkouts import likeness
from tests.engine.repositories import (
    RUN,
    Project,
    git,
    make_repository,
    merge_results,
    open_project,
    write,
)

FILES: dict[str, str | bytes | None] = {"a.txt": "a\n", "d/b.txt": "b\n", ".gitignore": "*.o\n"}
KINDS: tuple[WorkspaceKind, ...] = ("isolated", "clone")


def dirty(user: Path) -> None:
    """A checkout with staged, unstaged, untracked and ignored work."""
    write(user, {"a.txt": "unstaged\n", "new.txt": "untracked\n", "x.o": "ignored\n"})
    write(user, {"d/b.txt": "staged\n"})
    git(user, "add", "d/b.txt")


def state_of(user: Path) -> dict[str, object]:
    """What must not change: every file's bytes, mode and time, the index, HEAD, branches, stash."""
    index = Path(git(user, "rev-parse", "--absolute-git-dir").strip()) / "index"
    refs = [
        line
        for line in git(user, "for-each-ref", "--format=%(refname) %(objectname)").splitlines()
        if not line.startswith(("refs/anabranch/", "refs/heads/anabranch/"))
    ]
    return {
        **likeness(user),
        "(index)": index.read_bytes() if index.exists() else b"",
        "(head)": git(user, "rev-parse", "HEAD", check=False),
        "(refs)": refs,
    }


def whole_run(project: Project, kind: WorkspaceKind = "isolated") -> str:
    """Two streams, one after the other, merged; returns the commit."""
    one = project.result("one", {"one.txt": "1\n", "a.txt": "by one\n"}, kind=kind)
    two = project.result("two", {"two.txt": "2\n"}, one, kind=kind)
    outcome = merge_results(
        project.repo, RUN, project.base, [one, two], message="Merge",
        ref=result_branch(RUN), expected=None,
    )  # fmt: skip
    assert outcome.merged == ("one", "two")
    assert project.content(outcome.commit, "a.txt") == "by one\n"
    return outcome.commit


def plain_git(user: Path) -> Path:
    """A dirty repository."""
    make_repository(user, FILES)
    dirty(user)
    return user


def linked_worktree(user: Path) -> Path:
    """A checkout that is a worktree itself."""
    make_repository(user.with_name("main"), FILES)
    git(user.with_name("main"), "worktree", "add", "-q", "-b", "side", str(user))
    dirty(user)
    return user


def unborn(user: Path) -> Path:
    """A repository without commits."""
    user.mkdir()
    git(user, "init", "-q", "-b", "main")
    write(user, {"a.txt": "a\n"})
    git(user, "add", "a.txt")
    return user


def sha256(user: Path) -> Path:
    """A repository with the newer object format."""
    return make_repository(user, FILES, "--object-format=sha256")


def worktree_config(user: Path) -> Path:
    """A repository with a configuration for each worktree."""
    make_repository(user, FILES)
    git(user, "config", "extensions.worktreeConfig", "true")
    git(user, "config", "--worktree", "core.sparseCheckout", "false")
    return user


def windows_lines(user: Path) -> Path:
    """A repository that converts line ends."""
    make_repository(user, FILES)
    git(user, "config", "core.autocrlf", "true")
    write(user, {"c.txt": "c\r\n"})
    git(user, "add", "c.txt")
    git(user, "commit", "-qm", "second")
    return user


def with_submodule(user: Path) -> Path:
    """A repository with a submodule."""
    inner = make_repository(user.with_name("inner"), {"i": "i\n"})
    make_repository(user, FILES)
    git(user, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(inner), "sub")
    git(user, "commit", "-qm", "submodule")
    return user


def split_index(user: Path) -> Path:
    """A dirty repository whose index is in two parts, an ignored file added by force in it."""
    plain_git(user)
    git(user, "config", "core.splitIndex", "true")
    write(user, {"forced.txt": "forced\n", ".gitignore": "*.o\nforced.txt\n"})
    git(user, "add", "-f", "forced.txt", ".gitignore")
    return user


SHAPES: tuple[Callable[[Path], Path], ...] = (
    plain_git,
    linked_worktree,
    unborn,
    sha256,
    worktree_config,
    windows_lines,
    with_submodule,
    split_index,
)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
def test_a_run_leaves_the_checkout_as_it_was(
    shape: Callable[[Path], Path], kind: WorkspaceKind, tmp_path: Path
) -> None:
    """From base to merged result, the user's index, status and HEAD stay the same bytes."""
    user = shape(tmp_path / "user")
    before = state_of(user)
    project = open_project(user, tmp_path / "out")
    whole_run(project, kind)
    assert state_of(user) == before
    git(user, "fsck", "--strict")


@pytest.mark.parametrize("shape", [plain_git, linked_worktree, unborn, split_index])
def test_uncommitted_work_can_be_the_base(shape: Callable[[Path], Path], tmp_path: Path) -> None:
    """Staged, unstaged and untracked files are in the base; ignored ones are not."""
    user = shape(tmp_path / "user")
    before = state_of(user)
    project = open_project(user, tmp_path / "out", include_uncommitted=True)
    workspace = project.workspace("one")
    for path in user.glob("**/*.txt"):
        assert (workspace.path / path.relative_to(user)).read_bytes() == path.read_bytes()
    assert not list(workspace.path.glob("*.o"))
    assert state_of(user) == before


@pytest.mark.parametrize("kind", KINDS)
def test_plain_folder_works_like_a_repository(kind: WorkspaceKind, tmp_path: Path) -> None:
    """A folder without git is left without git, and the result can be looked at as a folder."""
    user = tmp_path / "user"
    write(user, {**FILES, "bin": b"\0\r\n\xff", "e.txt": "\r\n"})
    names = sorted(path.relative_to(user) for path in user.rglob("*"))
    project = open_project(user, tmp_path / "out")
    commit = whole_run(project, kind)
    assert sorted(path.relative_to(user) for path in user.rglob("*")) == names
    shown = tmp_path / "result"
    publish_result_folder(project.repo, RUN, commit, shown)
    assert (shown / "bin").read_bytes() == b"\0\r\n\xff"
    assert (shown / "two.txt").read_text() == "2\n"
    publish_result_folder(project.repo, RUN, project.base.commit, shown)
    assert not (shown / "two.txt").exists()


def test_project_in_a_sub_folder_knows_its_prefix(tmp_path: Path) -> None:
    """The whole repository is the workspace; the prefix says where the plan lies in it."""
    user = make_repository(tmp_path / "user", FILES)
    repo = open_repository(user / "d", tmp_path / "store", tmp_path / "lock")
    assert (repo.root, repo.prefix) == (user, "d")


@pytest.mark.parametrize("missing", ["nowhere", "bare.git"])
def test_what_cannot_be_a_project_is_refused_with_a_hint(missing: str, tmp_path: Path) -> None:
    """A missing folder and a bare repository are named, with the next step."""
    git(tmp_path, "init", "-q", "--bare", "bare.git")
    with pytest.raises(GitError) as caught:
        open_repository(tmp_path / missing, tmp_path / "store", tmp_path / "lock")
    assert missing in caught.value.reason
    assert caught.value.hint


def test_a_damaged_repository_is_no_plain_folder(tmp_path: Path) -> None:
    """Its history would be left out in silence; a ``.git`` with nothing in it is no repository."""
    user = make_repository(tmp_path / "user", FILES)
    (user / ".git/HEAD").write_text("garbage\n")
    with pytest.raises(GitError, match="no repository") as caught:
        open_repository(user, tmp_path / "store", tmp_path / "lock")
    assert "move .git away" in caught.value.hint
    (tmp_path / "plain/.git").mkdir(parents=True)
    assert open_repository(tmp_path / "plain", tmp_path / "s2", tmp_path / "l2").kind == "plain"


def test_a_repository_whose_files_are_elsewhere_is_refused_with_a_hint(tmp_path: Path) -> None:
    """``core.worktree`` can name any other folder; it is named, with the next step."""
    user = make_repository(tmp_path / "user", FILES)
    (tmp_path / "elsewhere").mkdir()
    git(user, "config", "core.worktree", str(tmp_path / "elsewhere"))
    with pytest.raises(GitError, match="elsewhere") as caught:
        open_repository(user, tmp_path / "store", tmp_path / "lock")
    assert "git worktree add" in caught.value.hint


def test_unresolved_conflicts_do_not_become_a_base(tmp_path: Path) -> None:
    """A checkout in the middle of a merge is refused when it would be the base."""
    user = make_repository(tmp_path / "user", FILES)
    git(user, "switch", "-qc", "side")
    write(user, {"a.txt": "side\n"})
    git(user, "commit", "-qam", "side")
    git(user, "switch", "-q", "main")
    write(user, {"a.txt": "main\n"})
    git(user, "commit", "-qam", "main")
    git(user, "merge", "-q", "side", check=False)
    with pytest.raises(GitError, match="conflicts"):
        open_project(user, tmp_path / "out", include_uncommitted=True)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A small repository, opened."""
    return open_project(make_repository(tmp_path / "user", FILES), tmp_path / "out")


@pytest.mark.parametrize("kind", KINDS)
def test_git_inside_a_workspace_works_and_is_clean(kind: WorkspaceKind, project: Project) -> None:
    """Streams can use git; the workspace starts clean and on no branch."""
    workspace = project.workspace("one", kind=kind)
    assert git(workspace.path, "status", "--porcelain") == ""
    assert git(workspace.path, "rev-parse", "HEAD").strip() == project.base.commit
    assert git(workspace.path, "branch", "--show-current") == ""


def test_clone_shares_neither_settings_nor_stashes_nor_refs(project: Project) -> None:
    """What an untrusted stream does with git stays in its clone."""
    workspace = project.workspace("one", kind="clone")
    before = git(project.user, "for-each-ref"), git(project.user, "config", "--list", "--local")
    git(workspace.path, "config", "user.name", "evil")
    write(workspace.path, {"a.txt": "x\n"})
    git(workspace.path, "stash")
    git(workspace.path, "branch", "mine")
    assert git(project.user, "for-each-ref") == before[0]
    assert git(project.user, "config", "--list", "--local") == before[1]
    assert git(workspace.path, "remote") == ""


def test_shared_workspace_is_the_users_folder(project: Project) -> None:
    """No isolation and no snapshot: the changes are where they are."""
    workspace = project.workspace("one", kind="shared")
    assert workspace.path == project.user
    result = project.capture(workspace)
    assert result.tree == result.start_tree
    assert result.warnings


@pytest.mark.parametrize("kind", KINDS)
def test_preparing_twice_is_preparing_once(kind: WorkspaceKind, project: Project) -> None:
    """The same attempt gets the same folder with the work in it; a new attempt gets a new one."""
    first = project.workspace("one", kind=kind)
    write(first.path, {"work": "w\n"})
    assert project.workspace("one", kind=kind) == first
    assert (first.path / "work").exists()
    assert not (project.workspace("one", kind=kind, attempt=2).path / "work").exists()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("work", [None, "work", ".git/description"])
def test_leftovers_of_a_crash_never_cost_work(
    work: str | None, kind: WorkspaceKind, project: Project
) -> None:
    """A half-made folder is replaced; one with anything new in it is moved aside first."""
    if work == ".git/description" and kind == "isolated":
        work = ".git-rewritten/x"
    first = project.workspace("one", kind=kind)
    record_path(project.repo, RUN, StreamId("one"), 1).unlink()
    (first.path / "a.txt").unlink()
    if work is not None:
        write(first.path, {work: "precious\n"})
    again = project.workspace("one", kind=kind)
    assert (again.path / "a.txt").read_text() == "a\n"
    assert git(again.path, "status", "--porcelain") == ""
    aside = list(again.path.parent.glob("*@leftover-*"))
    if again.layers is not None:
        aside = list(again.layers.upper.parent.parent.glob("*@leftover-*/upper"))
    assert len(aside) == (0 if work is None and kind == "isolated" else 1)
    if work is not None:
        assert (aside[0] / work).read_text() == "precious\n"


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_record_says_is_somebodys_is_left_alone(
    kind: WorkspaceKind, project: Project
) -> None:
    """A folder that belongs to another attempt, as earlier versions named some, is not taken."""
    other = project.workspace("a.2", kind=kind)
    write(other.path, {"work": "precious\n"})
    made = prepare_workspace(
        project.repo, RUN, StreamId("a"), 2, kind, other.path, project.base, ()
    )
    assert isinstance(made, PreparedWorkspace)
    assert made.path != other.path
    assert (other.path / "work").read_text() == "precious\n"
    assert git(other.path, "status", "--porcelain") == "?? work\n"
    assert (made.path / "a.txt").read_text() == "a\n"
    assert project.workspace("a.2", kind=kind) == other


def test_eight_threads_prepare_at_once(project: Project) -> None:
    """git's race between worktree commands does not show."""
    made: list[PreparedWorkspace] = []
    failed: list[BaseException] = []

    def prepare(number: int) -> None:
        try:
            made.append(project.workspace(f"s{number}"))
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=prepare, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert {workspace.path.name for workspace in made} == {f"s{number}.1" for number in range(8)}
    assert all((workspace.path / "a.txt").is_file() for workspace in made)


def test_who_looks_into_layers_for_a_moment_is_waited_for(tmp_path: Path) -> None:
    """The engine itself looks into workspaces all the time, from other threads."""
    if why_not_layers(tmp_path):
        pytest.skip("no layers here")
    layers = Layers((tmp_path / "lower",), tmp_path / "own/upper", tmp_path / "own/scratch")
    shown = tmp_path / "shown"
    for folder in (*layers.lower, layers.upper, shown):
        folder.mkdir(parents=True)
    show(layers, shown)
    looks = os.open(shown, os.O_RDONLY)
    gone = threading.Timer(0.05, os.close, (looks,))
    gone.start()
    hide(shown)
    gone.join()
    assert not shown.is_mount()
