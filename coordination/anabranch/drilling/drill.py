"""One drill from its first moment to its report."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from threading import Event
from typing import Any

import msgspec

from anabranch.core import events as ev
from anabranch.core import inputs
from anabranch.core.folds.resolutions import open_conflicts
from anabranch.core.ids import StreamId
from anabranch.core.model.state import RunPhase, State
from anabranch.core.plans.plan import Plan
from anabranch.core.strategies import Strategies
from anabranch.drilling.faults import Fault, Injection
from anabranch.drilling.findings import Finding, finding_of
from anabranch.drilling.injector import Injector
from anabranch.drilling.proof import kept_commits, missing_from
from anabranch.drilling.rehearsal import CONFLICT_FILE, held_by
from anabranch.drilling.scratch import Scratch
from anabranch.engine.git import Git
from anabranch.engine.host import RunHost
from anabranch.engine.journal import Journal
from anabranch.engine.settling import repository_of, settled_by_choice
from anabranch.engine.starting import start_run
from anabranch.extending import NO_EXTENSIONS, Extensions
from anabranch.paths import RunFolder

LOOK_SECONDS = 0.05

Tell = Callable[[State, ev.Recorded], None]


class DrillReport(msgspec.Struct, frozen=True):
    """What a drill has found; ``state`` is the run's end, ``seconds`` how long it took."""

    run: str
    state: State
    seconds: float
    findings: tuple[Finding, ...]
    changes: tuple[str, ...]
    is_over_limit: bool = False

    @property
    def has_converged(self) -> bool:
        return self.state.phase is RunPhase.CONVERGED

    @property
    def lost(self) -> list[str]:
        return [path for finding in self.findings for path in finding.lost]

    @property
    def is_good(self) -> bool:
        """Whether the run converged and every fault was mended without loss."""
        return self.has_converged and all(finding.is_good for finding in self.findings)

    def as_json(self) -> dict[str, Any]:
        return {
            "schema": 1,
            "run": self.run,
            "state": str(self.state.phase),
            "converged": self.has_converged,
            "passed": self.is_good,
            "seconds": round(self.seconds, 3),
            "files_at_risk": sum(finding.files for finding in self.findings),
            "files_lost": self.lost,
            "changed_for_the_drill": list(self.changes),
            "faults": [msgspec.to_builtins(finding) for finding in self.findings],
        }


def run_drill(
    scratch: Scratch,
    folder: Path,
    plan: Plan,
    faults: Sequence[Fault],
    strategies: Strategies,
    *,
    extensions: Extensions = NO_EXTENSIONS,
    changes: Sequence[str],
    limit_seconds: float,
    stopping: Event,
    environment: Mapping[str, str],
    tell: Callable[[State], Tell],
) -> DrillReport:
    """Run a plan in a scratch copy, inject faults, and see it through.

    ``stopping`` ends it early; ``tell`` gets the first state and returns what hears of each event.
    Raises AnabranchError if the run cannot begin.
    """
    os.environ["XDG_STATE_HOME"] = str(scratch.state)
    for number, fault in enumerate(faults):
        if held_by(plan, fault):
            scratch.hold(number)
    environment = {**environment, "ANABRANCH_DRILL_HOLDS": str(scratch.holds)}
    host = start_run(folder, plan, strategies, environment=environment, extensions=extensions)
    injector = Injector(host, scratch, tuple(faults))
    try:
        is_over = _see_through(host, injector, tell(host.state), limit_seconds, stopping)
        injector.close()
        state, seconds = host.state, host.now()
    finally:
        injector.close()
        host.close()
    records = list(Journal.open(RunFolder(host.folder).journal, "read").read())
    return DrillReport(
        host.run,
        state,
        seconds,
        tuple(
            finding_of(i, records, state, _lost(RunFolder(host.folder), state, i), _struck(faults))
            for i in injector.injections
        ),
        tuple(changes),
        is_over,
    )


def _struck(faults: Sequence[Fault]) -> frozenset[StreamId]:
    return frozenset(name for fault in faults for name in fault.streams)


def _see_through(
    host: RunHost, injector: Injector, tell: Tell, limit_seconds: float, stopping: Event
) -> bool:
    """Inject and wait until the run has ended; say whether that took too long."""
    cursor, is_over, was_stopped = 0, False, False
    while True:
        ended = host.wait(LOOK_SECONDS) and host.state.has_ended
        frame = host.take(cursor)
        cursor = frame.cursor
        for record in frame.events:
            injector.hear(record)
            tell(frame.state, record)
        if ended and not _decide(host):
            return is_over
        if not ended:
            injector.look()
        if not was_stopped and (stopping.is_set() or host.now() > limit_seconds):
            is_over, was_stopped = not stopping.is_set(), True
            reason = "the drill's limit was reached" if is_over else "stopped by you"
            injector.close()
            host.submit(inputs.StopRun(reason=reason))


def _decide(host: RunHost) -> bool:
    """Decide the drill's own conflict in a person's place; say whether there was one."""
    state = host.state
    if state.phase is not RunPhase.NEEDS_OPERATOR:
        return False
    repo = repository_of(state)
    resolutions = [
        settled_by_choice(repo, state.run, conflict, path, "ours")
        for _, conflict in open_conflicts(state)
        for path in conflict.paths
        if path.path == CONFLICT_FILE
    ]
    if not resolutions:
        return False
    command = inputs.ResolveConflict(
        resolutions=tuple(resolutions), reason="the drill decided in your place"
    )
    return host.submit(command).result() is None


def _lost(home: RunFolder, state: State, injection: Injection) -> list[str]:
    """Return what lay in the workspace when the fault struck and is in no commit that is kept."""
    if not injection.contents:
        return []
    repository = Git(git_dir=repository_of(state).git_dir)
    commits = kept_commits(repository, state.run, injection.stream)
    missing = missing_from(repository, injection.contents, commits)
    workspace = home.workspace(injection.stream, injection.attempt)
    return [name for name in missing if not (workspace / name).exists()]
