"""A workspace for every handler: real repositories, the real program, real kills."""

from __future__ import annotations

import json
import os
import select
import signal
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from anabranch.core.ids import StreamId
from anabranch.core.plans.plan import WorkspaceMethod
from anabranch.engine.git import GitError
from anabranch.engine.handler_workspaces import HandlerWorkspaces
from anabranch.engine.workspaces import Captured, PreparedWorkspace, handler_ground
from anabranch.engine.workspaces.handler_chain import read_chain
from anabranch.engine.workspaces.handler_folders import (
    Assignment,
    assignment_of,
    handler_workspaces,
)
from anabranch.engine.workspaces.handler_settling import (
    StillAtWork,
    alone_with_handlers,
    settle_handlers,
)
from anabranch.engine.workspaces.layers.mounting import mounted_below
from anabranch.engine.workspaces.records import record_path
from anabranch.handlers.apart import Workspaces
from tests.engine import repositories
from tests.engine.repositories import (
    FAR_LINES,
    RUN,
    Project,
    git,
    make_repository,
    open_project,
    write,
)

DOCS = StreamId("docs")
FILES = {"a": "a\n", "b": "b\n", "far": FAR_LINES, "old/name": FAR_LINES, "gone": "gone\n"}
Files = Mapping[str, str | bytes | None]


class Fan:
    """A stream, and its handlers one after the other or side by side."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.stream = project.workspace("docs")
        folder, method = project.outside / "handlers" / "docs", repositories.METHOD
        self.given = Assignment(project.repo, RUN, DOCS, 1, "isolated", folder, method=method)
        self.works = HandlerWorkspaces(self.given)

    def make(self, place: int) -> tuple[int, Path]:
        made = self.works.make(place)
        return made["number"], Path(made["path"])

    def taken(self, place: int, number: int) -> tuple[int, Captured]:
        captured = self.works.capture(place, number)
        assert isinstance(captured, Captured)
        return place, captured

    def merge(self, *taken: tuple[int, Captured]) -> dict[int, str]:
        return self.works.merge(list(taken))

    def do(self, place: int, files: Files) -> dict[int, str]:
        """Run one handler from its start to its merge."""
        number, path = self.make(place)
        write(path, files)
        refused = self.merge(self.taken(place, number))
        if place in refused:
            self.works.put_away(place, number)
        else:
            self.works.give_back(place, number)
        return refused

    @property
    def files(self) -> dict[str, str]:
        """What the stream's workspace holds, but what git ignores."""
        names = git(self.stream.path, "ls-files", "-co", "--exclude-standard").split()
        there = (self.stream.path / name for name in names)
        return {str(p.relative_to(self.stream.path)): p.read_text() for p in there if p.exists()}

    @property
    def left(self) -> list[PreparedWorkspace]:
        return list(handler_workspaces(self.project.repo, RUN, DOCS))

    def refs(self, kind: str) -> list[str]:
        shape = "--format=%(refname)"
        return git(self.project.user, "for-each-ref", shape, f"refs/anabranch/{kind}").split()


@pytest.fixture
def fan(tmp_path: Path, workspace_method: WorkspaceMethod) -> Fan:
    user = make_repository(tmp_path / "user", {**FILES, ".gitignore": "*.tmp\n"})
    return Fan(open_project(user, tmp_path / "outside"))


# --- merges --------------------------------------------------------------------------------------


def test_handlers_see_what_those_before_them_have_done(fan: Fan) -> None:
    assert not fan.do(0, {"a": "new a\n"})
    _, path = fan.make(1)
    assert (path / "a").read_text() == "new a\n"
    assert not (path / ".git").is_dir()


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
def test_disjoint_work_comes_to_the_same_in_any_order(fan: Fan, order: tuple[int, ...]) -> None:
    """Edits, additions, deletions, modes and links of handlers side by side are all there."""
    made = {place: fan.make(place) for place in range(3)}
    write(made[0][1], {"a": "new a\n", "sub/new": "new\n"})
    write(made[1][1], {"gone": None})
    (made[1][1] / "b").chmod(0o755)
    os.symlink("/etc/passwd", made[2][1] / "link")
    write(made[2][1], {"binary": b"\0\1\2"})
    assert not fan.merge(*(fan.taken(place, made[place][0]) for place in order))
    assert fan.works.deliver() is None
    tree = git(fan.project.user, "ls-tree", "-r", fan.works.chain.commit)
    assert git(fan.stream.path, "ls-tree", "-r", "HEAD") == tree
    assert git(fan.stream.path, "status", "--porcelain") == ""
    listed = {line.split("\t")[1]: line.split()[0] for line in tree.splitlines()}
    assert listed["b"] == "100755"
    assert listed["link"] == "120000"
    assert "gone" not in listed
    assert os.readlink(fan.stream.path / "link") == "/etc/passwd"
    assert (fan.stream.path / "binary").read_bytes() == b"\0\1\2"
    expected = {
        "a": "new a\n",
        "sub/new": "new\n",
        "b": "b\n",
    }
    assert {name: (fan.stream.path / name).read_text() for name in expected} == expected


def test_two_ends_of_one_file_are_merged(fan: Fan) -> None:
    first, last = fan.make(0), fan.make(1)
    write(first[1], {"far": FAR_LINES.replace("line 0\n", "first\n")})
    write(last[1], {"far": FAR_LINES.replace("line 39\n", "last\n")})
    assert not fan.merge(fan.taken(0, first[0]), fan.taken(1, last[0]))
    fan.works.deliver()
    assert fan.files["far"].startswith("first\n")
    assert fan.files["far"].endswith("last\n")


def test_an_edit_follows_a_rename(fan: Fan) -> None:
    moved, edited = fan.make(0), fan.make(1)
    (moved[1] / "old").rename(moved[1] / "new")
    write(edited[1], {"old/name": FAR_LINES.replace("line 20\n", "edited\n")})
    assert not fan.merge(fan.taken(0, moved[0]), fan.taken(1, edited[0]))
    fan.works.deliver()
    assert "edited\n" in fan.files["new/name"]
    assert "old/name" not in fan.files


def test_what_does_not_merge_is_kept_and_named_and_another_try_starts_from_the_newest(
    fan: Fan,
) -> None:
    one, other = fan.make(0), fan.make(1)
    write(one[1], {"a": "one\n"})
    write(other[1], {"a": "other\n", "more": "more\n"})
    assert not fan.merge(fan.taken(0, one[0]))
    refused = fan.merge(fan.taken(1, other[0]))
    assert refused == {1: "it does not merge with what other handlers have done: a"}
    kept = fan.works.put_away(1, other[0])
    assert kept == f"refs/anabranch/partial/{RUN}/docs@1.1"
    assert git(fan.project.user, "show", f"{kept}:a") == "other\n"
    assert git(fan.project.user, "show", f"{kept}:more") == "more\n"
    assert not other[1].exists()
    number, path = fan.make(1)
    assert number == 2, "the work of the first try is kept under its own number"
    assert (path / "a").read_text() == "one\n"
    write(path, {"a": "both\n"})
    assert not fan.merge(fan.taken(1, number))
    fan.works.deliver()
    assert fan.files["a"] == "both\n"
    assert git(fan.project.user, "show", f"{kept}:a") == "other\n"


def test_only_what_conflicts_is_left_out_of_many(fan: Fan) -> None:
    made = [fan.make(place) for place in range(4)]
    for place, (_, path) in enumerate(made):
        write(path, {f"of {place}": "x\n", **({"a": f"{place}\n"} if place % 2 else {})})
    refused = fan.merge(*(fan.taken(place, number) for place, (number, _) in enumerate(made)))
    assert list(refused) == [3]
    fan.works.deliver()
    assert (fan.stream.path / "a").read_text() == "1\n"
    assert sorted(p.name for p in fan.stream.path.glob("of *")) == ["of 0", "of 1", "of 2"]


def test_what_a_handler_committed_and_tagged_is_kept(fan: Fan) -> None:
    number, path = fan.make(0)
    write(path, {"a": "committed\n"})
    git(path, "commit", "-qam", "of a handler")
    git(path, "tag", "mine")
    assert not fan.merge(fan.taken(0, number))
    fan.works.give_back(0, number)
    assert "of a handler" in git(fan.project.user, "log", "--format=%s", fan.works.chain.commit)
    assert fan.refs("made") == [f"refs/anabranch/made/{RUN}/docs@0.1/tags/mine"]
    assert not path.exists()


def test_nothing_done_is_nothing_kept(fan: Fan) -> None:
    assert not fan.do(0, {})
    number, _ = fan.make(1)
    assert fan.works.put_away(1, number) == ""
    assert fan.works.deliver() is None
    assert (fan.left, fan.refs("partial"), fan.refs("rescue")) == ([], [], [])
    assert git(fan.stream.path, "rev-parse", "HEAD").strip() == fan.stream.start_commit


def test_merged_workspaces_are_gone_with_all_notes_of_them(fan: Fan) -> None:
    for place in range(3):
        assert not fan.do(place, {f"{place}": "x\n"})
    assert (fan.left, fan.refs("partial"), fan.refs("rescue")) == ([], [], [])
    assert list(fan.given.folder.iterdir()) == []
    assert list((fan.project.outside / "store").rglob("docs@*")) == []


def test_what_git_ignores_is_not_merged_and_parked_as_with_streams(fan: Fan) -> None:
    assert not fan.do(0, {"x.tmp": "built\n", "a": "new\n"})
    fan.works.deliver()
    assert not (fan.stream.path / "x.tmp").exists()
    (ref,) = fan.refs("rescue")
    assert git(fan.project.user, "show", f"{ref}:x.tmp") == "built\n"
    assert fan.left == []


# --- what is hostile -----------------------------------------------------------------------------


def test_repositories_inside_are_nobodys_commands(fan: Fan, tmp_path: Path) -> None:
    """A nested repository whose settings name programs starts none, and its folder is kept."""
    number, path = fan.make(0)
    inner = make_repository(path / "inner", {"x": "x\n"})
    git(inner, "config", "core.fsmonitor", f"touch {tmp_path}/ran")
    git(inner, "config", "filter.x.clean", f"touch {tmp_path}/ran")
    write(path, {"a": "new\n"})
    assert not fan.merge(fan.taken(0, number))
    fan.works.give_back(0, number)
    assert not (tmp_path / "ran").exists()
    assert inner.exists(), "nothing proves that it is kept elsewhere"


def test_settings_of_a_handlers_repository_start_nothing(fan: Fan, tmp_path: Path) -> None:
    number, path = fan.make(0)
    git(path, "config", "filter.evil.clean", f"touch {tmp_path}/ran; cat")
    git(path, "config", "core.hooksPath", str(tmp_path))
    write(path, {".gitattributes": "* filter=evil\n", "a": "new\n"})
    assert not fan.merge(fan.taken(0, number))
    fan.works.give_back(0, number)
    fan.works.deliver()
    assert not (tmp_path / "ran").exists()
    assert fan.files["a"] == "new\n"


def test_a_folder_that_became_a_link_leads_nowhere(fan: Fan, tmp_path: Path) -> None:
    """A link out of the workspace is merged as a link; what follows does not go through it."""
    outside = tmp_path / "outside-of-all"
    outside.mkdir()
    number, path = fan.make(0)
    os.symlink(outside, path / "way")
    assert not fan.merge(fan.taken(0, number))
    fan.works.deliver()
    second, path = fan.make(1)
    (path / "way").unlink()
    write(path, {"way/file": "x\n"})
    assert not fan.merge(fan.taken(1, second))
    fan.works.deliver()
    assert list(outside.iterdir()) == []
    assert (fan.stream.path / "way" / "file").read_text() == "x\n"


@pytest.mark.only_folders
def test_a_swapped_workspace_is_not_taken_for_work(fan: Fan, tmp_path: Path) -> None:
    number, path = fan.make(0)
    path.rename(tmp_path / "aside")
    path.mkdir()
    with pytest.raises(GitError, match="another folder stands in its place"):
        fan.works.capture(0, number)
    fan.works.put_away(0, number)
    assert path.exists()


# --- the stream's workspace ----------------------------------------------------------------------


def test_what_others_wrote_there_stays_and_what_is_in_the_way_is_kept(fan: Fan) -> None:
    write(fan.stream.path, {"beside": "mine\n", "a": "in the way\n", "b": "edited\n"})
    assert not fan.do(0, {"a": "merged\n", "c.tmp": "x"})
    ref = fan.works.deliver()
    assert ref == f"refs/anabranch/rescue/{RUN}/docs.1"
    assert git(fan.project.user, "show", f"{ref}:a") == "in the way\n"
    assert fan.files["a"] == "merged\n"
    assert fan.files["beside"] == "mine\n"
    assert fan.files["b"] == "edited\n"
    assert not fan.do(1, {"far": "short\n"})
    assert fan.works.deliver() is None
    assert fan.files["far"] == "short\n"
    assert fan.files["beside"] == "mine\n"


def test_even_an_ignored_file_in_the_way_is_kept(fan: Fan) -> None:
    write(fan.stream.path, {"x.tmp": "mine\n"})
    number, path = fan.make(0)
    write(path, {"x.tmp": "by force\n"})
    git(path, "add", "-f", "x.tmp")
    assert not fan.merge(fan.taken(0, number))
    ref = fan.works.deliver()
    assert ref is not None
    assert git(fan.project.user, "show", f"{ref}:x.tmp") == "mine\n"
    assert (fan.stream.path / "x.tmp").read_text() == "by force\n"


def test_handlers_start_from_what_is_not_committed_there(fan: Fan) -> None:
    """As after a retry: the work of the attempt before is there, and not committed."""
    write(fan.stream.path, {"a": "before\n", "new": "before\n"})
    later = Fan.__new__(Fan)
    later.project, later.stream, later.given = fan.project, fan.stream, fan.given
    git(fan.project.user, "update-ref", "-d", f"refs/anabranch/handlers/{RUN}/docs.1")
    later.works = HandlerWorkspaces(fan.given)
    _, path = later.make(0)
    assert (path / "a").read_text() == "before\n"
    write(path, {"a": "after\n"})
    assert not later.merge(later.taken(0, 1))
    assert later.works.deliver() is None
    assert later.files["a"] == "after\n"
    assert later.files["new"] == "before\n"


def test_the_streams_own_capture_goes_on_as_before(fan: Fan) -> None:
    assert not fan.do(0, {"a": "new\n"})
    assert not fan.do(1, {"b": "new\n"})
    fan.works.deliver()
    result = fan.project.capture(fan.stream)
    assert result.commit == fan.works.chain.commit
    assert (result.files_changed, result.warnings) == (2, ())


# --- layers --------------------------------------------------------------------------------------


@pytest.fixture
def layered(fan: Fan, tmp_path: Path, workspace_method: WorkspaceMethod) -> Fan:
    if workspace_method != "overlay":
        pytest.skip("of layers only")
    return fan


def all_below(folder: Path) -> set[str]:
    found = (path for path in folder.rglob("*") if not path.is_dir())
    return {path.relative_to(folder).as_posix() for path in found}


def test_a_workspace_is_a_layer_and_its_capture_reads_no_other(layered: Fan) -> None:
    """Nothing is checked out, git is not asked what has changed, and the mount goes with it."""
    number, path = layered.make(0)
    (made,) = layered.left
    assert made.layers is not None
    assert path in mounted_below(layered.given.folder)
    assert all_below(made.layers.upper) == {".git"}
    write(path, {"a": "new\n", "sub/b": "b\n"})
    assert all_below(made.layers.upper) == {".git", "a", "sub/b"}
    private = layered.project.outside / "store" / "runs" / RUN / "index" / "docs@0.1"
    before = private.stat()
    assert not layered.merge(layered.taken(0, number))
    assert private.stat() == before, "git has gone through the whole folder"
    layered.works.give_back(0, number)
    assert mounted_below(layered.given.folder) == []
    assert not made.layers.upper.parent.exists()


def test_what_is_merged_becomes_a_layer_once_it_is_much(
    layered: Fan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Removed, replaced and new files alike; it goes when nothing stands on it."""
    monkeypatch.setattr(handler_ground, "LEAST_WRITTEN", 2)
    assert not layered.do(0, {"a": "new a\n", "gone": None, "sub/new": "new\n", "old/name": None})
    write_instead: Files = {"old": "a file in a folder's place\n"}
    first, path = layered.make(1)
    assert not (path / "old").exists()
    write(path, {**write_instead, "b": None, "b/in": "a folder in a file's place\n"})
    steps = handler_ground.steps_folder(layered.given.folder)
    (step,) = steps.iterdir()
    layers = layered.left[0].layers
    assert layers is not None
    assert layers.lower[0] == step / "files"
    assert all_below(layers.upper) == {".git", "old", "b/in"}
    assert not layered.merge(layered.taken(1, first))
    second, path = layered.make(2)
    assert all_below(path) == {".git", ".gitignore", "a", "b/in", "far", "old", "sub/new"}
    assert git(path, "status", "--porcelain") == ""
    assert step.exists(), "a workspace stands on it"
    layered.works.give_back(1, first)
    write(path, {"far": "short\n"})
    assert not layered.merge(layered.taken(2, second))
    layered.works.give_back(2, second)
    layered.works.deliver()
    assert layered.files == {
        ".gitignore": "*.tmp\n",
        "a": "new a\n",
        "sub/new": "new\n",
        "b/in": "a folder in a file's place\n",
        "old": "a file in a folder's place\n",
        "far": "short\n",
    }
    (steps / "half" / "files").mkdir(parents=True)
    assert settle_handlers(layered.project.repo, layered.stream, layered.given.folder, 0) == ()
    assert list(steps.iterdir()) == []


def test_who_stands_in_a_workspace_keeps_it_and_nothing_else(layered: Fan) -> None:
    """A process that a handler has left there: the work counts, and the folder goes later."""
    made = {place: layered.make(place) for place in range(2)}
    for place, (_, path) in made.items():
        write(path, {f"of {place}": "x\n"})
    places = [os.open(path, os.O_RDONLY) for _, path in made.values()]
    assert not layered.merge(layered.taken(0, made[0][0]))
    layered.works.give_back(0, made[0][0])
    ref = f"refs/anabranch/partial/{RUN}/docs@1.1"
    assert layered.works.put_away(1, made[1][0]) == ref
    assert [path.is_dir() for _, path in made.values()] == [True, True]
    assert settle_handlers(layered.project.repo, layered.stream, layered.given.folder, 0) == (
        f"what handler 1 had done is kept by {ref}",
    )
    assert (layered.stream.path / "of 0").exists()
    for place in places:
        os.close(place)
    layered.works.clear([])
    assert (layered.left, mounted_below(layered.given.folder)) == ([], [])
    assert git(layered.project.user, "show", f"{ref}:of 1") == "x\n"


def test_mounts_that_a_killed_program_was_making_are_taken_away(layered: Fan) -> None:
    """Killed before the note was written: nobody was ever in there, so nothing is kept."""
    number, path = layered.make(0)
    (made,) = layered.left
    assert made.layers is not None
    write(path, {"a": "half"})
    record_path(layered.project.repo, RUN, made.stream, number).unlink()
    doomed = made.layers.upper.parent.with_name(".docs@7.1.reclaimed")
    (doomed / "upper").mkdir(parents=True)
    assert layered.works.clear([]) == []
    assert (mounted_below(layered.given.folder), path.exists()) == ([], False)
    assert list(doomed.parent.glob("*docs@*")) == []
    assert (layered.make(0)[1] / "a").read_text() == "a\n"


# --- crashes -------------------------------------------------------------------------------------


def test_what_was_merged_is_delivered_and_what_was_not_is_kept_after_a_crash(fan: Fan) -> None:
    done, doing = fan.make(0), fan.make(1)
    write(done[1], {"a": "done\n"})
    write(doing[1], {"b": "half\n"})
    assert not fan.merge(fan.taken(0, done[0]))
    said = settle_handlers(fan.project.repo, fan.stream, fan.given.folder, 0)
    ref = f"refs/anabranch/partial/{RUN}/docs@1.1"
    assert said == (f"what handler 1 had done is kept by {ref}",)
    assert git(fan.project.user, "show", f"{ref}:b") == "half\n"
    assert (fan.files["a"], fan.files["b"]) == ("done\n", "b\n")
    assert fan.left == []
    assert settle_handlers(fan.project.repo, fan.stream, fan.given.folder, 0) == ()
    chain = read_chain(fan.project.repo, RUN, DOCS, 1)
    assert chain is not None
    assert chain.places == {0}


@pytest.mark.parametrize("is_renamed", [False, True])
def test_files_that_were_half_written_are_written_whole(fan: Fan, is_renamed: bool) -> None:
    """Killed in the middle of writing: some files new, the index old and locked."""
    assert not fan.do(0, {"a": "new\n", "b": "new\n", "gone": None})
    write(fan.stream.path, {"a": "new\n"})
    git_dir = Path(git(fan.stream.path, "rev-parse", "--git-dir").strip())
    (git_dir / "index.lock").touch()
    private = fan.project.outside / "store" / "runs" / RUN / "index"
    (private / "docs.1.handlers.lock").touch()
    if is_renamed:
        (fan.stream.path / "gone").unlink()
    assert settle_handlers(fan.project.repo, fan.stream, fan.given.folder, 0) == ()
    assert (fan.files["a"], fan.files["b"]) == ("new\n", "new\n")
    assert "gone" not in fan.files
    assert fan.refs("rescue") == []


def test_what_was_half_made_is_removed_and_what_is_noted_is_not(fan: Fan) -> None:
    """Killed while it made a workspace: nobody was ever in there."""
    number, path = fan.make(0)
    write(path, {"a": "work\n"})
    write(fan.given.folder / "1", {"a": "half"})
    write(fan.given.folder / "1@leftover-1", {"a": "half"})
    write(fan.given.folder / ".2.reclaimed", {"a": "half"})
    assert fan.works.clear([(0, number)]) == []
    assert list(fan.given.folder.iterdir()) == [path]
    note = fan.project.outside / "store" / "runs" / RUN / "prepared" / "docs@0.1.json"
    note.write_text("nonsense")
    assert fan.works.clear([]) == []
    assert (path / "a").read_text() == "work\n"


def test_nobody_settles_while_the_program_is_at_work(fan: Fan) -> None:
    with (
        alone_with_handlers(fan.project.repo, RUN, DOCS, 1, 0),
        pytest.raises(StillAtWork),
    ):
        settle_handlers(fan.project.repo, fan.stream, fan.given.folder, 0)


# --- the program ---------------------------------------------------------------------------------


@pytest.fixture
def program(fan: Fan, tmp_path: Path) -> Iterator[Workspaces]:
    (tmp_path / "assignment").write_bytes(fan.given.encoded())
    argv = [sys.executable, "-I", "-m", "anabranch.engine.handler_workspaces"]
    speaking = Workspaces([*argv, str(tmp_path / "assignment")], {})
    yield speaking
    if not speaking.is_gone:
        speaking.close()


def hear(program: Workspaces, answers: list[Any], count: int) -> None:
    while len(answers) < count:
        assert select.select(program.answers, [], [], 60)[0]
        program.hear()


def test_an_assignment_is_read_as_it_was_written(fan: Fan) -> None:
    assert assignment_of(fan.given.encoded()) == fan.given


def test_the_program_makes_merges_and_gives_back(fan: Fan, program: Workspaces) -> None:
    assert program.open([]) == (set(), [])
    answers: list[Any] = []
    for place in range(8):
        program.make(place, answers.append)
    hear(program, answers, 8)
    made = {Path(answer["path"]).name: answer for answer in answers}
    ended: list[Any] = []
    for name, answer in made.items():
        write(Path(answer["path"]), {f"of {name}": "x\n"})
        program.take(int(name), answer["number"], ended.append)
    hear(program, ended, 8)
    assert all("fault" not in answer for answer in ended)
    assert program.close() == []
    assert sorted(p.name for p in fan.stream.path.glob("of *")) == [f"of {n}" for n in range(8)]
    assert fan.left == []


def test_killed_it_is_started_again_and_nothing_is_lost_or_done_twice(
    fan: Fan, program: Workspaces
) -> None:
    program.open([])
    answers: list[Any] = []
    for place in range(6):
        program.make(place, answers.append)
    hear(program, answers, 6)
    ended: list[Any] = []
    for answer in answers:
        place = int(Path(answer["path"]).name)
        write(Path(answer["path"]), {f"of {place}": "x\n", "log": (answer["path"])})
        program.take(place, answer["number"], ended.append)
    os.kill(program.pid, signal.SIGKILL)
    hear(program, ended, 6)
    well = [answer for answer in ended if "fault" not in answer]
    assert len(well) == 1, "all but the first conflict in one file"
    assert all(git(fan.project.user, "show", f"{a['kept']}:log") for a in ended if a not in well)
    os.kill(program.pid, signal.SIGKILL)
    assert program.close() == []
    assert len(list(fan.stream.path.glob("of *"))) == 1


def test_without_the_program_it_is_said(tmp_path: Path) -> None:
    speaking = Workspaces(["/bin/false"], {})
    with pytest.raises(OSError, match="has ended"):
        speaking.open([])
    answers: list[Any] = []
    speaking.make(1, answers.append)
    assert "fault" in answers[0]
    assert "has ended" in json.dumps(speaking.close())
