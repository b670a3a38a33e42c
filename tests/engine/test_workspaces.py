"""Bases, workspaces and captures on real repositories, friendly and hostile."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from anabranch.core.ids import StreamId
from anabranch.core.plan import WorkspaceKind
from anabranch.engine.git import GitError
from anabranch.engine.workspaces import (
    Workspace,
    capture_base,
    changed_settings,
    merge_results,
    open_repository,
    publish_result_folder,
    read_ref,
    result_branch,
    result_ref,
)
from anabranch.engine.workspaces.records import record_path

from tests.engine.repositories import RUN, Project, git, make_repository, open_project, write

FILES: dict[str, str | bytes | None] = {"a.txt": "a\n", "d/b.txt": "b\n", ".gitignore": "*.o\n"}
KINDS: tuple[WorkspaceKind, ...] = ("isolated", "clone")


def dirty(user: Path) -> None:
    """A checkout with staged, unstaged, untracked and ignored work."""
    write(user, {"a.txt": "unstaged\n", "new.txt": "untracked\n", "x.o": "ignored\n"})
    write(user, {"d/b.txt": "staged\n"})
    git(user, "add", "d/b.txt")


def state_of(user: Path) -> tuple[str, bytes, str]:
    """What must not change: status, the index's bytes, HEAD."""
    index = Path(git(user, "rev-parse", "--absolute-git-dir").strip()) / "index"
    before = index.read_bytes() if index.exists() else b""
    status = git(user, "--no-optional-locks", "status", "--porcelain=v2", "--branch", "--ignored")
    return status, before, git(user, "rev-parse", "HEAD", check=False)


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


SHAPES: tuple[Callable[[Path], Path], ...] = (
    plain_git,
    linked_worktree,
    unborn,
    sha256,
    worktree_config,
    windows_lines,
    with_submodule,
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


@pytest.mark.parametrize("shape", [plain_git, linked_worktree, unborn])
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
    publish_result_folder(project.repo, commit, shown)
    assert (shown / "bin").read_bytes() == b"\0\r\n\xff"
    assert (shown / "two.txt").read_text() == "2\n"
    publish_result_folder(project.repo, project.base.commit, shown)
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
    aside = list(again.path.parent.glob("*.leftover-*"))
    assert len(aside) == (0 if work is None and kind == "isolated" else 1)
    if work is not None:
        assert (aside[0] / work).read_text() == "precious\n"


def test_eight_threads_prepare_at_once(project: Project) -> None:
    """git's race between worktree commands does not show."""
    made: list[Workspace] = []
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


def test_submodules_and_large_files_are_said(tmp_path: Path) -> None:
    """What a fresh workspace lacks is in its warnings."""
    user = with_submodule(tmp_path / "user")
    write(user, {".gitattributes": "*.psd filter=lfs\n"})
    git(user, "add", "-A")
    git(user, "commit", "-qm", "attributes")
    workspace = open_project(user, tmp_path / "out").workspace("one")
    assert len(workspace.warnings) == 2


def commits(folder: Path) -> None:
    write(folder, {"own": "1\n"})
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "own")


def orphan(folder: Path) -> None:
    git(folder, "switch", "-q", "--orphan", "fresh")
    write(folder, {"own": "1\n"})
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "orphan")


def amends_base(folder: Path) -> None:
    write(folder, {"own": "1\n"})
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "--amend", "-m", "amended")


def on_other_branch(folder: Path) -> None:
    git(folder, "switch", "-qc", "other")
    commits(folder)


def leaves_index_lock(folder: Path) -> None:
    write(folder, {"own": "1\n"})
    git_dir = Path(git(folder, "rev-parse", "--absolute-git-dir").strip())
    (git_dir / "index.lock").touch()


def hides_from_index(folder: Path) -> None:
    git(folder, "update-index", "--assume-unchanged", "a.txt")
    git(folder, "update-index", "--skip-worktree", "d/b.txt")
    write(folder, {"own": "1\n", "a.txt": "hidden\n", "d/b.txt": "hidden\n"})


def forces_ignored(folder: Path) -> None:
    write(folder, {"own": "1\n", "wanted.o": "o\n"})
    git(folder, "add", "-f", "wanted.o")


def untracks(folder: Path) -> None:
    write(folder, {"own": "1\n", ".gitignore": "*.o\na.txt\n"})
    git(folder, "rm", "-q", "--cached", "a.txt")


BEHAVIOURS: dict[Callable[[Path], None], dict[str, str | None]] = {
    commits: {"own": "1\n", "a.txt": "a\n"},
    orphan: {"own": "1\n", "a.txt": None},
    amends_base: {"own": "1\n", "a.txt": "a\n"},
    on_other_branch: {"own": "1\n"},
    leaves_index_lock: {"own": "1\n"},
    hides_from_index: {"own": "1\n", "a.txt": "hidden\n", "d/b.txt": "hidden\n"},
    forces_ignored: {"own": "1\n", "wanted.o": "o\n"},
    untracks: {"own": "1\n", "a.txt": None},
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("behaviour", BEHAVIOURS, ids=lambda behaviour: behaviour.__name__)
def test_capture_takes_work_however_it_was_done(
    behaviour: Callable[[Path], None], kind: WorkspaceKind, project: Project
) -> None:
    """Committed or not, on whatever history: the files are in the result, the stream untouched."""
    workspace = project.workspace("one", kind=kind)
    behaviour(workspace.path)
    head = git(workspace.path, "rev-parse", "HEAD")
    status = git(workspace.path, "--no-optional-locks", "status", "--porcelain=v2", "--branch")
    write(workspace.path, {"late": "uncommitted\n"})
    result = project.capture(workspace)
    (workspace.path / "late").unlink()
    files = project.files_of(result.commit)
    for path, content in {**BEHAVIOURS[behaviour], "late": "uncommitted\n"}.items():
        assert (path in files) is (content is not None), path
        assert content is None or project.content(result.commit, path) == content
    assert git(workspace.path, "rev-parse", "HEAD") == head
    now = git(workspace.path, "--no-optional-locks", "status", "--porcelain=v2", "--branch")
    assert now == status
    assert read_ref(project.repo, result_ref(RUN, StreamId("one"))) == result.commit
    grown = git(project.user, "merge-base", project.base.commit, result.commit).strip()
    assert grown == project.base.commit
    rewritten = behaviour in (orphan, amends_base)
    assert any("history" in warning for warning in result.warnings) is rewritten


@pytest.mark.parametrize("kind", KINDS)
def test_capture_without_work_is_the_start(kind: WorkspaceKind, project: Project) -> None:
    """Nothing done, nothing committed."""
    result = project.capture(project.workspace("one", kind=kind))
    assert (result.commit, result.files_changed) == (project.base.commit, 0)


def test_capture_sees_edits_again_and_again(project: Project) -> None:
    """A warm index never hides an edit, even one that keeps size and time."""
    workspace = project.workspace("one")
    path = workspace.path / "a.txt"
    for letter in "bcdef":
        before = path.stat()
        path.write_text(f"{letter}\n")
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert project.content(project.capture(workspace).commit, "a.txt") == f"{letter}\n"


WARNED: dict[str, tuple[dict[str, str | bytes | None], str]] = {
    "markers": ({"a.txt": "<<<<<<< A\n1\n=======\n2\n>>>>>>> B\n"}, "markers are left in a.txt"),
    "case twins": ({"A.TXT": "x\n"}, "only in case: A.TXT"),
    "folder twins": ({"D/x": "x\n"}, "only in case: D/x"),
    "ignored": ({"x.o": "x\n", "build/y.o": "x\n"}, "2 ignored files or folders"),
    "headline": ({"r.rst": "Title\n=======\n"}, ""),
}


@pytest.mark.parametrize("case", WARNED)
def test_what_git_takes_without_a_word_is_said(case: str, project: Project) -> None:
    """Silent traps become warnings, and innocent files do not."""
    files, words = WARNED[case]
    result = project.result("one", files)
    assert bool(result.warnings) is bool(words)
    assert words in " ".join(result.warnings)


@pytest.mark.parametrize("with_commit", [True, False])
def test_nested_repositories_are_said(with_commit: bool, project: Project) -> None:
    """A repository inside the workspace does not vanish silently, nor stop the capture."""
    workspace = project.workspace("one")
    write(workspace.path, {"own": "1\n", "n/inner": "x\n"})
    git(workspace.path / "n", "init", "-q")
    if with_commit:
        git(workspace.path / "n", "add", "-A")
        git(workspace.path / "n", "commit", "-qm", "inner")
    result = project.capture(workspace)
    assert "own" in project.files_of(result.commit)
    assert any("nested" in warning and "n" in warning for warning in result.warnings)


def test_file_that_cannot_be_converted_keeps_the_workspace(project: Project) -> None:
    """A broken working-tree-encoding is an error with a hint, and nothing is lost."""
    workspace = project.workspace("one")
    write(workspace.path, {".gitattributes": "*.u working-tree-encoding=UTF-16\n"})
    write(workspace.path, {"x.u": b"\xff\xfe\x00"})
    with pytest.raises(GitError) as caught:
        project.capture(workspace)
    assert caught.value.hint
    assert (workspace.path / "x.u").exists()


@pytest.mark.parametrize(
    "key", ["core.hooksPath", "core.fsmonitor", "filter.x.clean", "core.pager"]
)
def test_a_streams_settings_run_nothing_in_the_engine(
    key: str, project: Project, tmp_path: Path
) -> None:
    """Programs that a stream puts into shared settings are never started, and are named."""
    mark = tmp_path / "ran"
    program = tmp_path / "hooks" / "post-checkout"
    program.parent.mkdir()
    for name in ("post-checkout", "reference-transaction", "post-index-change"):
        (program.parent / name).write_text(f"#!/bin/sh\ntouch {mark}\ncat\n")
        (program.parent / name).chmod(0o755)
    one = project.workspace("one")
    value = program.parent if key == "core.hooksPath" else program
    git(one.path, "config", key, str(value))
    write(one.path, {".gitattributes": "* filter=x\n", "a.txt": "changed\n"})
    whole_run_result = project.capture(one)
    project.workspace("two", whole_run_result)
    project.workspace("three", kind="clone")
    merge_results(
        project.repo, RUN, project.base, [whole_run_result], message="m",
        ref=result_branch(RUN), expected=None,
    )  # fmt: skip
    assert not mark.exists()
    assert key.lower() in changed_settings(project.repo, RUN)


def test_filters_trusted_when_the_run_began_still_work(tmp_path: Path) -> None:
    """The user's own filter applies, whatever a stream makes of it later."""
    user = make_repository(
        tmp_path / "user", {"a.txt": "a\n", ".gitattributes": "*.up filter=up\n"}
    )
    git(user, "config", "filter.up.clean", "tr a-z A-Z")
    git(user, "config", "filter.up.smudge", "tr A-Z a-z")
    project = open_project(user, tmp_path / "out")
    workspace = project.workspace("one")
    git(workspace.path, "config", "filter.up.clean", "false")
    write(workspace.path, {"x.up": "shout\n"})
    result = project.capture(workspace)
    assert project.content(result.commit, "x.up") == "SHOUT\n"
    assert (project.workspace("two", result).path / "x.up").read_text() == "shout\n"


def test_a_worktree_pointed_elsewhere_is_not_believed(project: Project, tmp_path: Path) -> None:
    """Rewriting .git does not make the engine read another repository."""
    other = make_repository(tmp_path / "other", {"secret": "s\n"})
    workspace = project.workspace("one")
    (workspace.path / ".git").write_text(f"gitdir: {other / '.git'}\n")
    write(workspace.path, {"own": "1\n"})
    result = project.capture(workspace)
    assert sorted(project.files_of(result.commit)) == [".gitignore", "a.txt", "d/b.txt", "own"]


def test_links_out_of_the_workspace_are_captured_as_links(project: Project, tmp_path: Path) -> None:
    """What a symbolic link points at never gets in."""
    write(tmp_path / "private", {"key": "secret\n"})
    workspace = project.workspace("one")
    (workspace.path / "link").symlink_to(tmp_path / "private")
    files = project.files_of(project.capture(workspace).commit)
    assert files["link"].startswith("120000")
    assert "link/key" not in files


def test_refs_and_stashes_of_streams_do_not_touch_results(project: Project) -> None:
    """A stream that deletes every ref it sees loses its own work at most, not the base."""
    one = project.workspace("one")
    write(one.path, {"a.txt": "1\n"})
    git(one.path, "stash")
    git(one.path, "stash", "pop", "-q")
    result = project.capture(one)
    assert project.content(result.commit, "a.txt") == "1\n"


def test_names_that_are_no_utf8_are_captured(project: Project) -> None:
    """Bytes in names go through base, workspace, capture and merge as they are."""
    workspace = project.workspace("one")
    name = os.fsdecode(b"caf\xe9 \xff")
    write(workspace.path, {name: "x\n", "über/ñ": "y\n"})
    result = project.capture(workspace)
    assert {name, "über/ñ"} <= project.files_of(result.commit).keys()
    again = project.workspace("two", result)
    assert (again.path / name).read_text() == "x\n"


def test_base_stands_by_a_ref(project: Project) -> None:
    """Garbage collection in between takes nothing away."""
    write(project.user, {"a.txt": "dirty\n"})
    base = capture_base(project.repo, RUN, True)
    git(project.user, "gc", "-q", "--prune=now")
    assert project.content(base.commit, "a.txt") == "dirty\n"
