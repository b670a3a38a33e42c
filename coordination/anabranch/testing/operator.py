"""A person at the console: commands at random moments in trouble, and help afterwards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from random import Random
from typing import Protocol

from anabranch.core import inputs
from anabranch.core.events import Conflict, Resolution
from anabranch.core.folds.resolutions import open_conflicts
from anabranch.core.ids import StreamId
from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.state import RunPhase, State
from anabranch.testing.world import SimulatedWorld

PATIENCE = 3
BALANCERS = (
    *("longest-first", "plan-order"),
    *("round-robin", "least-loaded", "two-choices", "affinity"),
)
"""The load balancers that are built in."""


class Console(Protocol):
    """What an operator needs of a simulation."""

    rng: Random
    world: SimulatedWorld

    @property
    def state(self) -> State: ...

    def submit(self, command: inputs.Command) -> None: ...


class Operator:
    """Acts on one simulated run."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._has_resumed = False
        self._agreed: Counter[str] = Counter()
        self._handed_back = 0

    def acts(self) -> None:
        """Do something at a random moment."""
        console = self._console
        command = self._choose(console.state)
        console.world.sometimes(f"the operator sent {type(command).__name__}")
        console.submit(command)

    def _choose(self, state: State) -> inputs.Command:
        rng = self._console.rng
        stream = rng.choice([plan.id for plan in state.plan.streams])
        ended = [p.id for p in state.plan.streams if state.streams[p.id].has_ended]
        return rng.choice(
            (
                inputs.StopStream(stream=stream, reason="stopped by you"),
                inputs.StopStream(stream=stream, reason="stopped by you"),
                inputs.RetryStream(stream=rng.choice(ended or [stream]), reason="retried by you"),
                inputs.RetryStream(stream=rng.choice(ended or [stream]), reason="retried by you"),
                inputs.StopRun(reason="stopped by you") if rng.random() < 0.5 else self._resume(),
                inputs.ApproveRun(),
                self._resume(),
                self._tells(state),
                inputs.ResetBreaker(breaker=next(iter(state.breakers.tripped), "command x")),
                self._chooses(state),
                inputs.RecoverStream(
                    stream=stream,
                    remedy=rng.choice(("soft", "hard", "fallback")),
                    reason="recovered by you",
                ),
            )
        )

    def _chooses(self, state: State) -> inputs.ChooseStrategy:
        rng = self._console.rng
        kind, names = rng.choice(
            (
                ("convergence", ("barrier", "progressive", "checkpoint")),
                ("balancer", BALANCERS),
                ("fallback", ("sequential", "degrade", "stop", "no-such")),
            )
        )
        if len(state.ready) > 1:  # only then there is an order to change
            kind, names = "balancer", BALANCERS
        point = rng.choice([plan.id for plan in state.plan.points])
        return inputs.ChooseStrategy(kind=kind, strategy=rng.choice(names), point=point)

    def helps(self) -> bool:
        """Bring a run that is at rest nearer to its end; return whether there was anything to do.

        Conflicts are solved in the workspaces. A run that failed or was stopped is resumed once.
        """
        state, rng = self._console.state, self._console.rng
        if state.phase is RunPhase.NEEDS_OPERATOR and rng.random() < 0.5 and self._decides(state):
            return True
        if state.phase is RunPhase.NEEDS_OPERATOR:
            self._solve(c for p in state.plan.points for c in state.points[p.id].conflicts)
            self._console.world.sometimes("the operator solved what needed him")
            self._console.submit(self._resume())
            return True
        if state.phase is RunPhase.CONVERGED and not state.approval.is_done and rng.random() < 0.3:
            self._console.submit(inputs.ApproveRun())
            return True
        if state.phase is not RunPhase.CONVERGED and not self._has_resumed and rng.random() < 0.5:
            self._has_resumed = True
            self._console.submit(self._resume())
            return True
        return False

    def _decides(self, state: State) -> bool:
        """Settle a conflict path by path, or hand it back; return whether there was one."""
        found = open_conflicts(state)
        if not found:
            return False
        console = self._console
        _, conflict = console.rng.choice(found)
        done = [s for s in conflict.streams if state.streams[s].result]
        if done and console.rng.random() < 0.3 and self._handed_back < PATIENCE:
            self._handed_back += 1
            console.world.sometimes("the operator handed a conflict back")
            console.submit(inputs.HandBack(stream=console.rng.choice(done)))
            return True
        console.world.sometimes("the operator decided about a conflict")
        decisions = tuple(
            Resolution.of(path, "ours", path.ours or "")
            if console.rng.random() < 0.5
            else Resolution.of(path, "file", f"{path.path} by hand")
            for path in conflict.paths
        )
        console.submit(inputs.ResolveConflict(resolutions=decisions))
        return True

    def _tells(self, state: State) -> inputs.Command:
        pair = next(iter(state.foreseen), None)
        if pair is None:
            return inputs.TellConflict(streams=(StreamId("s0"), StreamId("s1")))
        return inputs.TellConflict(streams=pair)

    def _resume(self) -> inputs.ResumeRun:
        return inputs.ResumeRun(reason="resumed by you", adopted=0, retry_failed=True)

    def _solve(self, conflicts: Iterable[Conflict]) -> None:
        """Make all sides agree on one content a path, in the workspaces of those it names.

        Where that has not helped, because two points want different things, edits are taken back.
        """
        console = self._console
        agreed: dict[str, str] = {}
        for conflict in conflicts:
            for stream in conflict.streams:
                known = console.state.streams[stream]
                if known.phase is not Phase.SUCCEEDED:
                    continue
                if known.result is None:
                    continue
                workspace = console.world.workspaces[stream, known.attempt]
                start = console.world.git.tree(known.result.start_tree)
                for path in conflict.paths:
                    content = path.ours or path.theirs or ""
                    workspace[path.path] = agreed.setdefault(path.path, content)
                    if self._agreed[path.path] >= PATIENCE:
                        _take_back(workspace, start, path.path)
        self._agreed.update(agreed.keys())


def _take_back(workspace: dict[str, str], start: Mapping[str, str], path: str) -> None:
    if path in start:
        workspace[path] = start[path]
    else:
        del workspace[path]
