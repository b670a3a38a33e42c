"""What git shares between worktrees, a stream has for itself; what it makes there is kept."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from anabranch.core.ids import StreamId
from anabranch.core.plans.plan import WorkspaceKind
from anabranch.engine.workspaces import (
    Parked,
    PreparedWorkspace,
    Reclaimed,
    keep_own_refs,
    reclaim_workspace,
)
from anabranch.engine.workspaces.names import made_prefix, tips_ref
from anabranch.engine.workspaces.records import read_record, write_record
from anabranch.engine.workspaces.repository import run_folder
from tests.engine.repositories import RUN, Project, git, make_repository, open_project, write
from tests.engine.test_workspaces import SHAPES as SHAPES_OF_PROJECTS
from tests.engine.test_workspaces import with_submodule

FILES: dict[str, str | bytes | None] = {"a.txt": "a\n", "d/b.txt": "b\n", ".gitignore": "*.o\n"}
KINDS: tuple[WorkspaceKind, ...] = ("isolated", "clone")


def fill(user: Path) -> None:
    """Give a repository one of everything that git shares between worktrees."""
    git(user, "branch", "side")
    git(user, "tag", "v1")
    git(user, "tag", "-a", "-m", "annotated", "v2")
    git(user, "notes", "add", "-m", "a note")
    git(user, "update-ref", "refs/remotes/origin/main", "HEAD")
    git(user, "symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/main")
    git(user, "config", "remote.origin.url", "https://example.org/x.git")
    write(user, {"a.txt": "stashed by the user\n"})
    git(user, "stash")


def shared(user: Path) -> tuple[str, ...]:
    """Everything of a repository that another worktree of it could change."""
    refs = [
        line
        for line in git(user, "for-each-ref", "--format=%(objectname) %(refname)").splitlines()
        if " refs/anabranch/" not in line
    ]
    return (
        *refs,
        git(user, "stash", "list", "--format=%H %gs"),
        git(user, "config", "--list", "--local"),
        *sorted(path.name for path in (user / ".git").iterdir()),
        *sorted(path.name for path in (user / ".git" / "hooks").iterdir()),
        *sorted(path.name for path in (user / ".git" / "info").iterdir()),
    )


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A small repository that has everything git shares, opened."""
    user = make_repository(tmp_path / "user", FILES)
    fill(user)
    return open_project(user, tmp_path / "out")


def takes_the_stash(folder: Path) -> None:
    git(folder, "stash", "pop", check=False)
    git(folder, "stash", "clear")


def swaps_by_stash(folder: Path) -> None:
    write(folder, {"a.txt": "its own\n"})
    git(folder, "stash")
    git(folder, "stash", "pop", "-q")
    assert (folder / "a.txt").read_text() == "its own\n"


def moves_branches(folder: Path) -> None:
    git(folder, "checkout", "-q", "main")
    write(folder, {"a.txt": "on main\n"})
    git(folder, "commit", "-qam", "on main")
    git(folder, "branch", "-f", "side", "main")


def deletes_every_ref(folder: Path) -> None:
    listed = git(folder, "for-each-ref", "--format=delete %(refname)")
    git(folder, "update-ref", "--stdin", "--no-deref", stdin=listed)


def sets_and_hooks(folder: Path) -> None:
    git(folder, "config", "user.name", "evil")
    git(folder, "config", "filter.e.clean", "evil")
    hooks = Path(git(folder, "rev-parse", "--git-path", "hooks").strip())
    write(folder / hooks, {"post-checkout": "#!/bin/sh\n"})
    info = Path(git(folder, "rev-parse", "--git-path", "info/attributes").strip())
    write((folder / info).parent, {"attributes": "* filter=e\n"})


def bisects(folder: Path) -> None:
    git(folder, "bisect", "start", "HEAD", "HEAD~0", check=False)
    git(folder, "config", "rerere.enabled", "true")


def tags_and_notes(folder: Path) -> None:
    git(folder, "tag", "-f", "v1", "HEAD^{tree}")
    git(folder, "tag", "-d", "v2")
    git(folder, "notes", "remove")


def collects_garbage(folder: Path) -> None:
    git(folder, "reflog", "expire", "--expire=now", "--all")
    git(folder, "gc", "-q", "--prune=now")


BEHAVIOURS: tuple[Callable[[Path], None], ...] = (
    takes_the_stash,
    swaps_by_stash,
    moves_branches,
    deletes_every_ref,
    sets_and_hooks,
    bisects,
    tags_and_notes,
    collects_garbage,
)


@pytest.mark.parametrize("behaviour", BEHAVIOURS, ids=lambda behaviour: behaviour.__name__)
def test_what_git_shares_is_out_of_a_streams_reach(
    behaviour: Callable[[Path], None], project: Project
) -> None:
    """Stash, branches, tags, notes, hooks, settings: the user's and the other stream's stand."""
    before = shared(project.user)
    one, two = project.workspace("one"), project.workspace("two")
    write(two.path, {"a.txt": "of two\n"})
    git(two.path, "stash")
    stash = git(two.path, "stash", "list", "--format=%H")
    behaviour(one.path)
    project.capture(one)
    keep_own_refs(project.repo, one)
    assert git(two.path, "stash", "list", "--format=%H") == stash
    assert shared(project.user) == before
    assert isinstance(reclaim_workspace(project.repo, RUN, one), Parked | Reclaimed)
    assert shared(project.user) == before
    git(project.user, "fsck", "--strict")


def test_what_a_killed_engine_was_making_is_removed(project: Project) -> None:
    """The next one makes it anew."""
    unfinished = run_folder(project.repo, RUN) / ".mould-of-somebody"
    (unfinished / "refs").mkdir(parents=True)
    project.workspace("a", kind="clone")
    assert not unfinished.exists()


def test_a_stream_finds_the_refs_of_the_base(project: Project) -> None:
    """Branches, tags, notes and remotes as they were; no stash, and none of the engine's."""
    listed = git(project.user, "for-each-ref", "--format=%(objectname) %(refname) %(symref)")
    wanted = [
        line
        for line in listed.splitlines()
        if not line.split(" ")[1].startswith(("refs/stash", "refs/anabranch"))
    ]
    git(project.user, "branch", "late")
    one = project.workspace("one")
    found = git(one.path, "for-each-ref", "--format=%(objectname) %(refname) %(symref)")
    assert found.splitlines() == wanted
    assert git(one.path, "stash", "list") == ""
    assert git(one.path, "remote", "get-url", "origin") == "https://example.org/x.git\n"
    assert git(one.path, "log", "-1", "--format=%N").strip() == "a note"


def test_branches_that_the_user_deletes_stay_readable(project: Project) -> None:
    """Garbage collection in the project takes nothing that a workspace's refs lead to."""
    git(project.user, "switch", "-qc", "gone")
    write(project.user, {"gone.txt": "gone\n"})
    git(project.user, "add", "gone.txt")
    git(project.user, "commit", "-qm", "gone")
    git(project.user, "switch", "-q", "main")
    again = open_project(project.user, project.outside / "again")
    one = again.workspace("one")
    git(project.user, "branch", "-q", "-D", "gone")
    git(project.user, "reflog", "expire", "--expire=now", "--all")
    git(project.user, "gc", "-q", "--prune=now")
    assert git(one.path, "show", "gone:gone.txt") == "gone\n"
    git(one.path, "fsck", "--strict")
    assert reclaim_workspace(again.repo, RUN, one) == Reclaimed()
    kept = git(project.user, "for-each-ref", "--format=%(refname)")
    assert tips_ref(RUN) not in kept.splitlines()


def test_the_only_commit_that_refs_lead_to_is_kept_as_it_is(tmp_path: Path) -> None:
    """No commit has to be made that holds several together."""
    user = make_repository(tmp_path / "user", {"a.txt": "a\n"})
    project = open_project(user, tmp_path / "outside")
    project.workspace("one")
    assert git(user, "rev-parse", tips_ref(RUN)) == git(user, "rev-parse", "HEAD")


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_stream_makes_is_kept_and_told(kind: WorkspaceKind, project: Project) -> None:
    """Each new or moved branch, tag, note and stash, also when its own repository has gone."""
    one = project.workspace("one", kind=kind)
    git(one.path, "switch", "-qc", "feature/x")
    write(one.path, {"own": "on the branch\n"})
    git(one.path, "add", "-A")
    git(one.path, "commit", "-qm", "own")
    git(one.path, "tag", "-a", "-m", "annotated", "v9")
    git(one.path, "switch", "-q", "--detach", project.base.commit)
    for text in ("first", "second"):
        write(one.path, {"a.txt": f"{text}\n"})
        git(one.path, "stash")
    result = project.capture(one)
    assert result.commit == project.base.commit
    (found,) = keep_own_refs(project.repo, one)
    for words in ("branch feature/x", "tag v9", "2 stashes"):
        assert words in found
    reclaim_workspace(project.repo, RUN, one)
    git(project.user, "gc", "-q", "--prune=now")
    prefix = made_prefix(RUN, StreamId("one"), 1)
    assert git(project.user, "show", f"{prefix}heads/feature/x:own") == "on the branch\n"
    assert git(project.user, "show", f"{prefix}stash/0:a.txt") == "second\n"
    assert git(project.user, "show", f"{prefix}stash/1:a.txt") == "first\n"
    assert git(project.user, "cat-file", "-t", f"{prefix}tags/v9") == "tag\n"
    assert "feature" not in git(project.user, "branch", "--list")


def test_a_stream_that_makes_nothing_is_not_talked_about(project: Project) -> None:
    """Commits on its HEAD are its result; nothing else is to be said."""
    one = project.workspace("one")
    git(one.path, "commit", "-q", "--allow-empty", "-m", "empty")
    project.capture(one)
    assert keep_own_refs(project.repo, one) == ()


def test_kept_refs_follow_what_the_stream_does_next(project: Project) -> None:
    """A branch that makes way for a folder of branches does not stand in the way of the next."""
    one = project.workspace("one")
    git(one.path, "branch", "x")
    assert "branch x;" in keep_own_refs(project.repo, one)[0]
    git(one.path, "branch", "-D", "x")
    git(one.path, "branch", "x/y")
    assert "branch x/y;" in keep_own_refs(project.repo, one)[0]
    listed = git(project.user, "for-each-ref", "--format=%(refname)", "refs/anabranch/made")
    assert listed.splitlines() == [f"{made_prefix(RUN, StreamId('one'), 1)}heads/x/y"]


def shallow(user: Path) -> Path:
    """A clone of the latest commit only."""
    origin = make_repository(user.with_name("origin"), FILES)
    write(origin, {"a.txt": "second\n"})
    git(origin, "commit", "-qam", "second")
    git(user.parent, "clone", "-q", "--depth=1", f"file://{origin}", str(user))
    return user


def borrowing(user: Path) -> Path:
    """A clone that borrows its objects, by a relative path, from one that borrows them too."""
    origin = make_repository(user.with_name("origin"), FILES)
    git(user.parent, "clone", "-q", "--shared", str(origin), "between")
    git(user.parent, "clone", "-q", "--shared", "between", str(user))
    alternates = user / ".git" / "objects" / "info" / "alternates"
    alternates.write_text("../../../between/.git/objects\n")
    return user


def inside_a_submodule(user: Path) -> Path:
    """A checkout whose git directory lies in another repository's."""
    outer = with_submodule(user)
    git(outer / "sub", "switch", "-qC", "main")
    return outer / "sub"


def packed(user: Path) -> Path:
    """A repository whose objects and refs are packed."""
    make_repository(user, FILES)
    git(user, "gc", "-q")
    return user


def with_broken_refs(user: Path) -> Path:
    """A repository with a branch that leads nowhere, an empty one, and tags of every kind."""
    make_repository(user, FILES)
    git(user, "tag", "-a", "-m", "of a tree", "tree", "HEAD^{tree}")
    git(user, "tag", "-a", "-m", "once", "once")
    git(user, "tag", "-a", "-m", "of a tag", "twice", "once")
    (user / ".git" / "refs" / "heads" / "broken").write_text("1" * 40 + "\n")
    (user / ".git" / "refs" / "heads" / "empty").write_text("")
    return user


SHAPES = (*(*SHAPES_OF_PROJECTS, shallow, borrowing, inside_a_submodule, packed, with_broken_refs),)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
def test_commits_of_a_stream_reach_every_shape_of_project(
    shape: Callable[[Path], Path], kind: WorkspaceKind, tmp_path: Path
) -> None:
    """Captured, repacked in between, committed on, given back: all of it is in the project."""
    project = open_project(shape(tmp_path / "user"), tmp_path / "out")
    one = project.workspace("one", kind=kind)
    for number in range(3):
        write(one.path, {f"own{number}": f"{number}\n"})
        git(one.path, "add", "-A")
        git(one.path, "commit", "-qm", str(number))
        if number == 1:
            git(one.path, "gc", "-q", "--prune=now")
            project.capture(one)
    result = project.capture(one)
    assert git(one.path, "status", "--porcelain") == ""
    assert result.commit == git(one.path, "rev-parse", "HEAD").strip()
    git(one.path, "commit", "-q", "--amend", "-m", "amended")
    lost = git(one.path, "rev-parse", "HEAD").strip()
    assert isinstance(reclaim_workspace(project.repo, RUN, one), Parked)
    assert {f"own{n}" for n in range(3)} <= project.files_of(result.commit).keys()
    assert git(project.user, "for-each-ref", "--contains", lost, "refs/anabranch")
    git(project.user, "fsck", "--strict", check=shape is not with_broken_refs)


PLANTED = (
    *("index", "packed-refs", "config", "refs/heads/x", "logs/refs/stash", "shallow"),
    *("objects/info/alternates", "objects/pack/pack-0a.idx", "objects/aa/" + "0" * 38),
)


@pytest.mark.parametrize("plant", ["fifo", "/dev/ptmx", "/dev/zero", "folder"])
@pytest.mark.parametrize("names", [("index",), ("HEAD",), PLANTED])
def test_nothing_planted_in_its_git_directory_holds_a_capture_up(
    names: tuple[str, ...], plant: str, project: Project
) -> None:
    """A pipe or a device in place of any file is passed over within moments."""
    one = project.workspace("one")
    write(one.path, {"own": "1\n"})
    assert one.git_dir is not None
    for name in names:
        place = one.git_dir / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.unlink(missing_ok=True)
        if plant == "fifo":
            os.mkfifo(place)
        elif plant == "folder":
            place.mkdir()
        else:
            place.symlink_to(plant)
    began = time.monotonic()
    result = project.capture(one)
    keep_own_refs(project.repo, one)
    assert time.monotonic() - began < 20  # git's own deadline is two minutes
    assert "own" in project.files_of(result.commit)
    assert any("index" in warning for warning in result.warnings) is ("index" in names)


def test_a_forged_object_store_lends_nothing(project: Project, tmp_path: Path) -> None:
    """Objects that are not what their names say do not become part of a result."""
    one = project.workspace("one")
    write(one.path, {"own": "honest\n"})
    git(one.path, "add", "-A")
    git(one.path, "commit", "-qm", "own")
    assert one.git_dir is not None
    blob = git(one.path, "rev-parse", "HEAD:own").strip()
    loose = one.git_dir / "objects" / blob[:2] / blob[2:]
    other = make_repository(tmp_path / "other", {"own": "forged\n"})
    forged = git(other, "rev-parse", "HEAD:own").strip()
    loose.chmod(0o600)
    loose.write_bytes((other / ".git" / "objects" / forged[:2] / forged[2:]).read_bytes())
    result = project.capture(one)
    assert project.content(result.commit, "own") == "honest\n"
    assert any("cannot be read" in warning for warning in result.warnings)
    git(project.user, "fsck", "--strict")


def identity(folder: Path, home: Path) -> str:
    """Who git says would commit in a folder."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")} | {"HOME": str(home)}
    asked = ["git", "var", "GIT_AUTHOR_IDENT"]
    said = subprocess.run(asked, cwd=folder, env=env, check=True, capture_output=True)
    return said.stdout.decode().rpartition(" ")[0].rpartition(" ")[0]


CONDITIONS = (
    "gitdir:{user}/",
    "gitdir/i:{USER}/",
    "onbranch:main",
    "hasconfig:remote.*.url:https://example.org/**",
)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("condition", CONDITIONS)
def test_an_author_is_who_they_would_be_in_the_checkout(
    condition: str, kind: WorkspaceKind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Conditional includes of the user's settings hold in workspaces, wherever those lie."""
    home, user = tmp_path / "home", make_repository(tmp_path / "user", FILES)
    git(user, "config", "remote.origin.url", "https://example.org/x.git")
    said = condition.format(user=user, USER=str(user).upper())
    write(
        home,
        {
            ".gitconfig": f'[user]\n name = Home\n email = h@h\n[includeIf "{said}"]\n path = w\n',
            "w": "[user]\n name = Work\n email = w@w\n",
        },
    )
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("GIT_CONFIG_GLOBAL", raising=False)
    wanted = identity(user, home)
    project = open_project(user, tmp_path / "out")
    assert identity(project.workspace("one", kind=kind).path, home) == wanted
    assert "Work <w@w>" in wanted


def as_of_an_earlier_version(project: Project, stream: str) -> PreparedWorkspace:
    """A workspace as runs had it before streams got repositories of their own."""
    made = project.workspace(stream)
    link = project.outside / "moved" / stream
    link.parent.mkdir(exist_ok=True)
    git(project.user, "worktree", "add", "-q", "--detach", "--lock", str(link), made.start_commit)
    git_dir = Path(git(link, "rev-parse", "--absolute-git-dir").strip())
    old = msgspec.structs.replace(made, path=link, git_dir=git_dir, identity=None)
    write_record(project.repo, old)
    found = read_record(project.repo, RUN, StreamId(stream), 1)
    assert found is not None
    return found


@pytest.mark.parametrize("on_a_branch", [True, False])
def test_worktrees_of_earlier_runs_are_captured_and_reclaimed(
    on_a_branch: bool, project: Project
) -> None:
    """A run that began before an upgrade goes on after it, and leaves nothing behind."""
    one = as_of_an_earlier_version(project, "one")
    if on_a_branch:
        git(one.path, "switch", "-qc", "topic")
    write(one.path, {"own": "1\n"})
    git(one.path, "add", "-A")
    git(one.path, "commit", "-qm", "own")
    write(one.path, {"late": "2\n"})
    assert project.prepare("one") == one
    result = project.capture(one)
    assert keep_own_refs(project.repo, one) == ()
    assert {"own", "late"} <= project.files_of(result.commit).keys()
    assert git(project.user, "log", "-1", "--format=%s", f"{result.commit}^").strip() == "own"
    assert reclaim_workspace(project.repo, RUN, one) == Reclaimed()
    assert len(git(project.user, "worktree", "list").splitlines()) == 1
