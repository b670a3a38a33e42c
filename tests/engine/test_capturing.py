"""Captures of what streams did, friendly and hostile."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace as replaced

from anabranch.core.ids import StreamId
from anabranch.core.plans.plan import WorkspaceKind
from anabranch.engine.git import Git, GitError
from anabranch.engine.workspaces import (
    WorkspaceReplaced,
    capture_base,
    capture_history,
    capture_what_can_be,
    capturing,
    changed_settings,
    read_ref,
    result_branch,
    result_ref,
)
from anabranch.engine.workspaces.snapshots import Snapshot, path_at_fault, take_snapshot
from anabranch.engine.workspaces.values import FilesRemoved
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


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A small repository, opened."""
    return open_project(make_repository(tmp_path / "user", FILES), tmp_path / "out")


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


def forces_into_a_split_index(folder: Path) -> None:
    git(folder, "update-index", "--split-index")
    git(folder, "config", "core.splitIndex", "true")
    write(folder, {"own": "1\n", "wanted.o": "o\n"})
    git(folder, "add", "-f", "wanted.o")
    git(folder, "commit", "-qm", "by force")


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
    forces_into_a_split_index: {"own": "1\n", "wanted.o": "o\n"},
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
    """A warm index never hides an edit, however soon it follows and though the size is kept."""
    workspace = project.workspace("one")
    path = workspace.path / "a.txt"
    for letter in "bcdef":
        path.write_text(f"{letter}\n")
        assert project.content(project.capture(workspace).commit, "a.txt") == f"{letter}\n"


WARNED: dict[str, tuple[dict[str, str | bytes | None], str]] = {
    "markers": ({"a.txt": "<<<<<<< A\n1\n=======\n2\n>>>>>>> B\n"}, "markers are left in a.txt"),
    "case twins": ({"A.TXT": "x\n"}, "only in case: A.TXT"),
    "folder twins": ({"D/x": "x\n"}, "only in case: D/x"),
    "ignored": ({"x.o": "x\n", "build/y.o": "x\n"}, "2 ignored files or folders"),
    "one ignored": ({"x.o": "x\n"}, "1 ignored file or folder is not captured: x.o"),
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


@pytest.mark.parametrize("is_fetched", [True, False])
def test_what_a_stream_does_in_a_submodule_is_not_dropped_in_silence(
    is_fetched: bool, tmp_path: Path
) -> None:
    """Its folder is empty in a workspace; files in it belong to no commit of the project."""
    inner = make_repository(tmp_path / "inner", {"i": "i\n"})
    user = make_repository(tmp_path / "user", {"a.txt": "a\n"})
    add = ("submodule", "add", "-q", str(inner), "sub")
    git(user, "-c", "protocol.file.allow=always", *add)
    git(user, "commit", "-qm", "submodule")
    project = open_project(user, tmp_path / "out")
    workspace = project.workspace("one")
    assert not any("captured" in warning for warning in project.capture(workspace).warnings)
    if is_fetched:
        git(workspace.path / "sub", "init", "-q")
        git(workspace.path / "sub", "fetch", "-q", str(inner), "main")
        git(workspace.path / "sub", "reset", "-q", "--hard", "FETCH_HEAD")
    write(workspace.path, {"sub/new": "n\n"})
    (found,) = [w for w in project.capture(workspace).warnings if "captured" in w]
    assert ": sub" in found
    assert found.startswith("what is not committed" if is_fetched else "what was written into")


def test_a_nested_repositorys_settings_run_nothing(project: Project, tmp_path: Path) -> None:
    """Capturing again and again never starts what a nested repository names as its programs."""
    mark = tmp_path / "ran"
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {mark}\ncat\n")
    program.chmod(0o755)
    workspace = project.workspace("one")
    nested = workspace.path / "n"
    write(nested, {"x": "x\n", ".gitattributes": "* filter=e\n"})
    git(nested, "init", "-q")
    git(nested, "add", "-A")
    git(nested, "commit", "-qm", "inner")
    git(nested, "config", "filter.e.clean", str(program))
    git(nested, "config", "core.fsmonitor", str(program))
    for body in ("y\n", "zz\n"):
        project.capture(workspace)
        write(nested, {"x": body})
    assert not mark.exists()
    git(nested, "-c", "core.fsmonitor=false", "commit", "-q", "--allow-empty", "-m", "more")
    head = git(nested, "rev-parse", "HEAD").strip()
    assert project.files_of(project.capture(workspace).commit)["n"].endswith(head)


def test_what_can_be_captured_is_though_a_filter_fails(tmp_path: Path) -> None:
    """All but the file at fault; that one stays as it was at the start, and is named."""
    attributes = "*.up filter=up\n"
    user = make_repository(tmp_path / "user", {"a.txt": "a\n", ".gitattributes": attributes})
    git(user, "config", "filter.up.clean", "grep -v no || false")
    git(user, "config", "filter.up.required", "true")
    project = open_project(user, tmp_path / "out")
    workspace = project.workspace("one")
    write(workspace.path, {"bad.up": "no\n", "d/bad too.up": "no\n", "x.up": "x\n", "a.txt": "b\n"})
    write(workspace.path, {"d/.GIT": "a name that git never takes\n"})
    with pytest.raises(GitError):
        project.capture(workspace)
    kept, without = capture_what_can_be(project.repo, RUN, workspace, "m", "refs/anabranch/x")
    assert set(without) == {"bad.up", "d/bad too.up", "d/.GIT"}
    assert set(project.files_of(kept.commit)) == {".gitattributes", "a.txt", "x.up"}
    assert project.content(kept.commit, "a.txt") == "b\n"


def test_what_is_gone_by_the_time_git_comes_to_it_was_never_there(tmp_path: Path) -> None:
    """As with files of a moment that a running stream renames to what they become."""
    user = make_repository(tmp_path / "user", {".gitattributes": "a.up filter=up\n"})
    git(user, "config", "filter.up.clean", "rm -f moment; cat")
    project = open_project(user, tmp_path / "out")
    workspace = project.workspace("one")
    write(workspace.path, {"a.up": "a\n", "moment": "m\n"})
    kept = project.capture(workspace)
    assert set(project.files_of(kept.commit)) == {".gitattributes", "a.up"}


UNREADABLE = {
    "fatal: unable to stat 'd/a b': No such file or directory": "d/a b",
    "warning: could not open directory 'closed/': Permission denied": "closed",
    'error: open("d/a b"): Permission denied\nfatal: adding files failed': "d/a b",
    "error: external filter 'x' failed\nfatal: a.u: clean filter 'up' failed": "a.u",
    "fatal: failed to encode 'x.u' from UTF-16 to UTF-8": "x.u",
    "error: invalid path 'd/.GIT'\nerror: unable to add 'd/.GIT' to index": "d/.GIT",
    "fatal: CRLF would be replaced by LF in d/a b": "d/a b",
    "fatal: something else": None,
}


@pytest.mark.parametrize("said", UNREADABLE)
def test_git_says_which_file_it_fails_of(said: str) -> None:
    assert path_at_fault(GitError("failed", stderr=said)) == UNREADABLE[said]


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
    """Programs that a stream puts into its settings, or the project's, are never started.

    Only the project's are anybody else's: a change there is named.
    """
    mark = tmp_path / "ran"
    program = tmp_path / "hooks" / "post-checkout"
    program.parent.mkdir()
    for name in ("post-checkout", "reference-transaction", "post-index-change"):
        (program.parent / name).write_text(f"#!/bin/sh\ntouch {mark}\ncat\n")
        (program.parent / name).chmod(0o755)
    one = project.workspace("one")
    value = program.parent if key == "core.hooksPath" else program
    git(one.path, "config", key, str(value))
    assert changed_settings(project.repo, RUN) == ()
    git(project.user, "config", key, str(value))
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


@pytest.mark.parametrize(
    "name", [".gitignore", ".gitattributes", "deep/er/.gitignore", "n/.git/HEAD", "n/.git/config"]
)
def test_a_pipe_that_git_would_open_is_refused_and_named(name: str, project: Project) -> None:
    """Within seconds, not at git's deadline."""
    workspace = project.workspace("one")
    write(workspace.path, {"deep/er/x": "x\n", "n/x": "x\n"})
    git(workspace.path / "n", "init", "-q")
    git(workspace.path / "n", "commit", "-q", "--allow-empty", "-m", "inner")
    (workspace.path / name).unlink(missing_ok=True)
    os.mkfifo(workspace.path / name)
    began = time.monotonic()
    with pytest.raises(GitError, match="is a pipe") as caught:
        project.capture(workspace)
    assert name in caught.value.reason
    assert caught.value.hint
    assert time.monotonic() - began < 30


def test_links_out_of_the_workspace_are_captured_as_links(project: Project, tmp_path: Path) -> None:
    """What a symbolic link points at never gets in."""
    write(tmp_path / "private", {"key": "secret\n"})
    workspace = project.workspace("one")
    (workspace.path / "link").symlink_to(tmp_path / "private")
    files = project.files_of(project.capture(workspace).commit)
    assert files["link"].startswith("120000")
    assert "link/key" not in files


def moved_away(place: Path) -> None:
    place.rename(place.with_name("away"))


def linked(place: Path) -> None:
    moved_away(place)
    write(place.with_name("secret"), {"key": "secret\n"})
    place.symlink_to(place.with_name("secret"))


def made_anew(place: Path) -> None:
    moved_away(place)
    place.mkdir()


def copied(place: Path) -> None:
    moved_away(place)
    shutil.copytree(place.with_name("away"), place, symlinks=True)


def a_file(place: Path) -> None:
    moved_away(place)
    place.write_text("not a folder\n")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.only_folders
@pytest.mark.parametrize("replace", [moved_away, linked, made_anew, copied, a_file])
def test_a_workspace_that_was_replaced_is_not_believed(
    replace: Callable[[Path], None], kind: WorkspaceKind, project: Project
) -> None:
    """Its place's name proves nothing; a folder that was prepared anew is another attempt's."""
    workspace = project.workspace("one", kind=kind)
    write(workspace.path, {"own": "1\n"})
    replace(workspace.path)
    with pytest.raises(WorkspaceReplaced) as caught:
        project.capture(workspace)
    assert "was replaced" in caught.value.reason
    assert read_ref(project.repo, result_ref(RUN, StreamId("one"))) is None


@pytest.mark.only_folders
def test_a_workspace_swapped_while_it_is_read_is_not_believed(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is looked at before its files are, and after that."""
    workspace = project.workspace("one")

    def swapped(git: Git, withheld: Sequence[str]) -> Snapshot:
        taken = take_snapshot(git, withheld)
        made_anew(workspace.path)
        return taken

    monkeypatch.setattr(capturing, "take_snapshot", swapped)
    with pytest.raises(WorkspaceReplaced):
        project.capture(workspace)


def test_a_workspace_is_known_after_the_machine_has_started_anew(project: Project) -> None:
    """Device numbers change then, so those of another boot prove nothing."""
    workspace = project.workspace("one")
    assert workspace.identity is not None
    older = replaced(workspace, identity=replaced(workspace.identity, boot="another", device=0))
    write(workspace.path, {"own": "1\n"})
    assert "own" in project.files_of(project.capture(older).commit)


@pytest.mark.only_folders
def test_what_was_committed_outlives_the_folder(project: Project) -> None:
    """Commits of a workspace that was moved away, and those that its HEAD has left, are kept."""
    workspace = project.workspace("one")
    commits(workspace.path)
    first = git(workspace.path, "rev-parse", "HEAD").strip()
    git(workspace.path, "reset", "-q", "--hard", "HEAD~")
    write(workspace.path, {"other": "2\n"})
    git(workspace.path, "add", "-A")
    git(workspace.path, "commit", "-qm", "other")
    second = git(workspace.path, "rev-parse", "HEAD").strip()
    moved_away(workspace.path)
    kept = capture_history(project.repo, RUN, workspace, "kept", "refs/anabranch/partial/x")
    assert kept is not None
    git(project.user, "gc", "-q", "--prune=now")
    listed = git(project.user, "rev-list", "refs/anabranch/partial/x").split()
    assert {first, second} <= set(listed)


REMOVING: dict[str, tuple[dict[str, str | bytes | None], FilesRemoved]] = {
    "nothing": ({"a.txt": "b\n"}, FilesRemoved()),
    "one of three": ({"a.txt": None}, FilesRemoved(1, 3, 2)),
    "everything": (dict.fromkeys(FILES), FilesRemoved(3, 3, 0)),
    "everything for something": ({**dict.fromkeys(FILES), "k": "x\n"}, FilesRemoved(3, 3, 1)),
    "renamed": (
        {**dict.fromkeys(FILES), "n/a": "a\n", "n/b": "b\n", "n/c": "*.o\n"}, FilesRemoved(0, 3, 3)
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REMOVING)
def test_what_a_result_removed_is_counted(case: str, project: Project) -> None:
    """A file that has another name now is not gone."""
    files, removal = REMOVING[case]
    assert project.result("one", files).removal == removal


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


def test_a_workspace_without_its_git_directory_is_said_so(project: Project) -> None:
    """A registration that was torn out is an error with a hint; the files stay."""
    workspace = project.workspace("one")
    assert workspace.git_dir is not None
    workspace.git_dir.rename(workspace.git_dir.with_name("gone"))
    with pytest.raises(GitError) as caught:
        project.capture(workspace)
    assert caught.value.hint
    assert (workspace.path / "a.txt").exists()


def test_base_stands_by_a_ref(project: Project) -> None:
    """Garbage collection in between takes nothing away."""
    write(project.user, {"a.txt": "dirty\n"})
    base = capture_base(project.repo, RUN, True)
    git(project.user, "gc", "-q", "--prune=now")
    assert project.content(base.commit, "a.txt") == "dirty\n"
