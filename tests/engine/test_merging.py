"""Merging results: git's own verdicts and trees, virtual bases, the union, conflicts by name."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

import pytest
from msgspec.structs import replace

from anabranch.core.events import Conflict
from anabranch.core.folds.resolutions import key_of
from anabranch.core.ids import StreamId
from anabranch.engine.git import Git
from anabranch.engine.workspaces import (
    Captured,
    GitError,
    MergeOutcome,
    RefMoved,
    decide_side,
    keep_ref,
    merge_trees,
    move_ref,
    read_ref,
    result_branch,
    result_ref,
    who_touched,
)
from anabranch.engine.workspaces.objects import Drafts, ObjectReader, many_changes
from anabranch.engine.workspaces.repository import frozen_view
from anabranch.engine.workspaces.union import Extent, Leaf, apply_leaves
from tests.engine.repositories import (
    FAR_LINES,
    RUN,
    Project,
    git,
    make_repository,
    merge_results,
    open_project,
    pairs,
    write,
)

BINARY = bytes(range(256)) * 8
FILES: dict[str, str | bytes | None] = {
    "a.txt": FAR_LINES,
    "b.txt": FAR_LINES.replace("line", "row"),
    "d/c.txt": FAR_LINES.replace("line", "item"),
    "d/e.txt": "short\n",
    "list.txt": "one\n",
    "image.bin": BINARY,
    ".gitattributes": "list.txt merge=union\n",
}

Side = Callable[[Path], None]


def edits(**files: str | bytes | None) -> Side:
    """A side that writes files; in names, __ stands for / and _dot_ for a dot."""
    named = {name.replace("__", "/").replace("_dot_", "."): text for name, text in files.items()}
    return lambda folder: write(folder, named)


def replaced(name: str, old: str, new: str) -> Side:
    """A side that changes one line."""
    return lambda folder: write(folder, {name: (folder / name).read_text().replace(old, new, 1)})


def moved(old: str, new: str, *more: Side) -> Side:
    """A side that renames a file, and does more."""

    def side(folder: Path) -> None:
        (folder / new).parent.mkdir(parents=True, exist_ok=True)
        (folder / old).rename(folder / new)
        for step in more:
            step(folder)

    return side


def linked(name: str, target: str) -> Side:
    """A side that puts a symbolic link in a file's place."""

    def side(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(target)

    return side


def made_executable(name: str) -> Side:
    """A side that changes a file's mode."""
    return lambda folder: (folder / name).chmod(0o755)


def turned_into_folder(name: str) -> Side:
    """A side that replaces a file by a folder."""

    def side(folder: Path) -> None:
        (folder / name).unlink()
        write(folder, {f"{name}/inside": "x\n"})

    return side


def nothing(folder: Path) -> None:
    """A side that does nothing."""


SCENARIOS: dict[str, tuple[Side, Side]] = {
    "disjoint files": (edits(x="1\n"), edits(y="2\n")),
    "far lines": (replaced("a.txt", "line 1\n", "A\n"), replaced("a.txt", "line 30\n", "B\n")),
    "identical": (edits(x="same\n"), edits(x="same\n")),
    "same line": (replaced("a.txt", "line 5\n", "A\n"), replaced("a.txt", "line 5\n", "B\n")),
    "add/add": (edits(x="1\n"), edits(x="2\n")),
    "binary": (edits(image_dot_bin=BINARY + b"1"), edits(image_dot_bin=BINARY + b"2")),
    "delete/edit": (edits(a_dot_txt=None), replaced("a.txt", "line 5\n", "B\n")),
    "edit/delete": (replaced("a.txt", "line 5\n", "B\n"), edits(a_dot_txt=None)),
    "rename/rename": (moved("a.txt", "x.txt"), moved("a.txt", "y.txt")),
    "rename/edit": (moved("a.txt", "x.txt"), replaced("a.txt", "line 5\n", "B\n")),
    "edit/rename": (replaced("a.txt", "line 5\n", "B\n"), moved("a.txt", "x.txt")),
    "folder rename/add": (
        moved("d/c.txt", "n/c.txt", moved("d/e.txt", "n/e.txt")),
        edits(d__new="new\n"),
    ),
    "rename/disjoint edit": (moved("a.txt", "x.txt"), replaced("b.txt", "row 5\n", "B\n")),
    "rename/disjoint add": (moved("a.txt", "x.txt"), edits(y="y\n")),
    "file to folder/edit": (turned_into_folder("a.txt"), replaced("a.txt", "line 5\n", "B\n")),
    "file and folder": (edits(n="1\n"), edits(n__f="2\n")),
    "folder and file": (edits(n__f="2\n"), edits(n="1\n")),
    "mode and edit": (made_executable("a.txt"), replaced("a.txt", "line 5\n", "B\n")),
    "mode and mode": (made_executable("a.txt"), made_executable("a.txt")),
    "links differ": (linked("l", "a.txt"), linked("l", "b.txt")),
    "file to link/edit": (linked("a.txt", "b.txt"), replaced("a.txt", "line 5\n", "B\n")),
    "union attribute": (edits(list_dot_txt="one\n1\n"), edits(list_dot_txt="one\n2\n")),
    "deletions": (edits(d__c_dot_txt=None), edits(d__e_dot_txt=None)),
    "one side": (edits(x="1\n"), nothing),
    "other side": (nothing, edits(x="1\n")),
    "odd names": (edits(**{"ü/ñ": "1\n"}), edits(**{"a\tb\nc": "2\n", " ": "3\n"})),
    "case twins": (edits(README="1\n"), edits(readme="2\n")),
}


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_verdict_and_tree_are_gits_own(scenario: str, tmp_path: Path) -> None:
    """Two results merge exactly when, and to exactly what, `git merge` makes of the same work."""
    user = make_repository(tmp_path / "user", FILES)
    project = open_project(user, tmp_path / "out")
    results = []
    for name, side in zip(("one", "two"), SCENARIOS[scenario], strict=True):
        workspace = project.workspace(name)
        side(workspace.path)
        results.append(project.capture(workspace))
    outcome = merge(project, results)
    judge = tmp_path / "judge"
    git(user, "worktree", "add", "-q", "--detach", str(judge), "HEAD")
    for result in results:
        git(judge, "merge", "-q", "--no-ff", "-m", "m", result.commit, check=False)
    conflicted = bool(git(judge, "ls-files", "-u"))
    assert bool(outcome.conflicts) is conflicted
    if not conflicted:
        assert outcome.tree == git(judge, "rev-parse", "HEAD^{tree}").strip()
        assert read_ref(project.repo, result_branch(RUN)) == outcome.commit
    else:
        (conflict,) = outcome.conflicts
        assert (conflict.late, conflict.others) == ("two", ("one",))
        assert read_ref(project.repo, result_branch(RUN)) is None


def merge(
    project: Project,
    results: list[Captured],
    *,
    leave_out: bool = False,
    expected: str | None = None,
) -> MergeOutcome:
    """Merges results onto the run's branch."""
    return merge_results(
        project.repo,
        RUN,
        project.base,
        results,
        message="Merge",
        ref=result_branch(RUN),
        expected=expected,
        leave_out_conflicts=leave_out,
    )


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A repository with a few files, opened."""
    return open_project(make_repository(tmp_path / "user", FILES), tmp_path / "out")


def test_conflict_carries_kind_and_all_sides(project: Project) -> None:
    """Kinds are git's own, and the blobs of base and both sides can be shown."""
    results = [project.result("one", {"a.txt": "1\n"}), project.result("two", {"a.txt": None})]
    (conflict,) = merge(project, results).conflicts
    (path,) = conflict.paths
    assert (path.path, path.kind) == ("a.txt", "modify/delete")
    assert git(project.user, "cat-file", "-p", path.ours or "") == "1\n"
    assert path.base is not None
    assert path.theirs is None


def test_conflicting_result_can_be_left_out(project: Project) -> None:
    """The others are merged in order, and the conflict names the stream it is against."""
    results = [
        project.result("one", {"a.txt": "1\n"}),
        project.result("two", {"b.txt": "2\n"}),
        project.result("three", {"a.txt": "3\n"}),
        project.result("four", {"y": "4\n"}),
    ]
    outcome = merge(project, results, leave_out=True)
    assert outcome.merged == ("one", "two", "four")
    assert [(c.late, c.others) for c in outcome.conflicts] == [("three", ("one",))]
    assert project.content(outcome.commit, "a.txt") == "1\n"
    assert read_ref(project.repo, result_branch(RUN)) == outcome.commit


def test_successive_snapshots_of_one_stream_do_not_conflict(project: Project) -> None:
    """Each capture is merged over what the last one left; uncommitted work never fights itself."""
    onto: MergeOutcome | None = None
    workspace = project.workspace("one")
    start_tree = workspace.start_tree
    for step in range(4):
        write(workspace.path, {"a.txt": f"step {step}\n"})
        result = project.capture(workspace)
        other = project.result(f"other{step}", {f"o{step}": "x\n"})
        successive = replace(result, start_tree=start_tree)
        onto = merge_results(
            project.repo, RUN, onto or project.base, [successive, other], message="Merge",
            ref=result_branch(RUN), expected=onto.commit if onto else None,
        )  # fmt: skip
        assert not onto.conflicts
        start_tree = result.tree
    assert onto is not None
    assert project.content(onto.commit, "a.txt") == "step 3\n"


def test_dependents_bring_only_their_own_change(project: Project) -> None:
    """A stream that started from another's result merges with and without that other."""
    one = project.result("one", {"a.txt": "1\n"})
    two = project.result("two", {"b.txt": "2\n"}, one)
    assert project.content(two.commit, "a.txt") == "1\n"
    both = merge(project, [one, two])
    assert not both.conflicts
    assert project.content(both.commit, "a.txt") == "1\n"
    alone = merge(project, [two], expected=both.commit)
    assert project.files_of(alone.commit)["a.txt"] == project.files_of(project.base.commit)["a.txt"]
    assert project.content(alone.commit, "b.txt") == "2\n"


def test_dependencies_that_conflict_make_no_workspace(project: Project) -> None:
    """The conflict comes as a value, at the moment of preparing."""
    one = project.result("one", {"a.txt": "1\n"})
    two = project.result("two", {"a.txt": "2\n"})
    conflict = project.prepare("three", one, two)
    assert isinstance(conflict, Conflict)
    assert (conflict.late, conflict.others) == ("two", ("one",))
    assert not (project.outside / "workspaces" / "three.1").exists()


def test_the_same_merge_twice_is_the_same_commit(project: Project) -> None:
    """A merge repeated after a crash changes nothing, though the branch has moved already."""
    results = [project.result("one", {"x": "1\n"}), project.result("two", {"y": "2\n"})]
    assert merge(project, results) == merge(project, results)


def test_branch_moves_only_by_compare_and_swap(project: Project) -> None:
    """A branch that someone else moved stays where they put it."""
    one = project.result("one", {"x": "1\n"})
    keep_ref(project.repo, result_branch(RUN), project.base.commit)
    with pytest.raises(RefMoved) as caught:
        merge(project, [one])
    assert caught.value.hint
    assert read_ref(project.repo, result_branch(RUN)) == project.base.commit
    with pytest.raises(GitError):
        move_ref(project.repo, result_branch(RUN), one.commit, one.commit)


def test_a_branch_that_is_locked_is_not_said_to_have_moved(project: Project) -> None:
    """The hint says what to do about the lock, and the branch moves once that has gone."""
    commit = merge(project, [project.result("one", {"a.txt": "1\n"})]).commit
    lock = project.repo.git_dir / "refs/heads/main.lock"
    lock.touch()
    with pytest.raises(RefMoved) as caught:
        move_ref(project.repo, "refs/heads/main", commit, project.base.commit)
    assert "lock" in caught.value.hint
    assert "something else moved it" not in caught.value.hint
    lock.unlink()
    move_ref(project.repo, "refs/heads/main", commit, project.base.commit)


def test_merge_history_has_the_real_parents(project: Project) -> None:
    """Each merge joins the line so far with the stream's commit; nothing synthetic gets in."""
    one, two = project.result("one", {"x": "1\n"}), project.result("two", {"y": "2\n"})
    outcome = merge(project, [one, two])
    lines = git(project.user, "log", "--format=%P", "--first-parent", outcome.commit).splitlines()
    assert [line.split()[-1] for line in lines[:2]] == [two.commit, one.commit]
    git(project.user, "fsck", "--strict")


def test_result_without_changes_is_merged_without_a_commit(project: Project) -> None:
    """A stream that changed nothing counts as merged."""
    outcome = merge(project, [project.result("idle", {})])
    assert outcome.merged == ("idle",)
    assert outcome.commit == project.base.commit


@pytest.mark.parametrize("name", ["a.txt", os.fsdecode(b"caf\xe9.txt")])
@pytest.mark.parametrize(("side", "text"), [("ours", "1\n"), ("theirs", "2\n")])
def test_conflict_is_settled_by_choosing_a_side(
    project: Project, side: Literal["ours", "theirs"], text: str, name: str
) -> None:
    """The chosen side's files make a merge with both parents; the name may be no UTF-8."""
    one = project.result("one", {name: "1\n", "x": "x\n"})
    two = project.result("two", {name: "2\n", "y": "y\n"})
    outcome = merge(project, [one, two], leave_out=True)
    (conflict,) = outcome.conflicts
    assert who_touched(project.repo, RUN, pairs(one, two), conflict.paths) == ("one", "two")
    decisions = {key_of(path): decide_side(path, side) for path in conflict.paths}
    settled = merge_trees(
        project.repo, RUN, project.base, pairs(one, two), message="Settle", stop_early=True,
        decisions=decisions,
    )  # fmt: skip
    assert settled.merged == ("one", "two")
    assert project.content(settled.commit, name) == text
    assert {"x", "y"} <= project.files_of(settled.commit).keys()


def test_a_streams_merge_driver_is_never_run(project: Project) -> None:
    """A driver that a stream defines in the shared configuration is not what the run trusts."""
    mark = project.outside / "ran"
    driver = f"touch {mark}; false"
    one = project.workspace("one")
    write(one.path, {"a.txt": "1\n", ".gitattributes": "* merge=evil filter=evil diff=evil\n"})
    for key in ("merge.evil.driver", "filter.evil.clean", "filter.evil.smudge"):
        git(one.path, "config", key, driver)
    two = project.result("two", {"a.txt": "2\n"})
    outcome = merge(project, [project.capture(one), two])
    assert outcome.conflicts
    project.workspace("three", project.capture(one))
    assert not mark.exists()


NAMES = ("a", "b", "c", "d/a", "d/b", "d/e/a", "f/a", "f/b", "g")


def test_union_equals_gits_merge_on_random_trees(tmp_path: Path) -> None:
    """Whenever the union says it is certain, git makes the same tree of it, without conflict."""
    chance = random.Random(20260101)
    project = open_project(make_repository(tmp_path / "user", FILES), tmp_path / "out")
    bodies = ["\n".join(chance.choice("abcdefgh") * 5 for _ in range(12)) for _ in range(6)]
    united = 0
    for number in range(40):
        start = {name: chance.choice(bodies) for name in chance.sample(NAMES, 6)}
        trees = [start, changed(chance, start, bodies), changed(chance, start, bodies)]
        base, ours, theirs = (tree_of(project, number, files) for files in trees)
        results = results_of(project, base, {"o": ours, "t": theirs})
        first, second = many_changes(frozen_view(project.repo, RUN), [(base, ours), (base, theirs)])
        certain = Extent(first).unites_with(second)
        united += certain and bool(first) and bool(second)
        start_point = MergeOutcome(results[0].start_commit, base, ())
        merged = merge_results(
            project.repo, RUN, start_point, results, message="m",
            ref=f"refs/anabranch/test/{number}", expected=None, leave_out_conflicts=True,
        )  # fmt: skip
        answer = git(
            project.user, "merge-tree", "--write-tree", "-z", "--no-messages",
            results[0].commit, results[1].commit, check=False,
        ).split("\0")  # fmt: skip
        clean = len(answer) == 2
        assert bool(merged.conflicts) is not clean
        if clean:
            assert merged.tree == answer[0], (trees, certain)
        assert clean or not certain
    assert united >= 8


def changed(chance: random.Random, start: dict[str, str], bodies: list[str]) -> dict[str, str]:
    """One to three random edits, additions, deletions and renames of a set of files."""
    files = dict(start)
    for _ in range(chance.randint(1, 3)):
        kind = chance.choice(("edit", "edit", "add", "add", "delete", "rename", "split"))
        name = chance.choice(sorted(files)) if files else "a"
        if kind == "edit" and name in files:
            files[name] += f"\nmore {chance.random()}"
        elif kind == "add":
            files[f"{chance.choice(('', 'd/', 'f/', 'n/'))}new{chance.randint(0, 3)}"] = (
                chance.choice(bodies)
            )
        elif kind == "split":
            files[f"n{chance.randint(0, 1)}/deep/x"] = chance.choice(bodies)
        else:
            body = files.pop(name, None)
            if kind == "rename" and body is not None:
                files[f"r/{name.replace('/', '-')}"] = body
    return files


def tree_of(project: Project, number: int, files: dict[str, str]) -> str:
    """A tree of these files; a path in a folder drops a file of the folder's name."""
    index = str(project.outside / f"index-{number}-{len(os.listdir(project.outside))}-{id(files)}")
    view = Git(git_dir=project.user / ".git", index=Path(index), cwd=project.user)
    view.run("read-tree", "--empty")
    for name, body in files.items():
        blob = view.run("hash-object", "-w", "--stdin", stdin=body.encode()).text
        view.run("update-index", "--add", "--replace", "--cacheinfo", f"100644,{blob},{name}")
    return view.run("write-tree").text


def results_of(project: Project, base: str, trees: Mapping[str, str]) -> list[Captured]:
    """Results that grew from one commit of the base tree, as git's own verdict needs it."""
    start = git(project.user, "commit-tree", "-m", "start", base).strip()
    return [
        Captured(
            git(project.user, "commit-tree", "-m", name, "-p", start, tree).strip(),
            tree,
            start,
            base,
            stream=StreamId(name),
        )
        for name, tree in trees.items()
    ]


def test_drafts_survive_being_many(project: Project) -> None:
    """More objects than are unpacked one by one go in as a pack, and git finds them sound."""
    drafts = Drafts("sha1")
    names = [drafts.add("blob", f"blob {number}".encode()) for number in range(150)]
    drafts.store(frozen_view(project.repo, RUN))
    assert git(project.user, "cat-file", "-p", names[-1]) == "blob 149"
    git(project.user, "fsck", "--strict")


def test_hundred_results_merge_into_one_history(project: Project) -> None:
    """Every stream of a wide run is in the result, each by a merge of its own."""
    results = []
    for number in range(100):
        commit_tree = choose_files(project, {f"w/{number % 10}/f{number}": f"{number}\n"})
        commit = git(
            project.user, "commit-tree", "-m", "w", "-p", project.base.commit, commit_tree
        ).strip()
        keep_ref(project.repo, result_ref(RUN, StreamId(f"s{number}")), commit)
        base = project.base
        stream = StreamId(f"s{number}")
        results.append(Captured(commit, commit_tree, base.commit, base.tree, stream=stream))
    outcome = merge(project, results)
    assert len(outcome.merged) == 100
    assert len(project.files_of(outcome.commit)) == 100 + len(FILES)
    count = git(project.user, "rev-list", "--count", "--merges", outcome.commit).strip()
    assert count == "100"


def choose_files(project: Project, files: dict[str, str]) -> str:
    """The base's tree with more files."""
    drafts = Drafts("sha1")
    leaves = [
        Leaf(name, "100644", drafts.add("blob", body.encode())) for name, body in files.items()
    ]
    view = frozen_view(project.repo, RUN)
    with ObjectReader(view) as reader:
        tree = apply_leaves(reader, drafts, project.base.tree, leaves)
    drafts.store(view)
    return tree


def test_a_reader_that_is_asked_nothing_starts_no_git(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Most merges of few streams need no object read."""
    started: list[object] = []
    monkeypatch.setattr("subprocess.Popen", lambda *_, **__: started.append(1))
    with ObjectReader(frozen_view(project.repo, RUN)):
        pass
    assert not started


def test_many_objects_are_read_as_one_by_one(project: Project) -> None:
    """More than are asked for at a time, and some that are not there."""
    view, drafts = frozen_view(project.repo, RUN), Drafts("sha1")
    names = [drafts.add("blob", b"%d" % n) for n in range(150)]
    drafts.store(view)
    names[70] = "1" * 40
    with ObjectReader(view) as reader:
        assert list(reader.read_all(names)) == [reader.read(name) for name in names]


@pytest.mark.parametrize("said", ["$name tree 300\\n", "$name tree 300\\nhalf", "$name tr", ""])
def test_what_a_git_that_was_ended_has_said_of_a_tree_is_no_tree(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    """Else all of its files would count as removed: with what was put into it, it would be all."""
    ended = tmp_path / "bin" / "git"
    write(ended.parent, {"git": f'#!/bin/sh\nread -r verb name; printf "{said}"\n'})
    ended.chmod(0o755)
    view, leaf = frozen_view(project.repo, RUN), Leaf("new", "100644", "1" * 40)
    monkeypatch.setenv("PATH", f"{ended.parent}:{os.environ['PATH']}")
    with ObjectReader(view) as reader, pytest.raises(GitError, match="stopped answering"):
        apply_leaves(reader, Drafts("sha1"), project.base.tree, [leaf])


def test_nothing_is_put_into_a_tree_that_is_not_there(project: Project) -> None:
    leaf = Leaf("new", "100644", "1" * 40)
    with (
        ObjectReader(frozen_view(project.repo, RUN)) as reader,
        pytest.raises(GitError, match="is not there"),
    ):
        apply_leaves(reader, Drafts("sha1"), "2" * 40, [leaf])
