"""Files of a checkpoint come into running workspaces whole, and never over what a stream did."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from msgspec.structs import replace

from anabranch.core.ids import StreamId
from anabranch.engine.workspaces import (
    Delivery,
    PreparedWorkspace,
    bring,
    reversals,
    to_bring,
    why_busy,
)
from anabranch.engine.workspaces.records import read_record
from tests.engine.checkpoint_round import Round
from tests.engine.repositories import RUN, Project, git, make_repository, open_project, write

LINES = "".join(f"line {number}\n" for number in range(1, 21))
FILES: dict[str, str | bytes | None] = {
    "shared.txt": LINES,
    "other.txt": "other\n",
    "d/deep.txt": "deep\n",
    "script.sh": "#!/bin/sh\n",
}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return open_project(make_repository(tmp_path / "user", FILES), tmp_path / "out")


def content(workspace: PreparedWorkspace, name: str) -> str | None:
    path = workspace.path / name
    return path.read_text() if path.exists() else None


def test_changes_new_files_and_removals_come_over(project: Project) -> None:
    a, b = project.workspace("a"), project.workspace("b")
    write(a.path, {"shared.txt": LINES.replace("line 2\n", "two by a\n"), "new/x.txt": "x\n"})
    write(a.path, {"d/deep.txt": None, "script.sh": "#!/bin/sh\nrun\n"})
    (a.path / "script.sh").chmod(0o755)
    done = Round(project, a, b).bring_to(b)
    assert (done.files, done.removed, done.left_alone) == (3, 1, ())
    assert content(b, "shared.txt") == content(a, "shared.txt")
    assert content(b, "new/x.txt") == "x\n"
    assert not (b.path / "d").exists()
    assert os.access(b.path / "script.sh", os.X_OK)


def test_both_sides_of_a_file_come_together(project: Project) -> None:
    """A stream's own change is not part of what it was given: it still counts as its own."""
    a, b = project.workspace("a"), project.workspace("b")
    write(a.path, {"shared.txt": LINES.replace("line 2\n", "two by a\n")})
    write(b.path, {"shared.txt": LINES.replace("line 19\n", "nineteen by b\n")})
    done = Round(project, a, b).bring_to(b)
    both = LINES.replace("line 2\n", "two by a\n").replace("line 19\n", "nineteen by b\n")
    assert content(b, "shared.txt") == both
    given = git(project.repo.git_dir, "show", f"{done.given_tree}:shared.txt")
    assert given == LINES.replace("line 2\n", "two by a\n")
    record = read_record(project.repo, RUN, StreamId("b"), 1)
    assert record is not None
    assert record.start_tree == done.given_tree


def test_what_the_stream_changed_since_its_snapshot_is_left_alone(project: Project) -> None:
    a, b = project.workspace("a"), project.workspace("b")
    write(a.path, {"shared.txt": "a\n", "other.txt": "a\n", "new.txt": "a\n", "d/deep.txt": None})

    def b_writes() -> None:
        write(b.path, {"shared.txt": "b\n", "new.txt": "b\n", "d/deep.txt": "b\n"})

    done = Round(project, a, b).bring_to(b, b_writes)
    assert set(done.left_alone) == {"shared.txt", "new.txt", "d/deep.txt"}
    assert (content(b, "shared.txt"), content(b, "new.txt")) == ("b\n", "b\n")
    assert (content(b, "other.txt"), content(b, "d/deep.txt")) == ("a\n", "b\n")


def test_a_file_that_was_written_just_now_is_left_alone(project: Project) -> None:
    a, b = project.workspace("a"), project.workspace("b")
    write(a.path, {"shared.txt": "a\n"})
    done = Round(project, a, b).bring_to(b, quiet_seconds=60.0)
    assert done.left_alone == ("shared.txt",)
    assert content(b, "shared.txt") == LINES


def test_nothing_is_written_through_a_link(project: Project, tmp_path: Path) -> None:
    """Not through a folder that has become a link, nor through a file that has."""
    a, b = project.workspace("a"), project.workspace("b")
    outside = tmp_path / "outside"
    write(outside, {"deep.txt": "deep\n", "file": LINES})
    write(a.path, {"shared.txt": "a\n", "d/deep.txt": "a\n", "d/new.txt": "a\n"})

    def b_links() -> None:
        (b.path / "shared.txt").unlink()
        (b.path / "shared.txt").symlink_to(outside / "file")
        (b.path / "d" / "deep.txt").unlink()
        (b.path / "d").rmdir()
        (b.path / "d").symlink_to(outside)

    done = Round(project, a, b).bring_to(b, b_links)
    assert set(done.left_alone) == {"shared.txt", "d/deep.txt", "d/new.txt"}
    assert sorted(p.name for p in outside.iterdir()) == ["deep.txt", "file"]
    assert (outside / "deep.txt").read_text() == "deep\n"
    assert (outside / "file").read_text() == LINES


def test_links_and_what_belongs_to_git_are_never_brought(project: Project) -> None:
    a, b = project.workspace("a"), project.workspace("b")
    (a.path / "link").symlink_to("/etc/passwd")
    done = Round(project, a, b).bring_to(b)
    assert done.left_alone == ("link",)
    assert not os.path.lexists(b.path / "link")


def test_bringing_again_after_an_interruption_comes_to_the_same(project: Project) -> None:
    a, b = project.workspace("a"), project.workspace("b")
    write(a.path, {"shared.txt": "a\n", "other.txt": "a\n", "d/deep.txt": None})
    checkpoint = Round(project, a, b)
    first = checkpoint.bring_to(b)
    again = checkpoint.bring_to(b)
    assert again == first


def test_a_converted_file_is_recognised_and_converted(tmp_path: Path) -> None:
    """Line ends in the workspace are not those in the repository."""
    attributes: dict[str, str | bytes | None] = {".gitattributes": "*.bat text eol=crlf\n"}
    files = {**attributes, "run.bat": "one\r\ntwo\r\n"}
    project = open_project(make_repository(tmp_path / "user", files), tmp_path / "out")
    a, b = project.workspace("a"), project.workspace("b")
    assert (b.path / "run.bat").read_bytes() == b"one\r\ntwo\r\n"
    write(a.path, {"run.bat": "one\r\n2\r\n"})
    done = Round(project, a, b).bring_to(b)
    assert done.left_alone == ()
    assert (b.path / "run.bat").read_bytes() == b"one\r\n2\r\n"


@pytest.mark.parametrize("name", ["index.lock", "MERGE_HEAD", "rebase-merge", "CHERRY_PICK_HEAD"])
def test_git_in_the_middle_of_something_is_busy(project: Project, name: str) -> None:
    workspace = project.workspace("a")
    assert why_busy(workspace) is None
    assert workspace.git_dir is not None
    (workspace.git_dir / name).touch()
    assert name in str(why_busy(workspace))


def test_readers_see_whole_files_only(project: Project) -> None:
    """Readers in the workspace never miss a file that is replaced, nor see a part of one."""
    a, b = project.workspace("a"), project.workspace("b")
    large = {f"f{n}.txt": "old\n" * 5_000 for n in range(6)}
    write(a.path, large)
    write(b.path, large)
    write(a.path, dict.fromkeys(large, "new\n" * 5000))
    checkpoint = Round(project, a, b)
    stop, wrong, reads = threading.Event(), list[str](), [0]

    def read() -> None:
        while not stop.is_set():
            for name in large:
                try:
                    text = (b.path / name).read_text()
                except FileNotFoundError:
                    wrong.append(f"{name} was missing")
                    continue
                reads[0] += 1
                if text not in ("old\n" * 5_000, "new\n" * 5_000):
                    wrong.append(f"{name} was torn")

    reader = threading.Thread(target=read)
    reader.start()
    try:
        done = replace_all(checkpoint, b)
    finally:
        stop.set()
        reader.join()
    assert wrong == []
    assert reads[0] > 0
    assert done.left_alone == ()


def replace_all(checkpoint: Round, workspace: PreparedWorkspace) -> Delivery:
    snapshots = checkpoint.snapshots
    theirs = snapshots[StreamId("a")].tree
    mine = snapshots[workspace.stream].tree
    wanted = to_bring(checkpoint.project.repo, workspace, mine, theirs, ())
    return bring(checkpoint.project.repo, workspace, wanted, mine, 0.0)


def test_a_write_from_an_old_copy_is_found(project: Project) -> None:
    """An editor that read a file before it was brought, and saves it afterwards."""
    a, b = project.workspace("a"), project.workspace("b")
    write(a.path, {"shared.txt": LINES.replace("line 2\n", "line 2\nbrought by a\n")})
    done = Round(project, a, b).bring_to(b)
    write(b.path, {"shared.txt": LINES.replace("line 19\n", "nineteen by b\n")})
    again = Round(project, a, replace(b, start_tree=done.given_tree), number=2)
    tree = again.snapshots[StreamId("b")].tree
    found = reversals(project.repo, RUN, StreamId("b"), 1, done.known_tree, tree)
    assert [r.path for r in found] == ["shared.txt"]
    write(b.path, {"shared.txt": (a.path / "shared.txt").read_text() + "mine\n"})
    good = Round(project, a, replace(b, start_tree=done.given_tree), number=3)
    kept = good.snapshots[StreamId("b")].tree
    assert reversals(project.repo, RUN, StreamId("b"), 1, done.known_tree, kept) == ()
