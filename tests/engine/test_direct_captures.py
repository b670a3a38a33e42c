"""Captures made without git: the same as git's, or left to git."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anabranch.engine.workspaces import capture_result, partial_ref, result_ref
from anabranch.engine.workspaces.direct.capture import capture_directly, captured_index
from anabranch.engine.workspaces.direct.folder_changes import folder_changes
from anabranch.engine.workspaces.direct.index_file import IndexEntry, index_of, read_entries
from anabranch.engine.workspaces.direct.known_index import known_index
from anabranch.engine.workspaces.layers.mounting import hide_all_below
from anabranch.engine.workspaces.values import Captured, PreparedWorkspace
from tests.engine.repositories import RUN, Project, git, make_repository, open_project, write

FILES: dict[str, str | bytes | None] = {
    "a.txt": "aaaa\n",
    "b.sh": "echo b\n",
    "deep/er/c.txt": "c\n",
    "deep/d.txt": "d\n",
    "deep.txt": "beside\n",
    "ünï.txt": "u\n",
}
RULES: dict[str, str | bytes | None] = {".gitignore": "*.o\nbuild/\n"}

PATHS = st.sampled_from(
    ["a.txt", "b.sh", "deep/d.txt", "deep/er/c.txt", "deep/new/e.txt", "new file", "A.TXT",
     "deep.txt", "deep", "x.o", "build/out", "ünï.txt", "deep-er/f", "a.txt/inside", ".hidden/g"]
)  # fmt: skip
EDITS = st.lists(
    st.tuples(
        PATHS,
        st.sampled_from(["write", "remove", "mark", "link", "touch", "remake", "rename"]),
        st.sampled_from(["aaaa\n", "bbbb\n", "", "longer than before\n"]),
    ),
    max_size=8,
)


@pytest.fixture(scope="module", params=[FILES, FILES | RULES], ids=["bare", "with-rules"])
def project(request: pytest.FixtureRequest) -> Iterator[Project]:
    """A small repository, opened once; each example has a workspace of its own."""
    with tempfile.TemporaryDirectory() as folder:
        at = Path(folder)
        yield open_project(make_repository(at / "user", request.param), at / "out")
        hide_all_below(at)


def edit(folder: Path, path: str, what: str, content: str) -> None:
    """Does to a file what a stream may do, if it can be done there."""
    at = folder / path
    if at.parent == folder and what in ("remake", "rename"):
        return
    try:
        if what == "remove":
            at.unlink()
        elif what == "remake":  # the folder that it lies in is another one then
            shutil.rmtree(at.parent)
            at.parent.mkdir()
            (at.parent / "remade").write_text(content)
        elif what == "rename":
            at.parent.rename(at.parent.with_name("renamed"))
        elif what == "mark":
            at.chmod(at.lstat().st_mode ^ 0o100)
        elif what == "touch":
            os.utime(at, ns=(0, 0), follow_symlinks=False)
        else:
            at.parent.mkdir(parents=True, exist_ok=True)
            if what == "link":
                at.unlink(missing_ok=True)
                at.symlink_to("a.txt")
            elif not at.is_symlink():
                at.write_text(content)
    except OSError:
        return


def remove_empty(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()


def git_way(project: Project, workspace: PreparedWorkspace) -> Captured:
    ref = partial_ref(RUN, workspace.stream, workspace.attempt)
    return capture_result(project.repo, RUN, workspace.stream, 1, workspace, "m", ref)


def direct_way(project: Project, workspace: PreparedWorkspace) -> Captured | None:
    ref = result_ref(RUN, workspace.stream)
    return capture_directly(project.repo, workspace, "m", ref)


@settings(max_examples=60, deadline=None)
@given(EDITS, st.randoms(use_true_random=False))
def test_it_is_what_git_makes_of_the_same_folder(
    project: Project, edits: list[tuple[str, str, str]], random: object
) -> None:
    stream = f"s{os.urandom(6).hex()}"
    workspace = project.workspace(stream)
    for path, what, content in edits:
        edit(workspace.path, path, what, content)
    remove_empty(workspace.path / "build")  # git tells of it as if it left something out
    found = direct_way(project, workspace)
    expected = git_way(project, workspace)
    if found is None:
        return
    facts = ("tree", "start_tree", "files_changed", "removal", "ignored", "warnings")
    assert [getattr(found, f) for f in facts] == [getattr(expected, f) for f in facts]
    ref = result_ref(RUN, workspace.stream)
    assert git(project.repo.git_dir, "rev-parse", ref).strip() == found.commit
    shown = git(project.repo.git_dir, "ls-tree", "-r", "-z", found.commit)
    assert shown == git(project.repo.git_dir, "ls-tree", "-r", "-z", expected.commit)


@settings(max_examples=40, deadline=None)
@given(EDITS)
def test_its_index_is_one_that_git_finds_nothing_to_say_about(
    project: Project, edits: list[tuple[str, str, str]]
) -> None:
    workspace = project.workspace(f"s{os.urandom(6).hex()}")
    for path, what, content in edits:
        edit(workspace.path, path, what, content)
    found = direct_way(project, workspace)
    index = captured_index(project.repo, workspace)
    if found is None or not index.exists():
        return
    assert workspace.git_dir is not None
    (workspace.git_dir / "index").write_bytes(index.read_bytes())
    (workspace.git_dir / "HEAD").write_text(f"{found.commit}\n")
    assert git(workspace.path, "status", "--porcelain") == ""
    assert git(workspace.path, "write-tree").strip() == found.tree
    git(workspace.path, "fsck", "--strict", found.commit)


def uses_git(folder: Path) -> None:
    write(folder, {"own": "1\n"})
    git(folder, "add", "own")


def commits(folder: Path) -> None:
    uses_git(folder)
    git(folder, "commit", "-qm", "own")


def stashes(folder: Path) -> None:
    write(folder, {"a.txt": "changed\n"})
    git(folder, "stash")


def makes_a_branch(folder: Path) -> None:
    git(folder, "branch", "mine")


def has_a_nested_repository(folder: Path) -> None:
    make_repository(folder / "nested", {"x": "x\n"})


def has_a_pipe(folder: Path) -> None:
    os.mkfifo(folder / "pipe")


def has_markers_left(folder: Path) -> None:
    write(folder, {"a.txt": "<<<<<<< a\n1\n=======\n2\n>>>>>>> b\n"})


def has_attributes(folder: Path) -> None:
    write(folder, {".gitattributes": "* text\n", "a.txt": "a\r\n"})


def has_rules(folder: Path) -> None:
    write(folder, {"deep/.gitignore": "*\n"})


def has_twins(folder: Path) -> None:
    write(folder, {"A.txt": "A\n"})


def has_something_large(folder: Path) -> None:
    write(folder, {"large": b"x" * (5 << 20)})


def has_very_much(folder: Path) -> None:
    write(folder, {f"many/{n}": f"{n}\n" for n in range(300)})


def removes_all(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file() and path.name != ".git":
            path.unlink()


def has_a_name_like_gits(folder: Path) -> None:
    write(folder, {".g\u200cit": "x\n"})


LEFT_TO_GIT: list[Callable[[Path], None]] = [
    uses_git, commits, stashes, makes_a_branch, has_a_nested_repository, has_a_pipe,
    has_markers_left, has_attributes, has_rules, has_twins, has_something_large, has_very_much,
    removes_all, has_a_name_like_gits,
]  # fmt: skip


@pytest.mark.parametrize("does", LEFT_TO_GIT, ids=lambda does: does.__name__)
def test_what_is_not_plain_is_left_to_git(project: Project, does: Callable[[Path], None]) -> None:
    workspace = project.workspace(f"{does.__name__}-{os.urandom(4).hex()}")
    does(workspace.path)
    assert direct_way(project, workspace) is None
    assert git(project.repo.git_dir, "for-each-ref", result_ref(RUN, workspace.stream)) == ""


@pytest.mark.parametrize(
    ("key", "value"),
    [("core.autocrlf", "true"), ("core.autocrlf", "input"), ("core.attributesfile", "/tmp/a")],
)
def test_settings_by_which_git_converts_leave_it_to_git(
    tmp_path: Path, key: str, value: str
) -> None:
    user = make_repository(tmp_path / "user", FILES)
    git(user, "config", key, value)
    project = open_project(user, tmp_path / "out")
    workspace = project.workspace("w")
    write(workspace.path, {"a.txt": "b\r\n"})
    assert direct_way(project, workspace) is None


@pytest.mark.parametrize("name", ["attributes", "ignore"])
def test_files_of_the_user_by_which_git_goes_are_heeded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    rules = {"attributes": "*.txt text\n", "ignore": "late.txt\n"}
    write(tmp_path / "git", {name: rules[name]})
    project = open_project(make_repository(tmp_path / "user", FILES), tmp_path / "out")
    workspace = project.workspace("w")
    write(workspace.path, {"late.txt": "b\r\n"})
    found, expected = direct_way(project, workspace), git_way(project, workspace)
    assert found is None or (found.tree, found.ignored) == (expected.tree, expected.ignored)


def test_a_repository_of_the_other_hash_is_no_different(tmp_path: Path) -> None:
    user = make_repository(tmp_path / "user", FILES, "--object-format=sha256")
    project = open_project(user, tmp_path / "out")
    workspace = project.workspace("w")
    write(workspace.path, {"a.txt": "b\n", "deep/new.txt": "n\n"})
    found, expected = direct_way(project, workspace), git_way(project, workspace)
    assert found is not None
    assert (found.tree, len(found.tree)) == (expected.tree, 64)


def test_what_was_written_in_the_tick_of_the_index_is_looked_at(project: Project) -> None:
    """The disk tells the same of it as of what git saw, so its content has to say it."""
    workspace = project.workspace(f"tick-{os.urandom(4).hex()}")
    at = workspace.path / "a.txt"
    now = IndexEntry.of(b"a.txt", 0o100644, bytes.fromhex("00" * 20), at.lstat())
    before = {entry.path: entry for entry in entries_of(workspace)} | {b"a.txt": now}
    folder, changed_ns = str(workspace.path), at.lstat().st_ctime_ns
    assert set(folder_changes(folder, before, changed_ns, "sha1").now) == {b"a.txt"}
    assert folder_changes(folder, before, time.time_ns(), "sha1").now == {}


def entries_of(workspace: PreparedWorkspace) -> list[IndexEntry]:
    assert workspace.git_dir is not None
    entries = read_entries((workspace.git_dir / "index").read_bytes(), "sha1")
    assert entries is not None
    return entries


def test_a_ref_that_is_there_already_is_left_alone(project: Project) -> None:
    workspace = project.workspace(f"again-{os.urandom(4).hex()}")
    write(workspace.path, {"a.txt": "1\n"})
    first = direct_way(project, workspace)
    assert first is not None
    write(workspace.path, {"a.txt": "2\n"})
    assert direct_way(project, workspace) is None
    ref = result_ref(RUN, workspace.stream)
    assert git(project.repo.git_dir, "rev-parse", ref).strip() == first.commit


def test_an_index_is_written_as_it_was_read(project: Project) -> None:
    workspace = project.workspace(f"index-{os.urandom(4).hex()}")
    assert workspace.git_dir is not None
    content = (workspace.git_dir / "index").read_bytes()
    entries = read_entries(content, "sha1")
    assert entries is not None
    assert read_entries(index_of(entries, "sha1"), "sha1") == entries
    assert read_entries(content[:-30], "sha1") is None
    assert read_entries(b"DIRC" + content[4:8] + b"\0\0\0\xff" + content[12:], "sha1") is None


def test_an_index_is_read_once_for_all_workspaces_that_begin_with_it(tmp_path: Path) -> None:
    """Each of them is one more name of the file; another file is another index."""
    entry = IndexEntry.of(b"a", 0o100644, b"1" * 20, os.lstat(tmp_path))
    first, again, other = (tmp_path / name for name in ("first", "again", "other"))
    for place in (first, other):
        place.write_bytes(index_of([entry], "sha1"))
    known = known_index(first, "sha1")
    os.link(first, again)
    assert known is not None
    assert known_index(first, "sha1") is known
    assert known_index(again, "sha1") is known
    assert known_index(other, "sha1") is not known
