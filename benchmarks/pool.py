"""Workspaces out of a pool of checkouts made ahead, beside files that are written one by one."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from anabranch.core.events import Conflict
from anabranch.core.ids import RunId, StreamId
from anabranch.core.plans.plan import WorkspaceMethod
from anabranch.engine import workspaces as ws
from anabranch.engine.workspaces.pool.filling import make_ahead
from benchmarks.machine import Machine
from benchmarks.measuring import BenchmarkFailed, Contestant, Row, Table, clocked, in_turns

FILES = 2059
COUNT = 5
STREAMS = 8
WORK_SECONDS = 2
REPEATS = 3
BUDGET_SECONDS = 60.0
RUN = RunId("20260101-000000-001")
_CONVERGED = "converged"


def tables(machine: Machine) -> Iterator[Table]:
    """Yield one workspace at a time, and whole runs of eight streams, the first and the next."""
    yield _one_by_one(machine)
    yield from _runs(machine)


def _one_by_one(machine: Machine) -> Table:
    """Make workspaces; that the pool was filled before is not counted."""
    root, state = machine.repository("pool", FILES), machine.folder("pool-state")
    repo = ws.open_repository(root, state / "store", state / "git.lock")
    base, folder = ws.capture_base(repo, RUN, False), machine.folder("pool-ours")
    made = 0

    def make(method: WorkspaceMethod) -> None:
        nonlocal made
        made += 1
        stream = StreamId(f"s{made}")
        outcome = ws.prepare_workspace(
            repo, RUN, stream, 1, "isolated", folder / stream, base, method=method
        )
        if isinstance(outcome, Conflict):
            raise BenchmarkFailed("an empty merge conflicted")

    def of_the_pool() -> float:
        for _ in range(COUNT):
            make_ahead(repo, RUN, base.tree)
        return sum(clocked(partial(make, "pool")) for _ in range(COUNT)) / COUNT

    def by_git() -> float:
        place = machine.folder("pool-git")
        add = partial(machine.git, root, "worktree", "add", "-q", "--detach")
        seconds = sum(clocked(partial(add, str(place / f"{n}"))) for n in range(COUNT))
        shutil.rmtree(place)
        machine.git(root, "worktree", "prune")
        return seconds / COUNT

    contestants: dict[str, Contestant] = {
        "anabranch, out of a pool": of_the_pool,
        "anabranch, file by file": lambda: clocked(lambda: make("worktree")),
        "git worktree add": by_git,
    }
    rows = _rows(contestants)
    shutil.rmtree(folder)
    return Table(f"Make a workspace of {FILES} files, without layers", "seconds", rows, "ms")


def _runs(machine: Machine) -> Iterator[Table]:
    """Run eight streams at once, for the first time in a project and once more."""
    projects = 0

    def first(method: str) -> tuple[Path, float]:
        nonlocal projects
        projects += 1
        folder = machine.repository(f"pool-{projects}", FILES)
        (folder / "anabranch.toml").write_text(_plan(method))
        return folder, machine.whole_run(folder, _CONVERGED) - WORK_SECONDS

    def again(method: str) -> float:
        return machine.whole_run(first(method)[0], _CONVERGED) - WORK_SECONDS

    for title, measured in (
        ("for the first time", lambda method: first(method)[1]),
        ("the next time", again),
    ):
        contestants: dict[str, Contestant] = {
            "anabranch, a pool": partial(measured, "pool"),
            "anabranch, file by file": partial(measured, "worktree"),
        }
        notes = (f"besides the {WORK_SECONDS} s for which each stream works",)
        name = f"{STREAMS} streams at once, {FILES} files, {title}"
        yield Table(name, "seconds", _rows(contestants), "ms", notes)


def _plan(method: str) -> str:
    streams = "".join(
        f'[streams.s{n}]\ncommand = "sleep {WORK_SECONDS}; echo {n} > {n}.txt"\n'
        for n in range(STREAMS)
    )
    settings = f'max_parallel = {STREAMS}\n[coordination.isolation]\nmethod = "{method}"\n'
    return f'version = 1\nname = "pool"\n[coordination]\n{settings}{streams}'


def _rows(contestants: dict[str, Contestant]) -> tuple[Row, ...]:
    samples = in_turns(contestants, REPEATS, BUDGET_SECONDS)
    return tuple(Row(n, values, Row(n, values).median * 1000) for n, values in samples.items())
