"""Streams that run, and calls that they make, without a machine under them."""

from __future__ import annotations

from functools import cache
from itertools import count
from typing import Any

from anabranch.core import effects as fx
from anabranch.core import events as ev
from anabranch.core import inputs
from anabranch.core.calls import OPERATOR, Answer, Call, Caller, Lock, Unlock
from anabranch.core.deciding.decide import decide
from anabranch.core.effects import Effect
from anabranch.core.ids import LockMode, RunId, StreamId
from anabranch.core.model.outcome import Decision
from anabranch.core.model.state import State
from anabranch.core.plans.plan import Plan
from anabranch.plugins import load_plugins
from anabranch.testing.plans import plan_of
from anabranch.testing.plans import stream as stream_plan

STRATEGIES = load_plugins().strategies


@cache
def running(size: int, lease_seconds: float = 10.0) -> State:
    """Return a run in which streams s0, s1 … are running since moment 0."""
    members = [
        stream_plan(f"s{n}", heartbeat_timeout_seconds=lease_seconds, converge="final")
        for n in range(size)
    ]
    return started(plan_of(*members, max_parallel=size), [f"s{n}" for n in range(size)])


def started(plan: Plan, names: list[str], at: float = 0.0) -> State:
    """Return a run of a plan in which some streams are running."""
    run = inputs.StartRun(
        run=RunId("r"), project="/p", plan_path=None, plan=plan, approve=False, wall=0.0
    )
    state = step(None, run, 0.0).state
    found = inputs.BaseFound(commit="c", tree="t", branch=None, head=None)
    state = step(state, found, 0.0).state
    for name in names:
        state = begun(state, name, at)
    return state


def begun(state: State, name: str, at: float) -> State:
    """Return the state after an admitted stream's process has started."""
    stream = state.streams[StreamId(name)]
    which: dict[str, Any] = {"stream": stream.id, "attempt": stream.attempt}
    ready = inputs.WorkspaceReady(**which, path="/w", start_commit="c", start_tree="t")
    begins = inputs.ProcessStarted(**which, pid=1, holder_pid=1, log="l", happened_at=at)
    return step(step(state, ready, at).state, begins, at).state


def step(state: State | None, given: inputs.Input, now: float) -> Decision:
    """Return what an input brings; it must not be refused."""
    decision = decide(state, given, now, STRATEGIES)
    assert isinstance(decision, Decision), decision
    return decision


class Run:
    """A run that is talked to; keeps the newest state, all events and effects."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.now = state.at
        self.records: list[ev.Recorded] = []
        self.effects: list[Effect] = []
        self._ids = count()

    def give(self, given: inputs.Input) -> Answer | None:
        """Let an input in."""
        decision = step(self.state, given, self.now)
        self.state = decision.state
        self.records += decision.events
        self.effects += decision.effects
        return decision.answer

    def call(self, kind: type[Call], name: str, **fields: Any) -> Answer:
        """Let a stream call (the operator, for an empty name)."""
        who = self.caller(name) if name else OPERATOR
        request = fields.pop("request", None) or f"request-{next(self._ids)}"
        answer = self.give(kind(caller=fields.pop("caller", who), request=request, **fields))
        assert answer is not None
        return answer

    def caller(self, name: str) -> Caller:
        """Return a stream's current attempt."""
        return Caller(StreamId(name), self.state.streams[StreamId(name)].attempt)

    def lock(self, name: str, path: str, mode: LockMode = "write", **fields: Any) -> Answer:
        """Let a stream ask for a lock."""
        return self.call(Lock, name, path=path, mode=mode, **fields)

    def unlock(self, name: str, path: str, **fields: Any) -> Answer:
        """Let a stream give a lock back."""
        return self.call(Unlock, name, path=path, **fields)

    def lose(self, name: str) -> None:
        """Let a stream's process vanish."""
        stream = self.caller(name)
        self.give(inputs.ProcessLost(stream=stream.stream, attempt=stream.attempt, reason="killed"))

    def wake(self, now: float) -> None:
        """Let the clock reach a moment, and all timers that are due by then ring at that moment."""
        self.now = now
        waits = [e for e in self.effects if isinstance(e, fx.WakeAt) and e.at <= now]
        self.effects = [e for e in self.effects if e not in waits]
        for cause in dict.fromkeys([None, *(e.cause for e in waits)]):
            self.give(inputs.TimeReached(cause=cause))

    def events(self, kind: type[Any]) -> list[Any]:
        """Return all events of one kind so far."""
        return [r.event for r in self.records if isinstance(r.event, kind)]

    def holds(self, name: str, path: str) -> bool:
        """Whether a stream holds exactly this path."""
        entry = self.state.locks.entries.get(path)
        return entry is not None and any(g.stream == name for g in entry.grants)
