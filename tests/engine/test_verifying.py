"""Looking at a merge that git calls clean: nothing is lost, and the silent traps are told."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from anabranch.engine.workspaces import (
    Captured,
    Findings,
    MergeOutcome,
    look_at_merge,
    merge_trees,
    overlaid,
)
from anabranch.engine.workspaces.union import Leaf
from tests.engine.repositories import (
    FAR_LINES,
    RUN,
    Project,
    git,
    make_repository,
    open_project,
    pairs,
)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A repository with a few files."""
    files = {"a.txt": FAR_LINES, "b.txt": "b\n", "d/one.txt": FAR_LINES.replace("line", "row")}
    return open_project(make_repository(tmp_path / "user", files), tmp_path / "outside")


def merged(project: Project, *results: Captured) -> MergeOutcome:
    return merge_trees(
        project.repo, RUN, project.base, pairs(*results), message="m", stop_early=True
    )


def look(project: Project, outcome: MergeOutcome, *results: Captured) -> Findings:
    return look_at_merge(project.repo, RUN, project.base, pairs(*results), outcome, ())


def test_a_merge_that_has_everything_loses_nothing(project: Project) -> None:
    """Edits, additions, deletions, far lines of one file, and a rename with an edit behind it."""
    results = (
        project.result("one", {"a.txt": FAR_LINES.replace("line 3\n", "x\n"), "n/new.txt": "n\n"}),
        project.result("two", {"a.txt": FAR_LINES.replace("line 30\n", "y\n"), "b.txt": None}),
        project.result("three", {"d/one.txt": None, "moved.txt": FAR_LINES.replace("line", "row")}),
        project.result("four", {"d/one.txt": FAR_LINES.replace("line", "row") + "end\n"}),
    )
    outcome = merged(project, *results)
    assert not outcome.conflicts
    assert look(project, outcome, *results) == Findings()
    assert project.content(outcome.commit, "moved.txt").endswith("end\n")


def test_a_rename_that_git_finds_between_two_streams_is_no_loss(project: Project) -> None:
    """One deletes a file, another adds its like: a third one's change is carried there."""
    old = FAR_LINES.replace("line", "row")
    results = (
        project.result("adds", {"e/one.txt": old}),
        project.result("deletes", {"d/one.txt": None}),
        project.result("edits", {"d/one.txt": old + "end\n"}),
    )
    outcome = merged(project, *results)
    assert not outcome.conflicts
    assert project.content(outcome.commit, "e/one.txt").endswith("end\n")
    assert look(project, outcome, *results) == Findings()


OLD = FAR_LINES.replace("line", "row")
EDITED = OLD.replace("row 5\n", "five\n")
MORE = OLD + "end\n"

RENAMES: dict[str, tuple[dict[str, str | None], dict[str, str | None], dict[str, str]]] = {
    "renamed": (
        {"d/one.txt": None, "moved.txt": OLD},
        {"d/one.txt": EDITED},
        {"moved.txt": EDITED},
    ),
    "renamed and edited": (
        {"d/one.txt": None, "moved.txt": MORE},
        {"d/one.txt": EDITED},
        {"moved.txt": EDITED + "end\n"},
    ),
    "renamed, a like file beside it": (
        {"d/one.txt": None, "moved.txt": OLD, "like.txt": MORE},
        {"d/one.txt": EDITED},
        {"moved.txt": EDITED, "like.txt": MORE},
    ),
    "the folder renamed": (
        {"d/one.txt": None, "d/two.txt": None, "e/one.txt": OLD, "e/two.txt": "two\n"},
        {"d/one.txt": EDITED},
        {"e/one.txt": EDITED, "e/two.txt": "two\n"},
    ),
}


@pytest.mark.parametrize("is_whole", [True, False])
@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize("case", RENAMES)
def test_a_change_follows_a_rename_and_is_no_loss(
    case: str, is_first: bool, is_whole: bool, tmp_path: Path
) -> None:
    """Whoever comes first, and also when the first result is what the merge starts from."""
    renames, edits, files = RENAMES[case]
    before = {"d/one.txt": OLD, "d/two.txt": "two\n", "a.txt": "a\n"}
    project = open_project(make_repository(tmp_path / "user", before), tmp_path / "outside")
    results = [project.result("renames", renames), project.result("edits", edits)]
    if not is_first:
        results.reverse()
    start = results.pop(0) if is_whole else project.base
    outcome = merge_trees(project.repo, RUN, start, pairs(*results), message="m", stop_early=True)
    assert not outcome.conflicts
    found = look_at_merge(project.repo, RUN, start, pairs(*results), outcome, ())
    assert found.lost == ()
    for path, content in files.items():
        assert project.content(outcome.commit, path) == content
    spoiled = with_file(project, outcome, next(iter(files)), OLD)
    assert look_at_merge(project.repo, RUN, start, pairs(*results), spoiled, ()).lost


def test_a_new_file_follows_a_renamed_folder(tmp_path: Path) -> None:
    """With git's setting for that, a file that one adds goes where another has moved its folder."""
    user = make_repository(tmp_path / "user", {"d/one.txt": OLD, "d/two.txt": MORE})
    git(user, "config", "merge.directoryRenames", "true")
    project = open_project(user, tmp_path / "outside")
    moved = {"d/one.txt": None, "d/two.txt": None, "e/one.txt": OLD, "e/two.txt": MORE}
    results = [project.result("moves", moved), project.result("adds", {"d/new.txt": "new\n"})]
    outcome = merged(project, *results)
    assert project.content(outcome.commit, "e/new.txt") == "new\n"
    assert look(project, outcome, *results) == Findings()
    assert look(project, without_file(project, outcome, "e/new.txt"), *results).lost


def with_file(project: Project, outcome: MergeOutcome, path: str, content: str) -> MergeOutcome:
    """A merge that has something else at a path."""
    blob = git(project.repo.git_dir, "hash-object", "-w", "--stdin", stdin=content).strip()
    leaf = Leaf(path, "100644", blob)
    return replace(outcome, tree=overlaid(project.repo, RUN, outcome.tree, [leaf]))


def without_file(project: Project, outcome: MergeOutcome, path: str) -> MergeOutcome:
    """A merge that lacks a path."""
    tree = overlaid(project.repo, RUN, outcome.tree, [Leaf(path, "", None)])
    return replace(outcome, tree=tree)


def test_what_the_merge_started_from_is_a_side_too(project: Project) -> None:
    """One result is taken over whole, the others are merged onto it: far lines, and its renames."""
    old = FAR_LINES.replace("line", "row")
    first = {"a.txt": FAR_LINES.replace("line 3\n", "x\n"), "d/one.txt": None, "moved.txt": old}
    start = project.result("start", first)
    results = (
        project.result("far", {"a.txt": FAR_LINES.replace("line 30\n", "y\n")}),
        project.result("follows", {"d/one.txt": old + "end\n"}),
    )
    outcome = merge_trees(project.repo, RUN, start, pairs(*results), message="m", stop_early=True)
    assert not outcome.conflicts
    assert project.content(outcome.commit, "moved.txt").endswith("end\n")
    assert look_at_merge(project.repo, RUN, start, pairs(*results), outcome, ()) == Findings()
    without = replace(outcome, tree=start.tree)
    lost = look_at_merge(project.repo, RUN, project.base, pairs(*results), without, ()).lost
    assert lost == ("a.txt of far", "d/one.txt of follows")


def test_a_tree_that_lacks_a_change_is_found_out(project: Project) -> None:
    """Whatever went wrong: a file that is not there, one as it was before, one still there."""
    one = project.result("one", {"new.txt": "new\n", "a.txt": "changed\n", "b.txt": None})
    two = project.result("two", {"d/two.txt": "two\n"})
    outcome = replace(merged(project, one, two), tree=two.tree)
    assert look(project, outcome, one, two).lost == (
        *("a.txt of one", "b.txt of one", "new.txt of one"),
    )


def test_what_git_takes_without_a_word_is_told(project: Project) -> None:
    """Names that differ in case only, a nested repository, and what others obey."""
    one = project.result("one", {"Notes.txt": "1\n", "sub/.github/x.yml": "on: push\n"})
    workspace = project.workspace("two")
    (workspace.path / "notes.txt").write_text("2\n")
    nested = make_repository(workspace.path / "nested", {"x": "x\n"})
    assert git(nested, "rev-parse", "HEAD")
    two = project.capture(workspace)
    outcome = merged(project, one, two)
    text = "\n".join(look(project, outcome, one, two).warnings)
    assert "differ only in case were merged: " in text
    assert "Notes.txt" in text
    assert "nested repositories only a commit's name was merged: nested" in text
    assert "not in this repository: nested" in text
    assert "one changed what others run or obey: sub/.github/x.yml" in text


def test_markers_that_a_stream_left_are_told_of_the_merge_too(project: Project) -> None:
    text = "<<<<<<< a\n1\n=======\n2\n>>>>>>> b\n"
    one, two = project.result("one", {"m.txt": text}), project.result("two", {"b.txt": "2\n"})
    outcome = merged(project, one, two)
    assert look(project, outcome, one, two).warnings == ("conflict markers were merged in m.txt",)
