"""What git ignores but work needs: which files are taken along, how, and that they go nowhere."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from anabranch.core.ids import RunId, StreamId
from anabranch.engine.git import GitError
from anabranch.engine.workspaces import (
    Captured,
    Kept,
    Parked,
    PreparedWorkspace,
    Reclaimed,
    capture_base,
    capture_directly,
    count_changes,
    include_ignored,
    keep_own_refs,
    list_included,
    open_repository,
    partial_ref,
    reclaim_workspace,
    result_ref,
    take_over_workspace,
)
from anabranch.engine.workspaces.including import frozen_files, listing
from anabranch.engine.workspaces.reflink import why_not_reflink
from tests.engine import repositories
from tests.engine.repositories import RUN, Project, git, make_repository, write

SECRET = "TOKEN=abcdefgh12345678\n"
IGNORED = ".env\nnode_modules/\nconfig/local.yml\n*.o\n"
TRACKED: Mapping[str, str | bytes | None] = {
    ".gitignore": IGNORED,
    "a.txt": "a\n",
    "config/main.yml": "main\n",
}
NOT_TRACKED: Mapping[str, str | bytes | None] = {
    ".env": SECRET,
    "config/local.yml": "local\n",
    "node_modules/x/index.js": "x\n",
    "node_modules/x/run": "#!/bin/sh\n",
    "build.o": "ignored, and not listed\n",
    "new.txt": "listed, and not ignored\n",
}
LISTED = ("/.env", "new.txt", "config/", "a.txt")


def begun(
    user: Path, outside: Path, patterns: tuple[str, ...] = LISTED, lists: str = "node_modules/\n"
) -> Project:
    """A project with what is listed in it, its base, and a run that takes that along."""
    write(user, {".worktreeinclude": lists} if lists else {})
    repo = open_repository(user, outside / "store", outside / "store" / "git.lock")
    project = Project(user, outside, repo, capture_base(repo, RUN, False))
    include_ignored(repo, RUN, patterns, by_layers=repositories.METHOD == "overlay")
    return project


@pytest.fixture
def project(tmp_path: Path, workspace_method: str) -> Project:
    """A project with ignored files, some of which are listed."""
    user = make_repository(tmp_path / "user", TRACKED)
    write(user, NOT_TRACKED)
    (user / "node_modules/x/run").chmod(0o755)
    (user / "node_modules/.bin").mkdir()
    (user / "node_modules/.bin/run").symlink_to("../x/run")
    os.utime(user / ".env", ns=(10**18, 10**18 + 5))
    os.utime(user / "node_modules/x", ns=(10**18, 10**18 + 7))
    return begun(user, tmp_path / "out")


INCLUDED = {
    ".env",
    "config/local.yml",
    "node_modules/.bin/run",
    "node_modules/x/index.js",
    "node_modules/x/run",
}


def paths_below(folder: Path) -> set[str]:
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if not is_folder(path)}
    return {path for path in found if not path.startswith(".git/") and path != ".git"}


def is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def test_a_workspace_has_what_is_listed_and_ignored_as_it_is(project: Project) -> None:
    workspace = project.workspace("one")
    assert paths_below(workspace.path) == {*TRACKED, *INCLUDED}
    assert (workspace.path / ".env").read_text() == SECRET
    assert (workspace.path / "node_modules/.bin/run").readlink() == Path("../x/run")
    for path in (".env", "node_modules/x/run", "node_modules/x"):
        mine, theirs = (workspace.path / path).stat(), (project.user / path).stat()
        assert (mine.st_mtime_ns, mine.st_mode) == (theirs.st_mtime_ns, theirs.st_mode), path
    assert git(workspace.path, "status", "--porcelain") == ""


def test_files_of_the_checkout_have_the_times_of_the_users_own(project: Project) -> None:
    """What was built from them is taken along, and would be made anew otherwise."""
    names = sorted(TRACKED)
    for name in names:
        os.utime(project.user / name, (1e9, 1e9))
    git(project.user, "update-index", "--refresh")
    workspace = project.workspace("one")
    assert {(workspace.path / name).stat().st_mtime for name in names} == {1e9}
    assert git(workspace.path, "status", "--porcelain") == ""


def test_what_a_stream_makes_of_them_stays_in_its_workspace(project: Project) -> None:
    one, two = project.workspace("one"), project.workspace("two")
    (one.path / ".env").write_text("mine\n")
    (one.path / "node_modules/x/index.js").unlink()
    assert (two.path / ".env").read_text() == SECRET == (project.user / ".env").read_text()
    assert (two.path / "node_modules/x/index.js").exists()
    assert project.capture(one).files_changed == 0
    assert count_changes(project.repo, RUN, StreamId("one"), 1) == 0


def test_a_run_has_them_as_they_were_when_it_began(project: Project) -> None:
    write(project.user, {".env": "later\n"})
    assert (project.workspace("one").path / ".env").read_text() == SECRET
    included, _ = include_ignored(project.repo, RUN, (), by_layers=True)
    assert set(included.paths) == INCLUDED


def test_the_same_files_are_copied_once_for_all_runs(project: Project) -> None:
    folder = project.repo.store / "included"
    before = sorted(folder.iterdir())
    include_ignored(project.repo, RunId("20260101-000000-abd"), LISTED, by_layers=True)
    assert sorted(folder.iterdir()) == before
    write(project.user, {".env": "other\n"})
    include_ignored(project.repo, RunId("20260101-000000-abe"), LISTED, by_layers=True)
    assert len(list(folder.iterdir())) == len(before) + 1


def add_by_force(workspace: PreparedWorkspace) -> None:
    git(workspace.path, "add", "-f", ".env", "node_modules")


def commit_by_force(workspace: PreparedWorkspace) -> None:
    add_by_force(workspace)
    git(workspace.path, "commit", "-q", "-m", "everything")


def commit_and_take_out(workspace: PreparedWorkspace) -> None:
    commit_by_force(workspace)
    git(workspace.path, "rm", "-q", "--cached", "-r", ".env", "node_modules")
    git(workspace.path, "commit", "-q", "-m", "not that")


def ignore_nothing(workspace: PreparedWorkspace) -> None:
    (workspace.path / ".gitignore").write_text("")


def rename_onto(workspace: PreparedWorkspace) -> None:
    git(workspace.path, "mv", "-f", "a.txt", ".env")
    git(workspace.path, "commit", "-q", "-m", "renamed")


def stash_all(workspace: PreparedWorkspace) -> None:
    (workspace.path / "a.txt").write_text("stashed\n")
    add_by_force(workspace)
    git(workspace.path, "stash", "-q")
    (workspace.path / "b.txt").write_text("work\n")


def on_a_branch(workspace: PreparedWorkspace) -> None:
    git(workspace.path, "checkout", "-q", "-b", "own")
    commit_by_force(workspace)
    git(workspace.path, "checkout", "-q", "--detach", "HEAD~1")


WAYS = (
    add_by_force,
    commit_by_force,
    commit_and_take_out,
    ignore_nothing,
    rename_onto,
    stash_all,
    on_a_branch,
)


def objects_of(project: Project) -> str:
    """Every object of the user's repository, with its content where that is text."""
    listed = git(project.user, "cat-file", "--batch-all-objects", "--batch-check=%(objectname)")
    return git(project.user, "cat-file", "--batch", stdin=listed)


def paths_in_refs(project: Project) -> set[str]:
    """Every path in any commit that any ref of the user's repository leads to."""
    out = git(project.user, "log", "--all", "--format=", "--name-only", "-m", "-z", "--root")
    return {path.strip("\n") for path in out.split("\0")}


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_nothing_of_them_comes_to_the_users_repository(project: Project, way: object) -> None:
    assert callable(way)
    workspace = project.workspace("one")
    write(workspace.path, {"work.txt": "work\n", ".env": "TOKEN=changed-by-it-9999\n"})
    way(workspace)
    ref = partial_ref(RUN, workspace.stream, 1)
    assert capture_directly(project.repo, workspace, "direct", ref) is None or way is add_by_force
    result = project.capture(workspace)
    keep_own_refs(project.repo, workspace)
    assert not INCLUDED & set(project.files_of(result.commit))
    assert way is stash_all or project.content(result.commit, "work.txt") == "work\n"
    said = " ".join(result.warnings)
    assert way in (stash_all, on_a_branch) or "only copied into its workspace" in said
    outcome = reclaim_workspace(project.repo, RUN, workspace)
    assert isinstance(outcome, Kept | Parked | Reclaimed)
    assert not INCLUDED & paths_in_refs(project)
    content = objects_of(project)
    assert "abcdefgh12345678" not in content
    assert "changed-by-it-9999" not in content


def test_history_without_them_is_kept_as_ever(project: Project) -> None:
    workspace = project.workspace("one")
    write(workspace.path, {"work.txt": "work\n"})
    git(workspace.path, "add", "work.txt")
    git(workspace.path, "commit", "-q", "-m", "a step of its own")
    result = project.capture(workspace)
    assert git(project.user, "log", "-1", "--format=%s", result.commit) == "a step of its own\n"
    assert result.warnings == ()


def test_a_direct_capture_passes_them_over(project: Project) -> None:
    workspace = project.workspace("one")
    write(workspace.path, {"work.txt": "work\n", "more.o": "built\n"})
    kept = capture_directly(project.repo, workspace, "direct", partial_ref(RUN, StreamId("one"), 1))
    assert isinstance(kept, Captured)
    assert set(project.files_of(kept.commit)) == {*TRACKED, "work.txt"}
    assert kept.ignored == ("more.o",)


def test_what_is_unchanged_goes_with_its_workspace(project: Project) -> None:
    workspace = project.workspace("one")
    write(workspace.path, {"work.txt": "work\n"})
    project.capture(workspace)
    assert reclaim_workspace(project.repo, RUN, workspace) == Reclaimed()
    assert not workspace.path.exists()


def test_what_was_changed_is_kept_outside_git(project: Project) -> None:
    workspace = project.workspace("one")
    write(workspace.path, {".env": "TOKEN=another\n", "node_modules/x/index.js": "patched\n"})
    write(workspace.path, {"node_modules/x/made.js": "made here\n"})
    project.capture(workspace)
    outcome = reclaim_workspace(project.repo, RUN, workspace)
    assert isinstance(outcome, Parked)
    assert outcome.aside is not None
    assert paths_below(outcome.aside) == {".env", "node_modules/x/index.js"}
    assert (outcome.aside / ".env").read_text() == "TOKEN=another\n"
    assert set(project.files_of(outcome.commit)) == {*TRACKED, "node_modules/x/made.js"}


def test_nothing_is_taken_along_where_nothing_is_listed(tmp_path: Path) -> None:
    user = make_repository(tmp_path / "user", TRACKED)
    write(user, NOT_TRACKED)
    project = begun(user, tmp_path / "out", (), "")
    assert paths_below(project.workspace("one").path) == set(TRACKED)


def test_a_plain_folder_can_take_along_too(tmp_path: Path) -> None:
    user = tmp_path / "user"
    write(user, {**TRACKED, **NOT_TRACKED})
    project = begun(user, tmp_path / "out")
    assert {".env", "node_modules/x/run"} < paths_below(project.workspace("one").path)
    assert not INCLUDED & set(project.files_of(project.base.commit))


def test_a_link_in_the_workspace_is_never_followed(project: Project) -> None:
    """Where the start has something else than the user's checkout, that stays."""
    elsewhere = project.outside / "elsewhere"
    elsewhere.mkdir()
    first = project.workspace("first")
    (first.path / "config/local.yml").unlink()
    (first.path / "config/main.yml").unlink()
    (first.path / "config").rmdir()
    (first.path / "config").symlink_to(elsewhere)
    result = project.capture(first)
    made = project.prepare("second", result)
    assert isinstance(made, PreparedWorkspace)
    assert (made.path / "config").is_symlink()
    assert list(elsewhere.iterdir()) == []


def test_what_leads_out_or_is_not_plain_is_left_out_and_said(tmp_path: Path) -> None:
    user = make_repository(tmp_path / "user", {".gitignore": "x/\n"})
    outside = tmp_path / "secret"
    outside.mkdir()
    (outside / "key").write_text("key\n")
    (user / "x/deep").mkdir(parents=True)
    (user / "x/fine").symlink_to("deep/file")
    (user / "x/deep/file").write_text("file\n")
    for name, target in {
        "absolute": "/etc/passwd",
        "up": "../../secret/key",
        "folder": "../../secret",
        "git": "../.git/config",
        "round": "folder/key",
    }.items():
        (user / "x" / name).symlink_to(target)
    os.mkfifo(user / "x/pipe")
    make_repository(user / "x/nested", {"inner": "inner\n"})
    repo = open_repository(user, tmp_path / "out", tmp_path / "out" / "lock")
    found = list_included(repo, ["x/"])
    assert [file.path for file in found.files] == [b"x/deep/file", b"x/fine"]
    said = " ".join(found.left_out)
    assert "repositories of their own are left out: x/nested/" in said
    assert "links that lead out of the project are left out: x/absolute, x/folder, x/git" in said


def test_more_than_a_workspace_can_begin_with_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = make_repository(tmp_path / "user", TRACKED)
    write(user, NOT_TRACKED)
    monkeypatch.setattr(listing, "MOST_BYTES", 20)
    repo = open_repository(user, tmp_path / "out", tmp_path / "out" / "lock")
    with pytest.raises(GitError) as refused:
        list_included(repo, LISTED)
    assert "at most" in refused.value.reason
    assert ".worktreeinclude" in refused.value.hint


NAMES = st.sampled_from(["a", "b", "c", ".env", "x y", "é"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
KINDS = st.sampled_from(["tracked", "ignored", "new", "link", "link out", "folder link"])
PATTERNS = st.sampled_from(["a", "/b", "c/", "*.env", "a/**", "!a", ".env", "x y", "[bc]", "é"])


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    tree=st.dictionaries(PATHS, KINDS, max_size=8),
    ignored=st.lists(PATTERNS, max_size=3),
    listed=st.lists(PATTERNS, max_size=4),
    number=st.uuids(),
)
def test_only_what_is_listed_and_ignored_and_inside_is_ever_taken(
    tmp_path_factory: pytest.TempPathFactory,
    tree: dict[str, str],
    ignored: list[str],
    listed: list[str],
    number: object,
) -> None:
    top = tmp_path_factory.mktemp("tree")
    (top / "outside").mkdir()
    (top / "outside" / "secret").write_text("secret\n")
    user = make_repository(top / "user", {})
    for path, kind in tree.items():
        place(user, path, kind)
    (user / ".gitignore").write_text("".join(f"{line}\n" for line in ignored))
    repo = open_repository(user, top / "out", top / "out" / "lock")
    found = {os.fsdecode(file.path) for file in list_included(repo, listed).files}
    tracked = set(git(user, "ls-files", "-z").split("\0"))
    for path in found:
        assert path not in tracked
        assert git(user, "check-ignore", "-q", path, check=False) == ""
        real = os.path.realpath(user / path)
        assert real.startswith(f"{user}{os.sep}")
        assert all(not p.is_symlink() for p in (user / path).parents if p.is_relative_to(user))
    asked = ("ls-files", "-o", "-i", "-z", "--exclude-standard")
    all_ignored = set(git(user, *asked).split("\0"))
    assert found <= all_ignored
    if listed == ["*"] or not listed:
        assert listed or not found


def place(user: Path, path: str, kind: str) -> None:
    at = user / path
    if any(p.is_symlink() or p.is_file() for p in (at, *at.parents)) or at.exists():
        return
    at.parent.mkdir(parents=True, exist_ok=True)
    if kind == "link":
        at.symlink_to("a")
    elif kind == "link out":
        at.symlink_to(os.path.relpath(user.parent / "outside/secret", at.parent))
    elif kind == "folder link":
        at.symlink_to(user.parent / "outside")
    else:
        at.write_text(f"{kind}\n")
    if kind == "tracked":
        git(user, "add", "-f", "--", path)


def test_a_copy_has_no_rights_of_another_user(tmp_path: Path) -> None:
    user = make_repository(tmp_path / "user", TRACKED)
    write(user, {".env": SECRET})
    (user / ".env").chmod(0o4755)
    project = begun(user, tmp_path / "out", (".env",), "")
    made = project.workspace("one").path / ".env"
    assert stat.S_IMODE(made.stat().st_mode) == 0o755


def test_a_file_that_changes_while_it_is_copied_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is copied is what was there by then: nobody's change in a workspace later."""
    user = make_repository(tmp_path / "user", TRACKED)
    write(user, {".env": SECRET, "node_modules/gone.js": "gone\n"})
    listed = listing.list_included

    def changed_meanwhile(*about: Any) -> listing.Listing:
        found = listed(*about)
        write(user, {".env": "TOKEN=written-meanwhile\n", "node_modules/gone.js": None})
        return found

    monkeypatch.setattr(frozen_files, "list_included", changed_meanwhile)
    repo = open_repository(user, tmp_path / "out", tmp_path / "out" / "lock")
    project = Project(user, tmp_path / "out", repo, capture_base(repo, RUN, False))
    included, warnings = include_ignored(repo, RUN, [".env", "node_modules"], by_layers=False)
    assert warnings == ("these changed while they were copied: .env, node_modules/gone.js",)
    assert included.paths == (".env",)
    workspace = project.workspace("one")
    assert (workspace.path / ".env").read_text() == "TOKEN=written-meanwhile\n"
    project.capture(workspace)
    assert reclaim_workspace(repo, RUN, workspace) == Reclaimed()


def test_who_is_killed_while_copying_leaves_nothing_that_is_used(tmp_path: Path) -> None:
    user = make_repository(tmp_path / "user", TRACKED)
    write(user, NOT_TRACKED)
    repo = open_repository(user, tmp_path / "out", tmp_path / "out" / "lock")
    half = repo.store / "included" / ".0123-half"
    (half / "files").mkdir(parents=True)
    include_ignored(repo, RUN, LISTED, by_layers=False)
    assert [path.name for path in (repo.store / "included").iterdir() if path.is_dir()] != []
    assert not half.exists()


def test_much_that_is_copied_into_each_workspace_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = make_repository(tmp_path / "user", TRACKED)
    write(user, {".env": SECRET, "node_modules/x.js": "x" * 5_000})
    monkeypatch.setattr(frozen_files, "MUCH_BYTES", 1_000)
    repo = open_repository(user, tmp_path / "out", tmp_path / "out" / "lock")
    patterns = [".env", "node_modules/"]
    _, warnings = include_ignored(repo, RUN, patterns, by_layers=False)
    has_clones = not why_not_reflink(repo.store)
    assert has_clones or "5.0 kB are copied into each workspace (node_modules" in warnings[0]
    assert include_ignored(repo, RunId("20260101-000000-abd"), patterns, by_layers=True)[1] == ()


def test_a_folder_in_the_place_of_a_file_is_work_like_any_other(project: Project) -> None:
    workspace = project.workspace("one")
    (workspace.path / ".env").unlink()
    write(workspace.path, {".env/deep.txt": "deep\n"})
    git(workspace.path, "add", "-f", ".env/deep.txt")
    result = project.capture(workspace)
    assert set(project.files_of(result.commit)) == {*TRACKED, ".env/deep.txt"}
    assert isinstance(reclaim_workspace(project.repo, RUN, workspace), Reclaimed | Parked)


@pytest.mark.parametrize(
    "change", ["", ".env", "node_modules/x/index.js"], ids=["nothing", "written", "removed"]
)
def test_the_next_of_a_chain_never_gets_what_one_made_of_them(
    project: Project, change: str
) -> None:
    one = project.workspace("one")
    write(one.path, {"work.txt": "work\n"})
    if change:
        write(one.path, {change: None if change.endswith(".js") else "TOKEN=changed\n"})
    kept = capture_directly(project.repo, one, "one", result_ref(RUN, one.stream))
    assert isinstance(kept, Captured)
    taken = take_over_workspace(
        project.repo,
        RUN,
        StreamId("two"),
        1,
        project.outside / "workspaces" / "two.1",
        kept,
        (one.stream, 1, kept.tree),
    )
    assert (taken is None) == bool(change)
    if taken is not None:
        assert (taken.path / ".env").read_text() == SECRET
