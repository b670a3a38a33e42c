"""Reclaiming: a workspace goes only when every byte of it is kept elsewhere."""

from __future__ import annotations

import hashlib
import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from anabranch.core.ids import StreamId
from anabranch.core.plans.plan import WorkspaceKind
from anabranch.engine.workspaces import (
    Kept,
    Parked,
    Reclaimed,
    drop_ref,
    list_rescues,
    reclaim_workspace,
    rescue_ref,
    result_ref,
)
from tests.engine.repositories import RUN, Project, git, make_repository, open_project, write

FILES: dict[str, str | bytes | None] = {"a.txt": "a\n", "d/b.txt": "b\n", ".gitignore": "*.o\n"}
KINDS: tuple[WorkspaceKind, ...] = ("isolated", "clone")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A small repository, opened."""
    return open_project(make_repository(tmp_path / "user", FILES), tmp_path / "out")


def reachable(project: Project) -> set[str]:
    """Every object that a ref of the user's repository leads to."""
    listed = git(project.repo.git_dir, "rev-list", "--objects", "--all", "--single-worktree")
    return {line.split(" ")[0] for line in listed.splitlines()}


def blob_id(content: bytes) -> str:
    """The id git gives to a file's content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@pytest.mark.only_folders
def test_commits_of_a_workspace_that_is_gone_are_parked_first(project: Project) -> None:
    """A folder that was moved away takes no commit with it, also none that HEAD has left."""
    workspace = project.workspace("one")
    names = []
    for number in range(2):
        write(workspace.path, {f"x{number}": "x\n"})
        git(workspace.path, "add", "-A")
        git(workspace.path, "commit", "-qm", "x")
        names.append(git(workspace.path, "rev-parse", "HEAD").strip())
        git(workspace.path, "reset", "-q", "--hard", "HEAD~")
    write(workspace.path, {"staged": "only in the index\n"})
    git(workspace.path, "add", "staged")
    workspace.path.rename(workspace.path.with_name("away"))
    parked = reclaim_workspace(project.repo, RUN, workspace)
    assert isinstance(parked, Parked)
    git(project.user, "gc", "-q", "--prune=now")
    assert {*names, blob_id(b"only in the index\n")} <= reachable(project)
    assert reclaim_workspace(project.repo, RUN, workspace) == Reclaimed()


@pytest.mark.only_folders
def test_a_folder_put_in_a_workspaces_place_is_not_deleted(project: Project) -> None:
    """Whatever stands there now, it is not what was proved to be kept."""
    workspace = project.workspace("one")
    workspace.path.rename(workspace.path.with_name("away"))
    write(workspace.path, {"precious": "not the stream's\n"})
    kept = reclaim_workspace(project.repo, RUN, workspace)
    assert isinstance(kept, Kept)
    assert "replaced" in kept.reason
    assert (workspace.path / "precious").is_file()


@pytest.mark.parametrize("kind", KINDS)
def test_untouched_or_captured_workspace_just_goes(kind: WorkspaceKind, project: Project) -> None:
    """What is captured needs no rescue; nothing of the workspace is left behind."""
    for stream, files in (("idle", {}), ("busy", {"x": "1\n", "a.txt": "2\n"})):
        workspace = project.workspace(stream, kind=kind)
        write(workspace.path, dict(files))
        project.capture(workspace)
        assert reclaim_workspace(project.repo, RUN, workspace) == Reclaimed()
        assert not workspace.path.exists()
        assert reclaim_workspace(project.repo, RUN, workspace) == Reclaimed()
    assert list(workspace.path.parent.iterdir()) == []
    assert len(git(project.user, "worktree", "list").splitlines()) == 1
    assert list_rescues(project.repo) == ()


@pytest.mark.parametrize("kind", KINDS)
def test_ignored_files_are_parked(kind: WorkspaceKind, project: Project) -> None:
    """The rescue commit is the workspace as it was, ignored files and all."""
    workspace = project.workspace("one", kind=kind)
    write(workspace.path, {"x": "1\n", "deep/y.o": "object\n"})
    project.capture(workspace)
    parked = reclaim_workspace(project.repo, RUN, workspace)
    assert isinstance(parked, Parked)
    assert parked.ref == rescue_ref(RUN, StreamId("one"), 1)
    assert project.content(parked.commit, "deep/y.o") == "object\n"
    assert project.content(parked.commit, "x") == "1\n"
    (rescue,) = list_rescues(project.repo, RUN)
    assert (rescue.commit, rescue.stream, rescue.attempt) == (parked.commit, "one", 1)
    assert not workspace.path.exists()


def test_uncaptured_work_is_parked(project: Project) -> None:
    """A workspace that nobody captured is no less safe."""
    workspace = project.workspace("one.with dots/ü")
    write(workspace.path, {"a.txt": "edited\n"})
    parked = reclaim_workspace(project.repo, RUN, workspace)
    assert isinstance(parked, Parked)
    assert project.content(parked.commit, "a.txt") == "edited\n"
    assert list_rescues(project.repo)[0].stream == "one.with dots/ü"


def detached_commit(folder: Path) -> str:
    write(folder, {"lost": "lost commit\n"})
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "lost")
    git(folder, "reset", "-q", "--hard", "HEAD~1")
    return "lost commit\n"


def staged_then_changed(folder: Path) -> str:
    write(folder, {"a.txt": "only staged\n"})
    git(folder, "add", "a.txt")
    write(folder, {"a.txt": "a\n"})
    return "only staged\n"


def staged_in_a_split_index(folder: Path) -> str:
    git(folder, "update-index", "--split-index")
    git(folder, "config", "core.splitIndex", "true")
    return staged_then_changed(folder)


def stashed(folder: Path) -> str:
    write(folder, {"a.txt": "stashed\n"})
    git(folder, "stash")
    return "stashed\n"


def two_stashes(folder: Path) -> str:
    write(folder, {"a.txt": "deep stash\n"})
    git(folder, "stash")
    write(folder, {"a.txt": "upper stash\n"})
    git(folder, "stash")
    return "deep stash\n"


def on_a_branch(folder: Path) -> str:
    git(folder, "switch", "-qc", "feature")
    write(folder, {"lost": "on a branch\n"})
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "branch")
    git(folder, "switch", "-q", "--detach", "HEAD~1")
    return "on a branch\n"


def dropped_branch(folder: Path) -> str:
    body = on_a_branch(folder)
    git(folder, "branch", "-q", "-D", "feature")
    return body


def rebase_in_progress(folder: Path) -> str:
    write(folder, {"a.txt": "first side\n"})
    git(folder, "commit", "-qam", "one")
    one = git(folder, "rev-parse", "HEAD").strip()
    git(folder, "reset", "-q", "--hard", "HEAD~1")
    write(folder, {"a.txt": "second side\n"})
    git(folder, "commit", "-qam", "two")
    git(folder, "rebase", one, check=False)
    git(folder, "checkout", "-q", "-f", "HEAD")
    return "second side\n"


def annotated_tag(folder: Path) -> str:
    write(folder, {"lost": "tagged\n"})
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "tagged")
    git(folder, "tag", "-a", "-m", "note", "v1")
    git(folder, "reset", "-q", "--hard", "HEAD~1")
    return "tagged\n"


HISTORIES: tuple[Callable[[Path], str], ...] = (
    detached_commit,
    staged_then_changed,
    staged_in_a_split_index,
    stashed,
    two_stashes,
    on_a_branch,
    dropped_branch,
    rebase_in_progress,
    annotated_tag,
)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("history", HISTORIES, ids=lambda history: history.__name__)
def test_work_that_is_only_in_gits_memory_is_kept(
    history: Callable[[Path], str], kind: WorkspaceKind, project: Project
) -> None:
    """Reset commits, stashes, staged content, branches of a clone: refs lead to all of it."""
    workspace = project.workspace("one", kind=kind)
    body = history(workspace.path)
    outcome = reclaim_workspace(project.repo, RUN, workspace)
    assert isinstance(outcome, Parked | Reclaimed), outcome
    assert not workspace.path.exists()
    git(project.user, "gc", "-q", "--prune=now")
    git(project.user, "fsck", "--strict")
    assert blob_id(body.encode()) in reachable(project)


def nested_repository(folder: Path) -> None:
    write(folder, {"sub/x": "x\n"})
    git(folder / "sub", "init", "-q")


def nested_in_ignored(folder: Path) -> None:
    write(folder, {"build.o/sub/x": "x\n"})
    git(folder / "build.o" / "sub", "init", "-q")


def bare_inside(folder: Path) -> None:
    git(folder, "init", "-q", "--bare", "inner")


def git_replaced(folder: Path) -> None:
    (folder / ".git").rename(folder / "git-was-here")
    git(folder, "init", "-q")
    git(folder, "commit", "-q", "--allow-empty", "-m", "own history")


def odd_git_name(folder: Path) -> None:
    write(folder, {".GIT/config": "x\n"})


@pytest.mark.parametrize(
    "obstacle", [nested_repository, nested_in_ignored, bare_inside, git_replaced, odd_git_name]
)
def test_what_cannot_be_proved_keeps_the_workspace(
    obstacle: Callable[[Path], None], project: Project
) -> None:
    """A repository inside, or a .git that is not ours: the reason is said and nothing goes."""
    workspace = project.workspace("one")
    obstacle(workspace.path)
    before = sorted(workspace.path.rglob("*"))
    outcome = reclaim_workspace(project.repo, RUN, workspace)
    assert isinstance(outcome, Kept)
    assert outcome.reason
    assert sorted(workspace.path.rglob("*")) == before


def test_shared_workspace_is_never_deleted(project: Project) -> None:
    """The user's own folder is not ours."""
    workspace = project.workspace("one", kind="shared")
    assert isinstance(reclaim_workspace(project.repo, RUN, workspace), Kept)
    assert (project.user / "a.txt").exists()


def test_work_that_looks_as_if_nobody_had_touched_it_is_parked(project: Project) -> None:
    """As long as before, and with the time of before: only the kernel's own time tells it."""
    workspace = project.workspace("one")
    path = next(p for p in sorted(workspace.path.rglob("*.txt")) if p.stat().st_size > 1)
    found = path.stat()
    path.write_bytes(b"x" * found.st_size)
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
    outcome = reclaim_workspace(project.repo, RUN, workspace)
    assert isinstance(outcome, Parked)
    name = path.relative_to(workspace.path).as_posix()
    assert project.content(outcome.commit, name) == "x" * found.st_size


def test_result_whose_ref_is_gone_is_no_proof(project: Project) -> None:
    """Proof is what refs keep now, not what was captured once."""
    workspace = project.workspace("one")
    write(workspace.path, {"x": "precious\n"})
    project.capture(workspace)
    drop_ref(project.repo, result_ref(RUN, StreamId("one")))
    parked = reclaim_workspace(project.repo, RUN, workspace)
    assert isinstance(parked, Parked)
    assert project.content(parked.commit, "x") == "precious\n"


def test_bytes_that_a_filter_drops_are_parked(tmp_path: Path) -> None:
    """A file whose captured form is not its bytes is kept byte for byte."""
    user = make_repository(tmp_path / "user", {".gitattributes": "*.nb filter=strip\n"})
    git(user, "config", "filter.strip.clean", "grep -v output")
    project = open_project(user, tmp_path / "out")
    workspace = project.workspace("one")
    write(workspace.path, {"x.nb": "input\noutput 42\n"})
    project.capture(workspace)
    parked = reclaim_workspace(project.repo, RUN, workspace)
    assert isinstance(parked, Parked)
    assert project.content(parked.commit, "x.nb") == "input\noutput 42\n"


def test_converted_line_ends_alone_need_no_rescue(tmp_path: Path) -> None:
    """What an ordinary checkout writes again, byte for byte, is not parked."""
    user = make_repository(tmp_path / "user", {"a.txt": "a\n"})
    git(user, "config", "core.autocrlf", "true")
    project = open_project(user, tmp_path / "out")
    workspace = project.workspace("one")
    assert (workspace.path / "a.txt").read_bytes() == b"a\r\n"
    write(workspace.path, {"b.txt": "b\r\n"})
    project.capture(workspace)
    assert reclaim_workspace(project.repo, RUN, workspace) == Reclaimed()


def test_read_only_folders_and_special_files_go_too(project: Project) -> None:
    """Package caches make folders read-only; a fifo holds no bytes."""
    workspace = project.workspace("one")
    write(workspace.path, {"cache/m/x": "x\n"})
    os.mkfifo(workspace.path / "pipe")
    (workspace.path / "cache" / "m" / "x").chmod(0o400)
    (workspace.path / "cache" / "m").chmod(0o500)
    project.capture(workspace)
    assert reclaim_workspace(project.repo, RUN, workspace) == Reclaimed()
    assert not workspace.path.exists()


def test_links_are_not_followed(project: Project) -> None:
    """Deleting a workspace never deletes what a link in it points at."""
    outside = project.outside / "precious"
    write(outside, {"x": "x\n"})
    workspace = project.workspace("one")
    (workspace.path / "link").symlink_to(outside)
    project.capture(workspace)
    assert reclaim_workspace(project.repo, RUN, workspace) == Reclaimed()
    assert (outside / "x").read_text() == "x\n"


def play(chance: random.Random, folder: Path) -> None:
    """Does something random to a workspace, as a stream might."""
    name = chance.choice(("a.txt", "d/b.txt", "new", "e/f", "x.o", "build/y.o", "ü"))
    action = chance.randrange(9)
    if action <= 3:
        write(folder, {name: f"{chance.random()}\n"})
    elif action == 4:
        git(folder, "add", "-A")
        git(folder, "commit", "-q", "-m", "c", check=False)
    elif action == 5:
        git(folder, "stash", "-u", check=False)
    elif action == 6:
        git(folder, "add", "-A", check=False)
    elif action == 7:
        git(folder, "reset", "-q", "--hard", chance.choice(("HEAD", "HEAD~1")), check=False)
    else:
        git(folder, "switch", "-q", "-c", f"b{chance.random()}", check=False)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(6))
def test_every_byte_is_reachable_after_reclaiming(
    seed: int, kind: WorkspaceKind, project: Project
) -> None:
    """Whatever a stream did, each file and each commit it had is led to by a ref afterwards."""
    chance = random.Random(seed)
    workspace = project.workspace("one", kind=kind)
    wanted: set[str] = set()
    for _ in range(12):
        play(chance, workspace.path)
        wanted.add(git(workspace.path, "rev-parse", "HEAD").strip())
    listed = git(workspace.path, "reflog", "--format=%H", "stash", check=False)
    wanted |= set(listed.split())
    if chance.random() < 0.5:
        project.capture(workspace)
    for path in workspace.path.rglob("*"):
        inside = path.relative_to(workspace.path).parts
        if path.is_file() and ".git" not in inside:
            wanted.add(blob_id(path.read_bytes()))
    wanted |= {line.split()[1] for line in git(workspace.path, "ls-files", "-s").splitlines()}
    outcome = reclaim_workspace(project.repo, RUN, workspace)
    assert isinstance(outcome, Parked | Reclaimed), outcome
    assert not workspace.path.exists()
    assert wanted <= reachable(project)
