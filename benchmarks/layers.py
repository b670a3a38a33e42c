"""Workspaces of a large project made of layers, beside plain git's worktrees."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
from msgspec.structs import replace

from anabranch.core.events import Conflict
from anabranch.core.ids import RunId, StreamId
from anabranch.core.model.state import Base
from anabranch.core.plans.plan import WorkspaceMethod
from anabranch.engine import kept_setups
from anabranch.engine import workspaces as ws
from anabranch.engine.kept_setups.wanted import Wanted
from anabranch.engine.workspaces.layers.mounting import hide, why_not_layers
from anabranch.engine.workspaces.repository import run_folder
from benchmarks.machine import Machine
from benchmarks.measuring import BenchmarkFailed, Contestant, Row, Table, clocked, in_turns

FILES = 2059
COUNT = 100
BY_HAND = 10
CHANGED = 10
REPEATS = 3
BUDGET_SECONDS = 30.0
RUN = RunId("20260101-000000-001")
IGNORED = 30_000
_SETTING_UP = RunId("20260101-000000-004")
_INCLUDING = (RunId("20260101-000000-002"), RunId("20260101-000000-003"))


def tables(machine: Machine) -> Iterator[Table]:
    """Yield making workspaces, their room on the disk, and capturing in them."""
    why_not = why_not_layers(machine.scratch)
    if why_not:
        print(f"  layers are left out: {why_not}", flush=True)
        return
    project = _Project(machine)
    try:
        yield project.preparing()
        yield project.capturing()
        yield project.including()
        yield project.setting_up()
    finally:
        project.remove()


class _Project:
    """A repository of many files, a run in it, and the workspaces that were made of it."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self.root = machine.repository("layers", FILES)
        state = machine.folder("layers-state")
        self.repo = ws.open_repository(self.root, state / "store", state / "git.lock")
        self.base: Base = ws.capture_base(self.repo, RUN, False)
        self._folder = machine.folder("layers-ours")
        self._made: list[ws.PreparedWorkspace] = []
        self._turn = 0

    def preparing(self) -> Table:
        """Make workspaces of layers (the frozen checkout is there), and worktrees by hand."""
        self._workspace()
        contestants: dict[str, Contestant] = {
            "anabranch, layers": lambda: clocked(self._hundred) / COUNT,
            "git worktree add": lambda: clocked(self._worktrees) / BY_HAND,
        }
        rows = _rows(contestants)
        notes = (f"{COUNT} workspaces of layers take {self._room_of_a_hundred() >> 20} MB",)
        return Table(f"Make a workspace of {FILES} files", "seconds", rows, "ms", notes)

    def including(self) -> Table:
        """Have many small files that git ignores in a workspace: shown, copied, and by hand."""
        self._make_ignored()
        before = clocked(lambda: self._include(_INCLUDING[0]))
        again = clocked(lambda: self._include(_INCLUDING[1]))
        contestants: dict[str, Contestant] = {
            "anabranch, layers": lambda: clocked(lambda: self._workspace(_INCLUDING[0])),
            "anabranch, copies": lambda: self._copied(),
            "cp -r": lambda: self._copied_by_hand(),
        }
        rows = _rows(contestants)
        notes = (
            f"once for all streams: {before:.1f} s to freeze them; the next run finds the same "
            f"files in {again:.2f} s",
        )
        title = f"A workspace of {FILES} files with {IGNORED} ignored ones besides"
        return Table(title, "seconds", rows, "ms", notes)

    def setting_up(self) -> Table:
        """Have what an earlier setup made in a workspace: shown, copied, and by hand."""
        ws.capture_base(self.repo, _SETTING_UP, False)  # it knows what is ignored by now
        self._set_up(self._workspace(_SETTING_UP), "is kept for others")
        contestants: dict[str, Contestant] = {
            "anabranch, layers": lambda: self._again("overlay"),
            "anabranch, copies": lambda: self._again("worktree"),
            "cp -a": lambda: self._copied_by_hand("-a"),
        }
        rows = _rows(contestants)
        title = f"Use {IGNORED} files again that an earlier setup made"
        notes = ("from the start of the setup's program to its end; making the workspace besides",)
        return Table(title, "seconds", rows, "ms", notes)

    def _setup(self, workspace: StreamId) -> ws.Setup:
        """Return a setup that makes many files, with what is asked for a stream."""
        script = f"cp -r {self.root}/node_modules ."
        made = str(ws.made_path(self.repo, _SETTING_UP, workspace, 1))
        inputs = (f"{self._a_file()}",)
        return ws.Setup(
            ("/bin/sh", "-c", script), Wanted("", str(self.repo.store), inputs=inputs, made=made)
        )

    def _a_file(self) -> str:
        return next(path.name for path in sorted(self.root.iterdir()) if path.is_file())

    def _again(self, method: WorkspaceMethod) -> float:
        workspace = self._workspace(_SETTING_UP, method, is_set_up=True)
        how = "(shown" if method == "overlay" else "is used again ("
        return clocked(lambda: self._set_up(workspace, how))

    def _set_up(self, workspace: ws.PreparedWorkspace, said: str) -> None:
        setup = self._setup(workspace.stream)
        wanted = replace(setup.wanted, workspace=str(workspace.path))
        program = (sys.executable, "-I", "-m", kept_setups.__name__)
        command = (*program, msgspec.json.encode(wanted).decode(), *setup.argv)
        done = subprocess.run(
            command, cwd=workspace.path, capture_output=True, text=True, check=True
        )
        if said not in done.stdout:
            raise BenchmarkFailed(f"the setup did not say {said!r}: {done.stdout}")

    def _make_ignored(self) -> None:
        top = self.root / "node_modules"
        for number in range(IGNORED):
            place = top / f"p{number // 100}" / f"f{number}.js"
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(f"module.exports = {number};\n" * 8)
        (self.root / ".git/info/exclude").write_text("node_modules/\n")

    def _include(self, run: RunId) -> None:
        ws.capture_base(self.repo, run, False)
        included, _ = ws.include_ignored(self.repo, run, ["node_modules/"], by_layers=True)
        if included.files != IGNORED:
            raise BenchmarkFailed("not all ignored files were taken along")

    def _copied(self) -> float:
        folder = self._machine.folder("layers-copies")
        seconds = clocked(lambda: ws.copy_included(self.repo, _INCLUDING[0], folder))
        shutil.rmtree(folder)
        return seconds

    def _copied_by_hand(self, how: str = "-r") -> float:
        folder = self._machine.folder("layers-cp")
        command = ("cp", how, str(self.root / "node_modules"), str(folder))
        seconds = clocked(lambda: subprocess.run(command, check=True))
        shutil.rmtree(folder)
        return seconds

    def capturing(self) -> Table:
        """Keep what was changed in a few files of many."""
        ours, theirs = self._workspace(), self._workspace()
        contestants: dict[str, Contestant] = {
            "anabranch, layers": lambda: self._timed(ours, lambda: self._capture(ours)),
            "git add -A; git commit": lambda: self._timed(theirs, lambda: self._commit(theirs)),
        }
        rows = _rows(contestants)
        return Table(f"Keep {CHANGED} changed files of {FILES}", "seconds", rows, "ms")

    def remove(self) -> None:
        """Take away what is mounted, and everything that was made."""
        for workspace in self._made:
            hide(workspace.path)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _workspace(
        self, run: RunId = RUN, method: WorkspaceMethod = "overlay", *, is_set_up: bool = False
    ) -> ws.PreparedWorkspace:
        stream = StreamId(f"s{len(self._made)}")
        made = ws.prepare_workspace(
            self.repo, run, stream, 1, "isolated", self._folder / stream, self.base,
            method=method, setup=self._setup(stream) if is_set_up else None,
        )  # fmt: skip
        if isinstance(made, Conflict):
            raise BenchmarkFailed("an empty merge conflicted")
        self._made.append(made)
        return made

    def _hundred(self) -> None:
        for _ in range(COUNT):
            self._workspace()

    def _room_of_a_hundred(self) -> int:
        """Return how much room the layers, repositories and indexes of a hundred take, in bytes."""
        own = run_folder(self.repo, RUN)
        places = [own / name for name in ("layers", "git", "index")]
        return _room(*places) * COUNT // len(self._made)

    def _worktrees(self) -> None:
        folder = self._machine.folder("layers-git")
        for number in range(BY_HAND):
            place = str(folder / f"t{number}")
            self._machine.git(self.root, "worktree", "add", "-q", "--detach", place)
        shutil.rmtree(folder)
        self._machine.git(self.root, "worktree", "prune")

    def _timed(self, workspace: ws.PreparedWorkspace, keep: Callable[[], object]) -> float:
        self._turn += 1
        tracked = sorted(path for path in workspace.path.rglob("*.txt"))[:CHANGED]
        for path in tracked:
            path.write_text(f"turn {self._turn}\n")
        return clocked(keep)

    def _capture(self, workspace: ws.PreparedWorkspace) -> None:
        ref = ws.partial_ref(RUN, workspace.stream, self._turn)
        found = ws.capture_directly(self.repo, workspace, "work", ref)
        if found is None or found.files_changed != CHANGED:
            raise BenchmarkFailed("the capture did not find what was changed")

    def _commit(self, workspace: ws.PreparedWorkspace) -> None:
        self._machine.git(workspace.path, "add", "-A")
        self._machine.git(workspace.path, "commit", "-q", "-m", "work")


def _rows(contestants: dict[str, Contestant]) -> tuple[Row, ...]:
    samples = in_turns(contestants, REPEATS, BUDGET_SECONDS)
    return tuple(Row(n, values, Row(n, values).median * 1000) for n, values in samples.items())


def _room(*folders: Path) -> int:
    """Return how much room folders take on the disk, in bytes; a file of two names once."""
    found = (path.lstat() for folder in folders for path in folder.rglob("*"))
    return sum({entry.st_ino: entry.st_blocks * 512 for entry in found}.values())
