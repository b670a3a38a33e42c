"""A run whose streams talk to the core, driven by hand: calls go in, answers come out.

After every step the promises of the state are checked, and folding the events again has to give
the same state.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from anabranch.core import calls, inputs
from anabranch.core import events as ev
from anabranch.core.calls import Answer, Call, Caller
from anabranch.core.deciding.decide import decide
from anabranch.core.folds.evolve import evolve
from anabranch.core.ids import RunId, StreamId
from anabranch.core.model.outcome import Decision
from anabranch.core.model.snapshots import decode_state, encode_state
from anabranch.core.model.state import State
from anabranch.core.plans.plan import Plan
from anabranch.core.promises.invariants import broken_promises
from anabranch.plugins import load_plugins
from anabranch.testing import plan_of, stream
from anabranch.testing.port_book import own_ports

STRATEGIES = load_plugins().strategies
OPERATOR = "operator"


class Talk:
    """Streams that all run, unless the plan has them wait."""

    def __init__(self, *names: str, plan: Plan | None = None, **fields: Any) -> None:
        fields.setdefault("max_parallel", max(1, len(names)))
        self.plan = plan or plan_of(*(stream(name) for name in names), **fields)
        self.now = 0.0
        self.records: list[ev.Recorded] = []
        self._state: State | None = None
        self._requests = 0
        self.is_checked = True
        self._step(
            inputs.StartRun(
                run=RunId("r"), project="/p", plan_path=None, plan=self.plan, approve=False, wall=0
            )
        )
        self._step(inputs.BaseFound(commit="c", tree="t", branch="main", head="c"))
        for name in names:
            self.starts(name)

    @property
    def state(self) -> State:
        assert self._state is not None
        return self._state

    def _step(self, given: inputs.Input) -> Decision:
        before = self._state
        decision = decide(before, given, self.now, STRATEGIES)
        assert isinstance(decision, Decision), decision
        self._state = decision.state
        self.records += decision.events
        if self.is_checked:
            self._check(before, decision)
        return decision

    def _check(self, before: State | None, decision: Decision) -> None:
        again = before
        for record in decision.events:
            again = evolve(again, record) if again else None
        assert again is None or again == decision.state
        assert not broken_promises(self.state)

    @contextmanager
    def in_bulk(self) -> Iterator[None]:
        """Check only once, at the end: what is done a thousand times is checked elsewhere."""
        self.is_checked = False
        yield
        self.is_checked = True
        assert not broken_promises(self.state)

    # --- streams ---------------------------------------------------------------------------------

    def _current(self, name: str) -> dict[str, Any]:
        stream_id = StreamId(name)
        return {"stream": stream_id, "attempt": self.state.streams[stream_id].attempt}

    def starts(self, name: str) -> None:
        """Let an admitted stream's process start."""
        key = self._current(name)
        made = inputs.WorkspaceReady(
            path="/w",
            start_commit="c",
            start_tree="t",
            ports=own_ports(self.state, key["stream"], key["attempt"]),
            **key,
        )
        self._step(made)
        self._step(inputs.ProcessStarted(pid=1, holder_pid=1, log="l", happened_at=self.now, **key))

    def ends(self, name: str, exit_code: int = 0) -> None:
        """Let a stream's process end and its work be kept."""
        key = self._current(name)
        self._step(
            inputs.ProcessExited(
                exit_code=exit_code, signal=None, error=None, happened_at=self.now, **key
            )
        )
        self._step(inputs.ResultReady(commit="k", tree="t", files_changed=1, ref="refs/x", **key))

    def is_retried(self, name: str) -> None:
        """Let the operator run an ended stream once more, and its process start."""
        self._step(inputs.RetryStream(stream=StreamId(name), reason="retry"))
        self.starts(name)

    def passes(self, seconds: float) -> None:
        """Let time pass, and the clock ring."""
        self.now += seconds
        self._step(inputs.TimeReached())

    def remembers(self) -> None:
        """Take a snapshot and go on from it; nothing may change by that."""
        again = decode_state(encode_state(self.state))
        assert again == self.state
        self._state = again

    # --- calls -----------------------------------------------------------------------------------

    def call(self, kind: type[Call], by: str, request: str | None = None, **facts: Any) -> Answer:
        """Let somebody call, and return the answer; without a request id a new one is taken."""
        self._requests += 1
        is_operator = by == OPERATOR
        attempt = 0 if is_operator else self.state.streams[StreamId(by)].attempt
        caller = Caller(StreamId("" if is_operator else by), attempt, is_operator)
        name = f"q{self._requests}" if request is None else request
        answer = self._step(kind(caller=caller, request=name, **facts)).answer
        assert answer is not None
        return answer

    def sets(self, by: str, key: str, value: Any, if_version: int | None = None) -> Answer:
        return self.call(calls.StateSet, by, key=key, value=value, if_version=if_version)

    def updates(self, by: str, key: str, value: Any, if_version: int | None = None) -> Answer:
        return self.call(calls.StateUpdate, by, key=key, value=value, if_version=if_version)

    def commits(
        self, by: str, base: int, changes: dict[str, Any], removed: tuple[str, ...] = ()
    ) -> Answer:
        return self.call(calls.StateCommit, by, base=base, changes=changes, removed=removed)

    def sends(self, by: str, to: str, body: Any = "hello", seconds: float | None = None) -> Answer:
        return self.call(calls.Send, by, to=StreamId(to), body=body, deadline_seconds=seconds)

    def broadcasts(self, by: str, body: Any = "hello", seconds: float | None = None) -> Answer:
        return self.call(calls.Broadcast, by, body=body, deadline_seconds=seconds)

    def reads(self, by: str, limit: int = 100) -> list[dict[str, Any]]:
        answer = self.call(calls.ReadInbox, by, limit=limit)
        assert answer.outcome == "done", answer
        found: list[dict[str, Any]] = answer.facts["messages"]
        return found

    def acks(self, by: str, message: int) -> Answer:
        return self.call(calls.Acknowledge, by, message=message)

    def requeues(self, message: int, by: str = OPERATOR) -> Answer:
        return self.call(calls.Requeue, by, message=message)
