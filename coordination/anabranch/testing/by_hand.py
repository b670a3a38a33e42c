"""A run driven by hand: inputs go in one at a time, and events come out as short words.

For tests of a single decision, where a whole simulation would say too much::

    run = ByHand(plan_of(stream("a"), stream("b", "a")), strategies)
    run.succeed("a")
    assert run.phase("b") == "preparing"
"""

from __future__ import annotations

from typing import Any

from anabranch.core import events as ev
from anabranch.core import inputs
from anabranch.core.deciding.decide import decide
from anabranch.core.effects import Effect
from anabranch.core.ids import Attempt, PointId, RunId, StreamId
from anabranch.core.model.outcome import Refusal
from anabranch.core.model.state import State, Stream
from anabranch.core.plans.plan import Plan
from anabranch.core.promises.invariants import broken_promises
from anabranch.core.strategies import Strategies
from anabranch.testing.clock import FakeClock
from anabranch.testing.port_book import own_ports
from anabranch.testing.promises import PromiseBroken

SILENT = (ev.StreamRegistered, ev.ConvergenceArrived, ev.ConvergenceDeparted)


class ByHand:
    """One run; every method that gives an input returns the words for the events it led to.

    The words leave out what always happens: registering, arriving and departing. Raises
    PromiseBroken when a state breaks a promise, unless it is not checked (``is_checked``), which
    takes time in proportion to the plan.
    """

    def __init__(
        self,
        plan: Plan,
        strategies: Strategies,
        *,
        approve: bool = False,
        has_base: bool = True,
        is_checked: bool = True,
    ) -> None:
        self.clock = FakeClock()
        self.records: list[ev.Recorded] = []
        self.effects: tuple[Effect, ...] = ()
        self.all_effects: list[Effect] = []
        self.refusal: Refusal | None = None
        self._strategies = strategies
        self._is_checked = is_checked
        self._state: State | None = None
        self.give(
            inputs.StartRun(
                run=RunId("r"), project="/p", plan_path=None, plan=plan, approve=approve, wall=0.0
            )
        )
        if has_base:
            self.base()

    @property
    def state(self) -> State:
        assert self._state is not None
        return self._state

    def stream(self, name: str) -> Stream:
        return self.state.streams[StreamId(name)]

    def phase(self, name: str) -> str:
        """Return a stream's phase as a word."""
        return self.stream(name).phase.value

    def phases(self) -> dict[str, str]:
        """Return every stream's phase, in plan order."""
        return {plan.id: self.phase(plan.id) for plan in self.state.plan.streams}

    def give(self, given: inputs.Input) -> list[str]:
        """Give any input; a refusal is kept in ``refusal`` and brings no events."""
        outcome = decide(self._state, given, self.clock(), self._strategies)
        self.refusal = outcome if isinstance(outcome, Refusal) else None
        if isinstance(outcome, Refusal):
            return []
        self._state = outcome.state
        self.records += outcome.events
        self.effects = outcome.effects
        self.all_effects += outcome.effects
        for promise in broken_promises(outcome.state) if self._is_checked else ():
            raise PromiseBroken(promise)
        return [in_words(r.event) for r in outcome.events if not isinstance(r.event, SILENT)]

    # --- observations ----------------------------------------------------------------------------

    def base(self) -> list[str]:
        return self.give(
            inputs.BaseFound(commit="base", tree="t", branch="refs/heads/main", head="h", cause=1)
        )

    def ready(self, name: str) -> list[str]:
        about = self._about(name)
        return self.give(
            inputs.WorkspaceReady(
                stream=about.id,
                attempt=about.attempt,
                path=f"/w/{name}",
                start_commit="base",
                start_tree="t",
                ports=own_ports(self.state, about.id, about.attempt),
                cause=about.cause,
            )
        )

    def started(self, name: str) -> list[str]:
        about = self._about(name)
        return self.give(
            inputs.ProcessStarted(
                stream=about.id,
                attempt=about.attempt,
                pid=10,
                holder_pid=11,
                log="l",
                happened_at=self.clock(),
                cause=about.cause,
            )
        )

    def setup_began(self, name: str) -> list[str]:
        about = self._about(name)
        return self.give(
            inputs.SetupBegan(
                stream=about.id,
                attempt=about.attempt,
                pid=10,
                holder_pid=11,
                log="setup",
                happened_at=self.clock(),
                cause=about.cause,
            )
        )

    def setup_done(self, name: str, failure: str = "", seconds: float = 1.0) -> list[str]:
        about = self._about(name)
        return self.give(
            inputs.SetupDone(
                stream=about.id,
                attempt=about.attempt,
                exit_code=3 if failure else 0,
                signal=None,
                seconds=seconds,
                failure=failure,
                happened_at=self.clock(),
                cause=about.cause,
            )
        )

    def torn_down(self, name: str, attempt: Attempt, failure: str = "") -> list[str]:
        about = self._about(name)
        return self.give(
            inputs.TeardownDone(
                stream=about.id,
                attempt=attempt,
                exit_code=1 if failure else 0,
                seconds=1.0,
                failure=failure,
                cause=about.cause,
            )
        )

    def is_ready(self, name: str) -> list[str]:
        """It is seen that a service is ready."""
        return self._readiness(name, "GET /health: 200", is_ready=True)

    def is_not_ready(self, name: str) -> list[str]:
        """A service was not ready in its time."""
        return self._readiness(name, "connection refused", is_ready=False)

    def is_unhealthy(self, name: str, since: float = 0.0) -> list[str]:
        """A service that was ready answers no more."""
        about = self._about(name)
        return self.give(
            inputs.HealthSeen(
                stream=about.id,
                attempt=about.attempt,
                evidence="GET /health: 503, 3 looks in a row",
                since=since,
                cause=about.cause,
            )
        )

    def _readiness(self, name: str, evidence: str, *, is_ready: bool) -> list[str]:
        about = self._about(name)
        return self.give(
            inputs.ReadinessSeen(
                stream=about.id,
                attempt=about.attempt,
                is_ready=is_ready,
                evidence=evidence,
                cause=about.cause,
            )
        )

    def exited(
        self,
        name: str,
        code: int | None = 0,
        *,
        signal: int | None = None,
        error: str | None = None,
        attempt: Attempt | None = None,
        **facts: Any,
    ) -> list[str]:
        """Its process has ended; ``facts`` are those of the observation beside the usual ones."""
        about = self._about(name)
        return self.give(
            inputs.ProcessExited(
                stream=about.id,
                attempt=about.attempt if attempt is None else attempt,
                exit_code=code,
                signal=signal,
                error=error,
                happened_at=self.clock(),
                cause=about.cause,
                **facts,
            )
        )

    def lost(self, name: str) -> list[str]:
        about = self._about(name)
        return self.give(
            inputs.ProcessLost(
                stream=about.id, attempt=about.attempt, reason="its holder was killed", cause=1
            )
        )

    def kept(self, name: str, commit: str | None = None, **facts: Any) -> list[str]:
        """The work is captured; an empty ``commit`` says that there was nothing to keep.

        ``facts`` are those of the observation beside the usual ones.
        """
        about = self._about(name)
        made = f"c-{name}.{about.attempt}" if commit is None else commit
        return self.give(
            inputs.ResultReady(
                stream=about.id,
                attempt=about.attempt,
                commit=made,
                tree=f"t-{made}",
                ref=f"refs/{name}.{about.attempt}",
                cause=about.cause,
                **{"files_changed": 1, **facts},
            )
        )

    def failed(self, name: str, reason: str = "permission denied") -> list[str]:
        """The effect that a stream waits for could not be done."""
        about = self._about(name)
        return self.give(
            inputs.EffectFailed(
                stream=about.id, attempt=about.attempt, reason=reason, cause=about.cause
            )
        )

    def conflicted(self, name: str, *streams: str) -> list[str]:
        """What a stream starts from does not merge."""
        about = self._about(name)
        return self.give(
            inputs.WorkspaceConflicted(
                stream=about.id,
                attempt=about.attempt,
                conflict=conflict_of(*streams),
                cause=about.cause,
            )
        )

    def merged(self, point: str = "final", *, without: tuple[str, ...] = ()) -> list[str]:
        """A point's merge is done; streams ``without`` did not merge."""
        known = self.state.points[PointId(point)]
        return self.give(
            inputs.MergeFinished(
                point=known.id,
                commit="m",
                tree="t-m",
                branch="anabranch/r",
                merged=tuple(s for s in known.merging if s not in without),
                conflicts=tuple(conflict_of(name) for name in without),
                cause=known.cause,
            )
        )

    def merge_failed(self, point: str = "final") -> list[str]:
        known = self.state.points[PointId(point)]
        return self.give(inputs.MergeFailed(point=known.id, reason="no git", cause=known.cause))

    def at(self, seconds: float) -> list[str]:
        """The clock reaches a moment, and a timer rings."""
        self.clock.advance_to(seconds)
        return self.give(inputs.TimeReached(cause=1))

    # --- commands --------------------------------------------------------------------------------

    def stop(self, name: str | None = None) -> list[str]:
        """A person stops a stream, or the run."""
        reason = "stopped by you"
        if name is None:
            return self.give(inputs.StopRun(reason=reason))
        return self.give(inputs.StopStream(stream=StreamId(name), reason=reason))

    def retry(self, name: str) -> list[str]:
        return self.give(inputs.RetryStream(stream=StreamId(name), reason="retried by you"))

    def resume(self, *, retry_failed: bool = True) -> list[str]:
        return self.give(
            inputs.ResumeRun(reason="resumed by you", adopted=0, retry_failed=retry_failed)
        )

    def approve(self) -> list[str]:
        return self.give(inputs.ApproveRun())

    # --- several at once -------------------------------------------------------------------------

    def run(self, *names: str) -> None:
        """Bring streams from *preparing* to *running*."""
        for name in names:
            self.ready(name)
            self.started(name)

    def succeed(self, *names: str) -> list[str]:
        """Bring streams from *preparing* to *succeeded*; return the words for the last step."""
        words: list[str] = []
        for name in names:
            self.run(name)
            self.exited(name)
            words = self.kept(name)
        return words

    def fail(self, *names: str) -> list[str]:
        """Bring streams from *preparing* to the end of an attempt with exit code 1."""
        words: list[str] = []
        for name in names:
            self.run(name)
            self.exited(name, 1)
            words = self.kept(name)
        return words

    def _about(self, name: str) -> Stream:
        stream, _, attempt = name.partition("@")
        if attempt:
            return self.state.at_attempt(StreamId(stream), int(attempt))
        return self.state.streams[StreamId(stream)]


def conflict_of(*streams: str, path: str = "f.txt") -> ev.Conflict:
    """Return a conflict of some streams in one path."""
    names = tuple(StreamId(name) for name in streams)
    return ev.Conflict(streams=names, paths=(ev.ConflictedPath(path=path, kind="contents"),))


def in_words(event: ev.Event) -> str:
    """Return an event as its wire name and what it is about: ``stream_queued a``."""
    about = getattr(event, "stream", None) or getattr(event, "point", None)
    name = ev.wire_name(type(event).__name__)
    return f"{name} {about}" if about else name
