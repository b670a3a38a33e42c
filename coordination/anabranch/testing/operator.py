"""A person at the console: commands at random moments in trouble, and help afterwards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from random import Random
from typing import Protocol

from msgspec.structs import replace

from anabranch.core import inputs
from anabranch.core.events import Conflict, Resolution
from anabranch.core.folds.resolutions import open_conflicts
from anabranch.core.folds.reviews import waiting_for_review
from anabranch.core.ids import StreamId
from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.state import RunPhase, State
from anabranch.core.plans.plan import Dependency
from anabranch.core.views.conflicts import decisions_of, why_not_reopened
from anabranch.testing.reviewer import Reviewer
from anabranch.testing.world import SimulatedWorld

PATIENCE = 3
BALANCERS = (
    *("longest-first", "plan-order"),
    *("round-robin", "least-loaded", "two-choices", "affinity", "work-stealing"),
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
        self._handed_back = self._taken_back = 0
        self._reviewer = Reviewer(console.rng)

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
                self._adds(state),
                self._rewords(state, rng.choice(ended or [stream])),
                self._reviewer.tries(state, self._reviewed(state, stream)),
                inputs.AdoptStream(stream=stream),
                inputs.RecoverStream(
                    stream=stream,
                    remedy=rng.choice(("soft", "hard", "fallback")),
                    reason="recovered by you",
                ),
                self._sends_or_looks(state, stream, ended),
            )
        )

    def _adds(self, state: State) -> inputs.AddStream:
        """Add a stream behind others, now and then under a name that is taken."""
        rng, names = self._console.rng, [plan.id for plan in state.plan.streams]
        new = StreamId(f"s{len(names)}")
        model = state.stream_plan(rng.choice(names))
        behind = tuple(Dependency(s) for s in rng.sample(names, rng.randint(0, min(2, len(names)))))
        name = new if rng.random() < 0.9 else names[0]
        return inputs.AddStream(stream=replace(model, id=name, depends_on=behind, at=""))

    def _rewords(self, state: State, name: StreamId) -> inputs.RewordStream:
        """Have a stream tried again that waits for others than before, maybe in a ring."""
        rng, names = self._console.rng, [plan.id for plan in state.plan.streams]
        behind = tuple(Dependency(s) for s in names if s != name and rng.random() < 0.2)
        changed = replace(state.stream_plan(name), depends_on=behind)
        return inputs.RewordStream(stream=changed)

    def _reviewed(self, state: State, stream: StreamId) -> StreamId:
        reviewed = state.topology.reviewed
        return self._console.rng.choice(reviewed) if reviewed else stream

    def _sends_or_looks(
        self, state: State, stream: StreamId, ended: Sequence[StreamId]
    ) -> inputs.SendInput | inputs.LookAt:
        rng = self._console.rng
        if rng.random() < 0.3:
            return inputs.LookAt(streams=tuple(ended))
        able = [p.id for p in state.plan.streams if p.tty]
        request = f"r{rng.randrange(1_000)}"
        return inputs.SendInput(stream=rng.choice(able or [stream]), text="y", request=request)

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
        if state.plan.is_open and not state.has_ended:
            self._console.submit(inputs.CloseRun())
            return True
        if state.phase is RunPhase.NEEDS_OPERATOR and self._adopts(state):
            return True
        if state.phase is RunPhase.NEEDS_OPERATOR:
            cannot_solve = any(
                state.streams[s].workspace is None
                for _, c in open_conflicts(state)
                for s in c.streams
            )
            if (cannot_solve or rng.random() < 0.5) and self._decides(state):
                return True
        if state.phase is RunPhase.NEEDS_OPERATOR and self._reviews(state):
            return True
        if state.phase is RunPhase.NEEDS_OPERATOR:
            self._solve(c for p in state.plan.points for c in state.points[p.id].conflicts)
            self._console.world.sometimes("the operator solved what needed him")
            self._console.submit(self._resume())
            return True
        if state.phase is RunPhase.CONVERGED and state.decisions and self._takes_back(state):
            return True
        if state.phase is RunPhase.CONVERGED and not state.approval.is_done and rng.random() < 0.3:
            self._console.submit(inputs.ApproveRun())
            return True
        if state.phase is not RunPhase.CONVERGED and not self._has_resumed and rng.random() < 0.5:
            self._has_resumed = True
            self._console.submit(self._resume())
            return True
        return False

    def _reviews(self, state: State) -> bool:
        """Take each result that waits for a review, or hand it back; return whether any does."""
        waiting = waiting_for_review(state)
        for name in waiting:
            for note in self._reviewer.notes(self._console.state, name):
                self._console.submit(note)
            what, command = self._reviewer.decides(state, name)
            self._console.world.sometimes(f"the operator {what}")
            self._console.submit(command)
        return bool(waiting)

    def _adopts(self, state: State) -> bool:
        """Say which one is adopted where a point asks; return whether one does."""
        asked = [s for p in state.plan.points for s in state.points[p.id].adoption.asked]
        if asked:
            self._console.world.sometimes("the operator adopted one of several")
            self._console.submit(inputs.AdoptStream(stream=self._console.rng.choice(asked)))
        return bool(asked)

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

    def _takes_back(self, state: State) -> bool:
        """Take a decision back, not for ever; return whether there was one."""
        made = decisions_of(state)
        if not made or self._taken_back >= PATIENCE:
            return False
        self._taken_back += 1
        chosen = self._console.rng.choice(made)
        if why_not_reopened(state, chosen) is None:
            self._console.world.sometimes("the operator took a decision back")
        self._console.submit(inputs.ReopenConflict(resolutions=(chosen.resolution,)))
        return True

    def _tells(self, state: State) -> inputs.Command:
        made = decisions_of(state)
        if made and self._console.rng.random() < 0.5:
            return inputs.ReopenConflict(resolutions=(made[0].resolution,))
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
                workspace = console.world.workspaces.get((stream, known.attempt))
                if known.result is None or workspace is None:  # another goes on in it: it is gone
                    continue
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
