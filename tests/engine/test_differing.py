"""What differs between two trees, read for people: whatever files are called and hold."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from anabranch.engine.workspaces import differing
from anabranch.engine.workspaces.differing import Difference, FileDifference, read_difference
from anabranch.engine.workspaces.repository import frozen_view
from tests.engine.repositories import FAR_LINES, RUN, Project, make_repository, open_project, write

LIKE_A_HEADER = "diff --git a/x b/x\n@@ -1 +1 @@\n"
FILES: dict[str, str | bytes | None] = {
    "a.txt": FAR_LINES,
    "moved.txt": FAR_LINES + "moved\n",
    "run.sh": "echo\n",
    "bin.dat": b"\0before",
    "gone.txt": "gone\n",
    "was-file": "text\n",
    "odd.txt": LIKE_A_HEADER,
}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    user = make_repository(tmp_path / "user", FILES)
    return open_project(user, tmp_path / "outside")


def difference(project: Project, tree: str) -> dict[str, FileDifference]:
    """What differs from the base, by path."""
    found = read_difference(frozen_view(project.repo, RUN), project.base.tree, tree)
    return {file.path: file for file in found.files}


def test_every_kind_of_change_is_told_with_its_lines(project: Project) -> None:
    """Names with line ends, contents like headers, modes, links and renames change nothing."""
    workspace = project.workspace("one")
    write(
        workspace.path,
        {
            "a.txt": FAR_LINES.replace("line 3\n", "three\n").replace("line 30\n", ""),
            "moved.txt": None,
            "sub/there.txt": FAR_LINES.replace("line 9\n", "nine\n") + "moved\n",
            "bin.dat": b"\0after",
            "gone.txt": None,
            "was-file": None,
            "na\nme \udcff": "new\n",
            "odd.txt": LIKE_A_HEADER + "-- a\n++ b",
        },
    )
    (workspace.path / "run.sh").chmod(0o755)
    os.symlink("a.txt", workspace.path / "was-file")
    found = difference(project, project.capture(workspace).tree)
    told = {path: (f.status, f.added, f.removed, len(f.hunks)) for path, f in found.items()}
    assert told == {
        "a.txt": ("modified", 1, 2, 2),
        "bin.dat": ("modified", None, None, 0),
        "gone.txt": ("deleted", 0, 1, 1),
        "na\nme \udcff": ("added", 1, 0, 1),
        "odd.txt": ("modified", 2, 0, 1),
        "run.sh": ("modified", 0, 0, 0),
        "sub/there.txt": ("renamed", 1, 1, 1),
        "was-file": ("retyped", 1, 1, 2),
    }
    assert found["sub/there.txt"].before_path == "moved.txt"
    assert (found["run.sh"].before_mode, found["run.sh"].after_mode) == ("100644", "100755")
    assert found["odd.txt"].hunks[0].lines == (
        *(" " + line for line in LIKE_A_HEADER.splitlines()),
        *("+-- a", "+++ b", "\\ No newline at end of file"),
    )
    hunk = found["a.txt"].hunks[0]
    assert (hunk.before_start, hunk.after_start) == (1, 1)
    assert [line for line in hunk.lines if line[0] in "+-"] == ["-line 3", "+three"]


def test_what_is_too_much_is_counted_and_said(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file over the bound keeps its counts; those after it that fit are still shown."""
    monkeypatch.setattr(differing, "MOST_LINES", 50)
    result = project.result(
        "one", {"a.txt": "x\n" * 60, "new.txt": "1\n", "huge.txt": "y" * 2_000_000}
    )
    view = frozen_view(project.repo, RUN)
    found = read_difference(view, project.base.tree, result.tree)
    by_path = {file.path: file for file in found.files}
    assert (by_path["a.txt"].added, by_path["a.txt"].hunks) == (60, ())
    assert by_path["a.txt"].cut == "100 changed lines, too much to be shown here"
    assert by_path["new.txt"].hunks
    assert by_path["huge.txt"].is_binary
    assert "1 file" in found.cut
    assert read_difference(view, project.base.tree, project.base.tree) == Difference(
        project.base.tree, project.base.tree
    )
