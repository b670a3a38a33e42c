"""What it costs that a stream works apart from others: its workspace, its capture, its merge.

The same by each method of making a workspace, on a disk of XFS where one can be mounted, and beside
what a person would do with git's worktrees.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from anabranch.core import inputs
from anabranch.core.events import Conflict
from anabranch.core.ids import RunId, StreamId
from anabranch.core.model.state import Base, Result
from anabranch.core.plans.plan import WorkspaceMethod
from anabranch.engine import workspaces as ws
from anabranch.engine.clock import RunClock
from anabranch.engine.performers.process_observations import Observations
from anabranch.engine.performers.processes import Processes, ProcessSpec
from anabranch.engine.workspaces.layers.mounting import hide, why_not_layers
from anabranch.engine.workspaces.reflink import why_not_reflink
from anabranch.paths import RunFolder
from benchmarks.loop_disk import used_bytes, xfs
from benchmarks.machine import Machine
from benchmarks.measuring import BenchmarkFailed, Contestant, Row, Table, clocked, in_turns

FEW, MANY = 300, 2059
STREAMS, HUNDRED, FEW_OF_HUNDRED = 20, 100, 10
CHANGED = 4
IGNORED = 30_000
REPEATS = 3
BUDGET_SECONDS = 12.0
LOOK_SECONDS = 0.0002
PATIENCE_SECONDS = 30.0
BY_HAND = "git worktree, by hand"


def tables(machine: Machine) -> Iterator[Table]:
    """Yield the first byte of a stream, what isolation costs it, and each method on one disk."""
    for files in (FEW, MANY):
        with _Project(machine, f"isolation-{files}", files) as project:
            yield project.costs()
            if files == FEW:
                yield project.first_bytes()
    with xfs(machine) as other:
        if other is not None:
            with _Project(other, "methods", MANY) as project:
                yield project.methods()
                yield project.including()


@dataclass
class _Project:
    """A repository of many files, runs in it, and all workspaces that were made of it."""

    machine: Machine
    name: str
    files: int
    _made: list[ws.PreparedWorkspace] = field(default_factory=list)
    _runs: int = 0
    _parts: dict[str, list[float]] = field(default_factory=dict)

    def __enter__(self) -> _Project:
        self.root = self.machine.repository(self.name, self.files)
        state = self.machine.folder(f"{self.name}-state")
        self.repo = ws.open_repository(self.root, state / "store", state / "git.lock")
        self.folder = self.machine.folder(f"{self.name}-workspaces")
        return self

    def __exit__(self, *_: object) -> None:
        for workspace in self._made:
            hide(workspace.path)
        for place in (self.folder, self.root, self.machine.scratch / f"{self.name}-state"):
            shutil.rmtree(place, ignore_errors=True)

    # --- what is measured ------------------------------------------------------------------------

    def costs(self) -> Table:
        """Make workspaces, keep what was changed in them, and merge all of it."""
        contestants: dict[str, Contestant] = {
            f"anabranch, {m}": partial(self._isolated, m) for m in self._methods()
        }
        contestants[BY_HAND] = self._isolated_by_hand
        samples = in_turns(contestants, REPEATS, BUDGET_SECONDS)
        rows = tuple(
            Row(name, values, Row(name, values).median / STREAMS * 1000)
            for name, values in samples.items()
        )
        notes = tuple(
            f"{name}: {', '.join(f'{1000 * p / STREAMS:.1f} ms {what}' for what, p in parts)}"
            for name, parts in self._parts_of(samples)
        )
        title = f"Keep {STREAMS} streams apart, {self.files} files, {CHANGED} changed by each"
        return Table(title, "seconds", rows, "ms each", notes)

    def first_bytes(self) -> Table:
        """Take the time from when a stream may begin until its first byte is in its log."""
        contestants: dict[str, Contestant] = {
            f"anabranch, {m}": partial(self._to_first_bytes, m) for m in self._methods()
        }
        contestants[BY_HAND] = self._first_bytes_by_hand
        samples = in_turns(contestants, REPEATS, BUDGET_SECONDS)
        rows = tuple(Row(name, tuple(1000 * s for s in got)) for name, got in samples.items())
        title = (
            f"From the start of a stream to its first byte, {self.files} files, p50 of {STREAMS}"
        )
        return Table(title, "ms", rows)

    def methods(self) -> Table:
        """Make a hundred workspaces by each method, and see what they take of the disk."""
        rows, notes = [], []
        for method in self._methods():
            run, base = self._begin()
            self._workspace(run, base, 0, method)  # the frozen checkout is made by the first
            count = FEW_OF_HUNDRED if method == "worktree" else HUNDRED
            make = partial(self._workspaces, run, base, method, count)
            row, note = self._on_the_disk(f"anabranch, {method}", count, make)
            rows.append(row)
            notes.append(note)
        place = self.machine.folder("methods-by-hand")
        worktrees = partial(self._worktrees, place, FEW_OF_HUNDRED)
        row, note = self._on_the_disk(BY_HAND, FEW_OF_HUNDRED, worktrees)
        rows.append(row)
        notes.append(note)
        title = f"Make {HUNDRED} workspaces of {self.files} files on XFS"
        return Table(title, "seconds", tuple(rows), "ms each", tuple(notes))

    def _on_the_disk(self, name: str, count: int, make: Callable[[], object]) -> tuple[Row, str]:
        """Return what a hundred cost, and what they take, as ``count`` of them say."""
        share, before = HUNDRED / count, used_bytes(self.folder)
        seconds = clocked(make) * share
        taken = int((used_bytes(self.folder) - before) * share)
        said = f", as {count} say" if count < HUNDRED else ""
        row = Row(name, (seconds,), seconds / HUNDRED * 1000)
        return row, f"{name}: {HUNDRED} take {taken >> 20} MB{said}"

    def including(self) -> Table:
        """Have many small ignored files in a workspace: shown, cloned, and copied by hand."""
        top = self.root / "node_modules"
        for number in range(IGNORED):
            path = top / f"p{number // 100}" / f"f{number}.js"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"module.exports = {number};\n" * 8)
        (self.root / ".git/info/exclude").write_text("node_modules/\n")
        run, base = self._begin()
        included, _ = ws.include_ignored(self.repo, run, ["node_modules/"], by_layers=True)
        if included.files != IGNORED:
            raise BenchmarkFailed("not all ignored files were taken along")
        contestants: dict[str, Contestant] = {
            f"anabranch, {m}": partial(self._with_ignored, run, base, m)
            for m in self._methods()
            if m != "worktree"
        }
        contestants["cp --reflink"] = lambda: self._copied("--reflink=always")
        contestants["cp"] = lambda: self._copied("--reflink=never")
        samples = in_turns(contestants, REPEATS, BUDGET_SECONDS)
        rows = tuple(Row(name, values) for name, values in samples.items())
        title = f"A workspace of {self.files} files with {IGNORED} ignored ones on XFS"
        return Table(title, "seconds", rows)

    # --- by us -----------------------------------------------------------------------------------

    def _methods(self) -> list[WorkspaceMethod]:
        place = self.machine.scratch
        found: list[WorkspaceMethod] = []
        if not why_not_layers(place):
            found.append("overlay")
        if not why_not_reflink(place):
            found.append("reflink")
        return [*found, "worktree"]

    def _begin(self) -> tuple[RunId, Base]:
        self._runs += 1
        run = RunId(f"20260101-000000-{self._runs:03}")
        return run, ws.capture_base(self.repo, run, False)

    def _workspace(
        self, run: RunId, base: Base, number: int, method: WorkspaceMethod
    ) -> ws.PreparedWorkspace:
        stream = StreamId(f"s{number}")
        place = self.folder / run / stream
        made = ws.prepare_workspace(
            self.repo, run, stream, 1, "isolated", place, base, method=method
        )
        if isinstance(made, Conflict):
            raise BenchmarkFailed("an empty merge conflicted")
        self._made.append(made)
        return made

    def _workspaces(self, run: RunId, base: Base, method: WorkspaceMethod, count: int) -> None:
        for number in range(1, count + 1):
            self._workspace(run, base, number, method)

    def _isolated(self, method: WorkspaceMethod) -> float:
        run, base = self._begin()
        self._workspace(run, base, STREAMS, method)  # what all of them share is there
        made: list[ws.PreparedWorkspace] = []
        results: list[tuple[StreamId, Result]] = []

        def prepare() -> None:
            made.extend(self._workspace(run, base, n, method) for n in range(STREAMS))

        def capture() -> None:
            for workspace in made:
                ref = ws.result_ref(run, workspace.stream)
                one = ws.capture_directly(self.repo, workspace, "work", ref) or ws.capture_result(
                    self.repo, run, workspace.stream, 1, workspace, "work", ref
                )
                result = Result(one.commit, one.tree, base.commit, base.tree)
                results.append((workspace.stream, result))

        def merge() -> None:
            merged = ws.merge_trees(self.repo, run, base, results, message="merge", stop_early=True)
            if len(merged.merged) != STREAMS:
                raise BenchmarkFailed("some results did not merge")
            ws.move_ref(self.repo, f"refs/bench/{run}", merged.commit, None)

        parts = [("making it", clocked(prepare))]
        for number, workspace in enumerate(made):
            self._change(workspace.path, number)
        parts += [("keeping its work", clocked(capture)), ("merging it", clocked(merge))]
        return self._summed(f"anabranch, {method}", parts)

    def _with_ignored(self, run: RunId, base: Base, method: WorkspaceMethod) -> float:
        return clocked(lambda: self._workspace(run, base, len(self._made), method))

    def _to_first_bytes(self, method: WorkspaceMethod) -> float:
        return asyncio.run(self._first_bytes(method))

    async def _first_bytes(self, method: WorkspaceMethod) -> float:
        run, base = self._begin()
        self._workspace(run, base, STREAMS, method)
        home = RunFolder(self.machine.folder("first-bytes"))
        reports: asyncio.Queue[inputs.Input] = asyncio.Queue()
        processes = Processes(home, reports.put_nowait, Observations(home, RunClock.begin()))
        await processes.open()
        times: list[float] = []
        try:
            for number in range(-1, STREAMS):  # the first starts what starts all others
                began = time.perf_counter()
                made = self._workspace(run, base, number, method)
                argv = ("sh", "-c", "echo begun")
                env = dict(self.machine.environment)
                await processes.start(ProcessSpec(made.stream, 1, argv, str(made.path), env))
                await _a_byte(home.path / "logs" / f"{made.stream}.1.log", began)
                times.append(time.perf_counter() - began)
                while not isinstance(await reports.get(), inputs.ProcessExited):
                    pass
        finally:
            await processes.close()
        return statistics.median(times[1:])

    # --- by hand ---------------------------------------------------------------------------------

    def _worktree(self, place: Path, number: int) -> Path:
        folder = place / f"t{number}"
        self.machine.git(self.root, "worktree", "add", "-q", "--detach", str(folder))
        return folder

    def _worktrees(self, place: Path, count: int) -> None:
        for number in range(count):
            self._worktree(place, number)

    def _forget(self, place: Path) -> None:
        shutil.rmtree(place)
        self.machine.git(self.root, "worktree", "prune")

    def _isolated_by_hand(self) -> float:
        place = self.machine.folder(f"{self.name}-by-hand")
        made: list[Path] = []
        target = self._worktree(place, STREAMS)
        parts = [
            (
                "making it",
                clocked(lambda: made.extend(self._worktree(place, n) for n in range(STREAMS))),
            )
        ]
        for number, folder in enumerate(made):
            self._change(folder, number)

        def commit() -> None:
            for folder in made:
                self.machine.git(folder, "add", "-A")
                self.machine.git(folder, "commit", "-q", "-m", "work")

        parts.append(("keeping its work", clocked(commit)))
        heads = [self.machine.git(folder, "rev-parse", "HEAD") for folder in made]

        def merge() -> None:
            for head in heads:
                self.machine.git(target, "merge", "-q", "--no-ff", "--no-edit", head)

        parts.append(("merging it", clocked(merge)))
        self._forget(place)
        return self._summed(BY_HAND, parts)

    def _first_bytes_by_hand(self) -> float:
        place = self.machine.folder(f"{self.name}-first-by-hand")
        times: list[float] = []
        for number in range(STREAMS):
            began = time.perf_counter()
            folder = self._worktree(place, number)
            with subprocess.Popen(
                ["sh", "-c", "echo begun"], cwd=folder, stdout=subprocess.PIPE
            ) as process:
                assert process.stdout is not None
                os.read(process.stdout.fileno(), 1)
                times.append(time.perf_counter() - began)
        self._forget(place)
        return statistics.median(times)

    def _copied(self, how: str) -> float:
        folder = self.machine.folder(f"{self.name}-cp")
        command = ("cp", "-r", how, str(self.root / "node_modules"), str(folder))
        seconds = clocked(lambda: subprocess.run(command, check=True))
        shutil.rmtree(folder)
        return seconds

    # --- both ------------------------------------------------------------------------------------

    def _change(self, folder: Path, number: int) -> None:
        """Change files that no other stream changes, and add one."""
        for turn in range(CHANGED - 1):
            file = (number + turn * STREAMS) % self.files
            (folder / f"part{file % 20}" / f"file{file}.txt").write_text(f"{self._runs} {number}\n")
        (folder / f"new{number}.txt").write_text(f"{self._runs} {number}\n")

    def _summed(self, name: str, parts: list[tuple[str, float]]) -> float:
        for what, seconds in parts:
            self._parts.setdefault(f"{name}\0{what}", []).append(seconds)
        return sum(seconds for _, seconds in parts)

    def _parts_of(
        self, names: dict[str, tuple[float, ...]]
    ) -> Iterator[tuple[str, list[tuple[str, float]]]]:
        for name in names:
            own = [(key, got) for key, got in self._parts.items() if key.startswith(f"{name}\0")]
            yield name, [(key.partition("\0")[2], statistics.median(got)) for key, got in own]


async def _a_byte(log: Path, began: float) -> None:
    """Wait until something stands in a log; raises BenchmarkFailed if that takes too long."""
    while not _has_something(log):
        if time.perf_counter() - began > PATIENCE_SECONDS:
            raise BenchmarkFailed(f"nothing came into {log}")
        await asyncio.sleep(LOOK_SECONDS)


def _has_something(log: Path) -> bool:
    return log.exists() and log.stat().st_size > 0
