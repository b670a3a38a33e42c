"""A hundred workspaces and a hundred merges, beside plain git doing them one after the other."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from anabranch.core.events import Conflict
from anabranch.core.ids import RunId, StreamId
from anabranch.core.model.state import Base, Result
from anabranch.engine import workspaces as ws
from benchmarks.machine import Machine
from benchmarks.measuring import BenchmarkFailed, Contestant, Row, Table, clocked, in_turns

COUNT = 100
FILES = 300
FILES_CHANGED = 4
REPEATS = 3
BUDGET_SECONDS = 15.0


def tables(machine: Machine) -> Iterator[Table]:
    """Yield setting up, capturing, and merging."""
    project = _Project(machine)
    try:
        yield project.preparing()
        yield project.capturing()
        yield project.merging()
    finally:
        shutil.rmtree(project.root, ignore_errors=True)


class _Project:
    """A repository, and Anabranch's view of it."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.root = machine.repository("workspaces", FILES)
        self.turn = 0

    def git(self, folder: Path, *arguments: str, stdin: bytes = b"") -> str:
        return self.machine.git(folder, *arguments, stdin=stdin)

    def begin(self) -> tuple[ws.Repository, RunId, Base]:
        """Begin another run in the repository, in a state folder of its own."""
        self.turn += 1
        state = self.machine.folder(f"workspaces-state/{self.turn}")
        repo = ws.open_repository(self.root, state / "store", state / "git.lock")
        run = RunId(f"20260101-000000-{self.turn:03}")
        return repo, run, ws.capture_base(repo, run, False)

    def preparing(self) -> Table:
        """Set up the workspaces of a run, and as many worktrees by hand."""
        contestants = {"anabranch": self._prepare, "git worktree add": self._add_worktrees}
        return self._table(f"Set up {COUNT} workspaces of {FILES} files", contestants)

    def _prepare(self) -> float:
        repo, run, base = self.begin()
        folder = self.machine.folder("workspaces-ours")
        seconds = clocked(
            lambda: [self._workspace(repo, run, base, folder, n) for n in range(COUNT)]
        )
        self._forget_worktrees(folder)
        return seconds

    def _workspace(
        self, repo: ws.Repository, run: RunId, base: Base, folder: Path, number: int
    ) -> ws.PreparedWorkspace:
        stream = StreamId(f"t{number}")
        made = ws.prepare_workspace(repo, run, stream, 1, "isolated", folder / stream, base)
        if isinstance(made, Conflict):
            raise BenchmarkFailed("an empty merge conflicted")
        return made

    def _add_worktrees(self) -> float:
        folder = self.machine.folder("workspaces-git")
        seconds = clocked(
            lambda: [
                self.git(self.root, "worktree", "add", "-q", "--detach", str(folder / f"t{n}"))
                for n in range(COUNT)
            ]
        )
        self._forget_worktrees(folder)
        return seconds

    def _forget_worktrees(self, folder: Path) -> None:
        shutil.rmtree(folder)
        for entry in (self.root / ".git" / "worktrees").glob("*"):
            (entry / "locked").unlink(missing_ok=True)
        self.git(self.root, "worktree", "prune")

    def capturing(self) -> Table:
        """Capture the work of changed workspaces, and commit it by hand."""
        repo, run, base = self.begin()
        folder = self.machine.folder("workspaces-ours")
        made = [self._workspace(repo, run, base, folder, n) for n in range(COUNT // 2)]
        contestants = {
            "anabranch": lambda: self._capture(repo, run, made),
            "git add -A; git commit": lambda: self._commit(made),
        }
        table = self._table(f"Keep the work of {len(made)} workspaces", contestants, len(made))
        self._forget_worktrees(folder)
        return table

    def _change(self, made: list[ws.PreparedWorkspace]) -> None:
        self.turn += 1
        for workspace in made:
            for n in range(FILES_CHANGED):
                path = workspace.path / f"part{n}" / f"{workspace.stream}-{n}.txt"
                path.write_text(f"turn {self.turn}\n")

    def _capture(self, repo: ws.Repository, run: RunId, made: list[ws.PreparedWorkspace]) -> float:
        self._change(made)
        return clocked(
            lambda: [
                ws.capture_result(repo, run, w.stream, 1, w, "work", ws.result_ref(run, w.stream))
                for w in made
            ]
        )

    def _commit(self, made: list[ws.PreparedWorkspace]) -> float:
        self._change(made)

        def commit() -> None:
            for workspace in made:
                self.git(workspace.path, "add", "-A")
                self.git(workspace.path, "commit", "-q", "-m", "work")

        return clocked(commit)

    def merging(self) -> Table:
        """Merge branches of which each changed other files; both ways must give the same tree."""
        self._make_branches()
        trees: set[str] = set()
        contestants = {
            "anabranch": lambda: self._merge(trees),
            "git merge": lambda: self._merge_by_git(trees),
        }
        table = self._table(f"Merge {COUNT} branches of {FILES_CHANGED} files", contestants)
        if len(trees) != 1:
            raise BenchmarkFailed(f"the merges gave {len(trees)} different trees")
        return table

    def _make_branches(self) -> None:
        """Write all branches in one go; each changes files of its own, and adds one."""
        lines: list[str] = []
        for branch in range(COUNT):
            lines += [
                f"commit refs/heads/b{branch}",
                "committer Bench <bench@localhost> 1700000000 +0000",
                "data 4",
                "work",
                "from refs/heads/main^0",
            ]
            for n in range(FILES_CHANGED):
                number = (branch + n * COUNT) % FILES
                path = f"part{number % 20}/file{number}.txt"
                is_new = n == FILES_CHANGED - 1
                path = f"part{branch % 20}/new{branch}.txt" if is_new else path
                text = f"branch {branch}\n" * 3
                lines += [f"M 100644 inline {path}", f"data {len(text)}", text]
        self.git(self.root, "fast-import", "--quiet", stdin="\n".join(lines).encode())

    def _merge(self, trees: set[str]) -> float:
        repo, run, base = self.begin()
        names = [f"b{n}" for n in range(COUNT)]
        asked = [f"{name}{kind}" for name in names for kind in ("", "^{tree}")]
        ids = self.git(self.root, "rev-parse", *asked).split()
        results = [
            (StreamId(name), Result(commit, tree, base.commit, base.tree))
            for name, commit, tree in zip(names, ids[::2], ids[1::2], strict=True)
        ]
        outcome: list[ws.MergeOutcome] = []

        def merge() -> None:
            merged = ws.merge_trees(repo, run, base, results, message="merge", stop_early=True)
            ws.move_ref(repo, f"refs/bench/{run}", merged.commit, None)
            outcome.append(merged)

        seconds = clocked(merge)
        if len(outcome[0].merged) != COUNT:
            raise BenchmarkFailed("some branches did not merge")
        trees.add(outcome[0].tree)
        return seconds

    def _merge_by_git(self, trees: set[str]) -> float:
        folder = self.machine.folder("workspaces-merge") / "tree"
        self.git(self.root, "worktree", "add", "-q", "--detach", str(folder), "main")
        seconds = clocked(
            lambda: [
                self.git(folder, "merge", "-q", "--no-ff", "--no-edit", f"b{n}")
                for n in range(COUNT)
            ]
        )
        trees.add(self.git(folder, "rev-parse", "HEAD^{tree}"))
        self._forget_worktrees(folder.parent)
        return seconds

    def _table(self, title: str, contestants: dict[str, Contestant], count: int = COUNT) -> Table:
        samples = in_turns(contestants, REPEATS, BUDGET_SECONDS)
        rows = tuple(
            Row(name, values, Row(name, values).median / count * 1000)
            for name, values in samples.items()
        )
        return Table(title, "seconds", rows, "ms each")
