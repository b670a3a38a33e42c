"""Runs in which everything happens that can: every call and every observation, at odd moments.

The core alone, without an engine. What nobody would do in this order is done in this order:
requests come twice, attempts that are over call, observations repeat. After each step the promises
are checked, and stronger ones (:mod:`tests.simulation.oracles`).
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from msgspec.structs import replace

from anabranch.core import calls, inputs
from anabranch.core import effects as fx
from anabranch.core import events as ev
from anabranch.core.deciding.decide import decide
from anabranch.core.deciding.owed import owed
from anabranch.core.deciding.waiting.reasons import called_waits
from anabranch.core.ids import RunId, StreamId
from anabranch.core.model.handlers import Handled
from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.locks import asks_of
from anabranch.core.model.outcome import Decision, Refusal
from anabranch.core.model.questions import all_open
from anabranch.core.model.state import State
from anabranch.core.plans.plan import (
    Dependency,
    DependencyCondition,
    FanPlan,
    Plan,
    RatePlan,
    SideCommand,
    StreamPlan,
)
from anabranch.core.plans.providers import with_providers
from anabranch.core.strategies import Strategies
from anabranch.testing import plan_of, point, stream
from anabranch.testing.operator import BALANCERS
from anabranch.testing.pressing import random_pressure
from tests.simulation import oracles

PATHS = ("a", "b", "d/x", "d/", "*", "**/x")
KEYS = ("k", "n.m", "o")
CONDITIONS: tuple[DependencyCondition, ...] = ("succeeded", "succeeded", "completed", "started")
OUTSIDE = (StreamId("out1"), StreamId("out2"))


def random_plan(rng: Random) -> Plan:
    """Return a small plan in which streams meet in every way that there is."""
    names = [f"s{n}" for n in range(rng.randint(2, 5))]
    members = [_member(rng, names, n) for n in range(len(names))]
    known = with_providers(tuple(members))
    points = [
        point(
            name,
            type=rng.choice(("barrier", "barrier", "progressive", "checkpoint")),
            on_conflict=rng.choice(("ask", "quarantine", "stop")),
            resolver=rng.choice(("", "settle")),
            verify=rng.choice(("", "", "check")),
            timeout_seconds=rng.choice((None, None, 20.0)),
        )
        for name in ("p", "final")
    ]
    points = [
        replace(
            p,
            merges_early=p.type == "progressive",
            takes_checkpoints=p.type == "checkpoint",
            interval_seconds=5.0,
        )
        for p in points
    ]
    return plan_of(
        *known,
        *(p for p in points if p.id == "final" or any("p" in s.points for s in known)),
        max_parallel=rng.randint(1, len(names)),
        is_adaptive=rng.random() < 0.5,
        balancer=rng.choice(BALANCERS),
        keep_going=rng.random() < 0.7,
        fallback=rng.choice(("sequential", "sequential", "degrade", "stop")),
        resources={"r": 4.0},
        on_excess=rng.choice(("show", "tell", "stop")),
        soft_grace_seconds=2.0,
        recovery_timeout_seconds=20.0,
        tell_conflicts=rng.random() < 0.5,
        heartbeat_timeout_seconds=15.0,
        max_disk_bytes=20,
    )


def _member(rng: Random, names: list[str], n: int) -> StreamPlan:
    depends: list[Dependency] = []
    for other in names[:n]:
        if rng.random() < 0.25:
            condition: DependencyCondition = rng.choice(CONDITIONS)
            depends.append(Dependency(StreamId(other), condition))
    if rng.random() < 0.2:
        kinds: tuple[DependencyCondition, ...] = ("succeeded", "completed", "started")
        depends.append(Dependency(condition=rng.choice(kinds), capability=rng.choice("xy")))
    made = stream(
        names[n],
        command_text=rng.choice(("work", "work", f"work {n}")),
        capabilities=tuple(c for c in "xy" if rng.random() < 0.25),
        resources={"r": float(rng.randint(1, 4))} if rng.random() < 0.4 else {},
        max_retries=rng.choice((0, 1, 2)),
        optional=rng.random() < 0.2,
        converge=rng.choice(("p", "final", "final")),
        also_at=(),
        tty=n % 2 == 0,
        sync=rng.random() < 0.5,
        heartbeat_timeout_seconds=rng.choice((10.0, 10.0, 600.0)),
        after_seconds=rng.choice((0.0, 0.0, 3.0)),
        spread_seconds=rng.choice((0.0, 0.0, 5.0)),
        rate=rng.choice((None, None, RatePlan(1, 20.0))),
        timeout_seconds=rng.choice((None, None, None, 60.0)),
        writes=rng.choice(((), (), ("a",))),
        setup=SideCommand(("x",), "x") if n % 3 else None,
        teardown=SideCommand(("x",), "x") if n % 3 == 1 else None,
        fan=FanPlan({"items": ["a"]}, "x {item}") if n % 2 == 0 else None,
    )
    also = ("p",) if made.converge == "final" and rng.random() < 0.2 else ()
    return replace(made, depends_on=tuple(depends), also_at=also)


class Everything:
    """One run from a seed; ``given`` is the story so far, for whoever wants to shrink it."""

    def __init__(self, seed: int, strategies: Strategies) -> None:
        self.rng, self.of_setups = Random(seed), Random(seed)
        self.strategies = strategies
        self.plan = random_plan(self.rng)
        self.now = 0.0
        self.given: list[tuple[float, inputs.Input]] = []
        self.records: list[ev.Recorded] = []
        self.timers: set[tuple[float, int]] = set()
        self.old: list[calls.Call] = []
        self._requests = 0
        self._state: State | None = None
        start = inputs.StartRun(
            run=RunId("r"), project="/p", plan_path=None, plan=self.plan, approve=False, wall=0.0
        )
        self.give(start)
        self.give(inputs.BaseFound(commit="c", tree="t", branch="main", head="c"))
        if self.rng.random() < 0.5:
            self.give(inputs.MachineSeen(capacity={"cpu_cores": 4.0, "memory_mb": 8000.0}))

    @property
    def state(self) -> State:
        assert self._state is not None
        return self._state

    def give(self, given: inputs.Input) -> Decision | Refusal:
        """Let an input in, and check everything that has to hold then."""
        self.given.append((self.now, given))
        before = self._state
        outcome = decide(before, given, self.now, self.strategies)
        if isinstance(outcome, Refusal):
            return outcome
        self._state = outcome.state
        self.records += outcome.events
        self.timers |= {(e.at, e.cause) for e in outcome.effects if isinstance(e, fx.WakeAt)}
        oracles.check(before, given, outcome, self.now, self.strategies)
        return outcome

    def run(self, steps: int) -> None:
        """Let anything happen, then only what has to: the run must come to its end."""
        for _ in range(steps):
            self.act()
            self.pass_time()
        self.calm_down()

    # --- what happens ----------------------------------------------------------------------------

    def act(self) -> None:
        """Do one thing at random."""
        what = self.rng.random()
        if what < 0.45:
            self.call()
        elif what < 0.52 and self.old:
            self.give(self.rng.choice(self.old[-12:]))
        elif what < 0.80:
            self.answer_an_effect()
        elif what < 0.94:
            self.observe()
        else:
            self.command()

    def call(self) -> None:
        """Somebody calls: who runs, mostly."""
        rng = self.rng
        callers = [
            calls.Caller(s.id, s.attempt)
            for s in self.state.streams.values()
            if s.phase in (Phase.STARTING, Phase.RUNNING, Phase.STOPPING)
        ]
        callers += [
            calls.Caller(j.id, j.attempt)
            for j in self.state.registry.joined.values()
            if j.is_live and j.is_ready
        ]
        callers.sort(key=lambda c: c.stream)
        if rng.random() < 0.1 or not callers:
            caller = calls.OPERATOR
        elif rng.random() < 0.05:
            caller = calls.Caller(rng.choice(callers).stream, rng.randint(0, 3))
        else:
            caller = rng.choice(callers)
        self._requests += 1
        made = self._call_of(caller, f"q{self._requests}")
        self.old.append(made)
        self.give(made)

    def _call_of(self, caller: calls.Caller, request: str) -> calls.Call:
        rng, state = self.rng, self.state
        who: dict[str, Any] = {"caller": caller, "request": request}
        makers: list[tuple[int, Callable[[], calls.Call]]] = [
            (
                8,
                lambda: calls.Lock(
                    **who,
                    path=rng.choice(PATHS),
                    mode=rng.choice(("read", "write")),
                    wait=rng.random() < 0.8,
                ),
            ),
            (3, lambda: calls.Unlock(**who, **self._unlocked(caller))),
            (
                7,
                lambda: calls.RequestResources(
                    **who, amounts={"r": float(rng.randint(1, 3))}, wait=rng.random() < 0.85
                ),
            ),
            (
                2,
                lambda: calls.ReleaseResources(
                    **who, amounts=state.resources.held_by(caller.stream) or {"r": 1.0}
                ),
            ),
            (
                5,
                lambda: calls.Arrive(
                    **who,
                    point=rng.choice(self.plan.points).id,
                    wait=rng.random() < 0.7,
                    value=rng.choice((None, 1, {"base": 0, "changes": {"k": rng.randint(0, 3)}})),
                ),
            ),
            (
                4,
                lambda: calls.Withdraw(
                    **who, ticket=str(self._ticket(caller)), is_abandoned=rng.random() < 0.4
                ),
            ),
            (
                1,
                lambda: calls.StateSet(
                    **who,
                    key=rng.choice(KEYS),
                    value=rng.randint(0, 3),
                    if_version=rng.choice((None, 0, state.shared.head)),
                ),
            ),
            (1, lambda: calls.StateUpdate(**who, key="o", value={rng.choice("ab"): 1})),
            (
                1,
                lambda: calls.StateCommit(
                    **who,
                    base=rng.randint(0, state.shared.head),
                    changes={rng.choice(KEYS): 1},
                    removed=rng.choice(((), ("k",))),
                    exact=rng.random() < 0.3,
                ),
            ),
            (
                1,
                lambda: calls.StateRestore(
                    **who, version=rng.choice((None, state.shared.head, 0)), stream=self._name()
                ),
            ),
            (
                1,
                lambda: calls.Send(
                    **who,
                    to=rng.choice((self._name(), StreamId("nobody"), *OUTSIDE)),
                    body="hello",
                    deadline_seconds=rng.choice((None, 3.0)),
                ),
            ),
            (1, lambda: calls.Broadcast(**who, body=1, deadline_seconds=rng.choice((None, 3.0)))),
            (1, lambda: calls.Broadcast(**who, body=2, window_seconds=rng.choice((1.0, 5.0)))),
            (1, lambda: calls.ReadInbox(**who, limit=rng.randint(1, 3))),
            (1, lambda: calls.Acknowledge(**who, message=self._message())),
            (1, lambda: calls.Requeue(**who, message=self._message())),
            (
                1,
                lambda: calls.Heartbeat(
                    **who, status=rng.choice((None, "busy")), progress=rng.choice((None, 0.5))
                ),
            ),
            (1, lambda: calls.Renew(**who)),
            (1, lambda: calls.Prompt(**who, text=rng.choice(("", "your turn")))),
            (1, lambda: calls.Checkpoint(**who, label="l")),
            (
                0 if caller.is_operator else 2,
                lambda: calls.Ask(
                    **who,
                    question=rng.choice(("a?", "b?")),
                    choices=rng.choice(((), ("yes", "no"))),
                ),
            ),
            (
                3 if caller.is_operator else 0,
                lambda: calls.Register(
                    **who,
                    id=rng.choice(OUTSIDE),
                    capabilities=rng.choice(((), ("x",), ("x", "y"))),
                    depends_on=rng.choice(((), (), (self._name(),))),
                ),
            ),
            (1, lambda: calls.Leave(**who, has_succeeded=rng.random() < 0.5)),
        ]
        maker = rng.choices([m for _, m in makers], [weight for weight, _ in makers])[0]
        return maker()

    def _unlocked(self, caller: calls.Caller) -> dict[str, Any]:
        table = self.state.locks
        owner = caller.stream
        if caller.is_operator and len(table.holders):
            owner = self.rng.choice(sorted(table.holders))
        holder = table.holders.get(owner)
        if holder is None or not len(holder.held) or self.rng.random() < 0.1:
            return {"path": self.rng.choice(PATHS)}
        fence = self.rng.choice(sorted(holder.held))
        return {"fence": fence} if self.rng.random() < 0.5 else {"path": holder.held[fence]}

    def _ticket(self, caller: calls.Caller) -> int:
        state = self.state
        found = [a.ticket for a in asks_of(state.locks, caller.stream)]
        found += [w.ticket for w in state.resources.queue if w.stream == caller.stream]
        found += [
            a.ticket
            for p in state.plan.points
            for a in state.points[p.id].gathering.arrivals
            if a.stream == caller.stream
        ]
        found += [q.ticket for q in state.questions.get(caller.stream, ())]
        return self.rng.choice(sorted(found) or [3])

    def _who_asks(self) -> StreamId:
        return self.rng.choice(sorted(self.state.questions) or [self._name()])

    def _name(self) -> StreamId:
        return self.rng.choice(self.plan.streams).id

    def _message(self) -> int:
        return self.rng.choice(sorted(self.state.messages.messages) or [1])

    # --- what the world says ---------------------------------------------------------------------

    def answer_an_effect(self) -> None:
        """Something that is owed is done, well or badly."""
        to_do = [e for e in owed(self.state) if not isinstance(e, fx.WakeAt | fx.WriteReport)]
        running = [s.id for s in self.state.streams.values() if s.phase is Phase.RUNNING]
        if running and self.rng.random() < 0.15:
            self.exits(self.rng.choice(sorted(running)))
        elif to_do:
            self.answer(self.rng.choice(to_do), may_fail=True)

    def _set_up(self, who: dict[str, Any], began: dict[str, Any], fails: bool) -> None:
        """Let a setup begin, and end or go on."""
        self.give(inputs.SetupBegan(**who, **began))
        if self.of_setups.random() < 0.8:
            done: dict[str, Any] = {"seconds": 0.5, "happened_at": self.now, "signal": None}
            failure = "exit 1" if fails else ""
            self.give(inputs.SetupDone(**who, **done, exit_code=0, failure=failure))

    def answer(self, effect: fx.Effect, may_fail: bool) -> None:
        """One effect is done."""
        rng, state = self.rng, self.state
        fails = may_fail and rng.random() < 0.15
        who: dict[str, Any] = {"cause": effect.cause}
        about: Any = effect
        if hasattr(effect, "stream"):
            who |= {"stream": about.stream, "attempt": about.attempt}
        match effect:
            case fx.PrepareWorkspace() if fails:
                if rng.random() < 0.5:
                    names = (effect.stream,)
                    self.give(inputs.WorkspaceConflicted(**who, conflict=conflict_of(names)))
                else:
                    self.give(inputs.EffectFailed(**who, reason="no"))
            case fx.PrepareWorkspace():
                ready: dict[str, Any] = {"path": "/w", "start_commit": "c", "start_tree": "t"}
                self.give(inputs.WorkspaceReady(**who, **ready))
            case fx.StartProcess() if fails:
                self.give(inputs.EffectFailed(**who, reason="no"))
            case fx.StartProcess():
                began: dict[str, Any] = {
                    "pid": 1,
                    "holder_pid": 2,
                    "log": "l",
                    "happened_at": self.now,
                }
                if self.of_setups.random() < 0.3:
                    self._set_up(who, began, fails)
                self.give(inputs.ProcessStarted(**who, **began))
            case fx.TearDown():
                self.give(inputs.TeardownDone(**who, exit_code=0, seconds=0.1, failure=""))
            case fx.StopProcess():
                self.exits(effect.stream)
            case fx.CaptureResult() if fails:
                self.give(inputs.EffectFailed(**who, reason="no"))
            case fx.CaptureResult():
                commit = f"{effect.stream}.{effect.attempt}"
                kept: dict[str, Any] = {
                    "commit": commit,
                    "tree": f"t-{commit}",
                    "files_changed": 1,
                    "ref": "x",
                }
                strays = ("stray",) if may_fail and rng.random() < 0.1 else ()
                self.give(inputs.ResultReady(**who, **kept, strays=strays))
            case fx.TakeCheckpoint() if fails:
                self.give(inputs.CheckpointNotTaken(**who, number=effect.number, reason="no"))
            case fx.TakeCheckpoint():
                kept = {"commit": "k", "tree": "kt", "ref": "x", "files_changed": 1}
                self.give(inputs.CheckpointReady(**who, number=effect.number, **kept))
            case fx.MergeResults() if fails and rng.random() < 0.5:
                self.give(inputs.MergeFailed(point=effect.point, reason="no"))
            case fx.MergeResults():
                merging = state.points[effect.point].merging
                without = rng.sample(merging, 1) if fails and merging else []
                merged = tuple(s for s in merging if s not in without)
                conflicts = tuple(conflict_of((s,)) for s in without)
                if may_fail is False and not merged:
                    conflicts = ()
                self.give(
                    inputs.MergeFinished(
                        point=effect.point,
                        commit="m",
                        tree="mt",
                        branch="anabranch/r",
                        merged=merged,
                        conflicts=conflicts,
                        cause=effect.cause,
                    )
                )
            case fx.RunResolver():
                self.give(inputs.ResolverFinished(point=effect.point, reason="not settled"))
            case fx.RunVerify():
                passed = None if fails else (not may_fail or rng.random() < 0.8)
                self.give(
                    inputs.VerifyFinished(
                        point=effect.point,
                        streams=effect.streams,
                        tree="mt",
                        passed=passed,
                        exit_code=0 if passed else 1,
                        reason="" if passed else "no",
                    )
                )
            case fx.MergeCheckpoint() if fails or not may_fail:
                about = {"point": effect.point, "number": effect.number}
                self.give(inputs.CheckpointNotMerged(**about, reason="no"))
            case fx.MergeCheckpoint():
                about = {"point": effect.point, "number": effect.number}
                self.give(
                    inputs.CheckpointMerged(
                        **about, commit="k", tree="kt", ref="x", works=(), conflicts=()
                    )
                )
            case fx.OfferCheckpoint():
                about = {"point": effect.point, "number": effect.number}
                self.give(inputs.SyncNotDone(**who, **about, reason="no"))
            case fx.RecoverHandler():
                self.give(inputs.HandlerRequestPassedOn(**who, request=effect.cause))
            case fx.TypeInput():
                verdicts: tuple[ev.Verdict, ...] = ("delivered", "refused", "stalled", "unknown")
                self.give(
                    inputs.InputTyped(
                        stream=effect.stream,
                        number=effect.number,
                        verdict=rng.choice(verdicts),
                        evidence="e",
                    )
                )
            case fx.AskStream():
                self.give(inputs.StreamAsked(**who, way="signal", outcome="sent"))
            case fx.ApproveResult() if fails:
                self.give(inputs.ApprovalNotDone(reason="no", hint="mend it"))
            case fx.ApproveResult():
                self.give(inputs.ApprovalDone(branch="main", commit="m", message="done"))

    def exits(self, name: StreamId) -> None:
        """A process ends."""
        stream_ = self.state.streams[name]
        who: dict[str, Any] = {"stream": name, "attempt": stream_.attempt, "cause": stream_.cause}
        if self.rng.random() < 0.1:
            self.give(inputs.ProcessLost(**who, reason="killed"))
            return
        code = self.rng.choice((0, 0, 0, 1))
        how: dict[str, Any] = {
            "exit_code": code,
            "signal": None,
            "error": None,
            "happened_at": self.now,
        }
        self.give(inputs.ProcessExited(**who, **how))

    def observe(self) -> None:
        """Something is seen that nobody asked for; now and then twice."""
        rng = self.rng
        name = self._name()
        attempt = self.state.streams[name].attempt
        who: dict[str, Any] = {"stream": name, "attempt": attempt - (rng.random() < 0.05)}
        seen: inputs.Input = rng.choice(
            (
                lambda: inputs.StreamHeld(**who, reason="the disk is full"),
                lambda: inputs.StreamLetGo(**who),
                lambda: inputs.EffectDelayed(**who, reason="no room"),
                lambda: inputs.OutputLeftOut(**who, left_out_bytes=7),
                lambda: inputs.PathsWritten(**who, paths=(rng.choice(("a", "b", "d/x")),)),
                lambda: inputs.UsageSeen(**who, memory_mb=9e3, cpu_cores=9.0),
                lambda: inputs.LivenessSeen(
                    **who,
                    evidence="e",
                    silent_seconds=9.0,
                    verdict=rng.choice(("never_heard", "stalled", "unclear", "quiet", "back")),
                ),
                lambda: inputs.PromptSeen(**who, text=rng.choice(("", "y?", "z?")), since=self.now),
                lambda: inputs.HeartbeatHeard(**who, status="s", progress=0.1, info={}),
                lambda: inputs.MachineLoad(
                    memory_available_mb=rng.choice((100.0, 5000.0, 5000.0)), memory_pressure=0.0
                ),
                lambda: inputs.MachineSeen(capacity={"cpu_cores": 4.0, "memory_mb": 8000.0}),
                *(4 * (lambda: random_pressure(rng),)),
                lambda: inputs.OverheadSeen(
                    share=rng.choice((0.01, 0.2)), by_category={"git": 1.0}
                ),
                *(4 * (lambda: self._handlers_seen(name, attempt),)),
                *(3 * (lambda: self._about_one_handler(name, attempt),)),
                lambda: inputs.JoinedStreamSilent(
                    stream=rng.choice(OUTSIDE), attempt=1, evidence="silent"
                ),
                lambda: inputs.ProcessLost(**who, reason="killed"),
                lambda: inputs.WorkspaceGone(**who),
                lambda: inputs.PairTested(
                    streams=_pair(name, self._name()),
                    attempts=(attempt, 1),
                    paths=rng.choice(((), (ev.ConflictedPath(path="f.txt", kind="contents"),))),
                ),
                lambda: inputs.TimeReached(cause=1),
                lambda: inputs.StrategyFault(
                    plugin="p", strategy="s", fault="f", count=1, is_set_aside=False
                ),
            )
        )()
        self.give(seen)
        if isinstance(seen, inputs.MachineLoad):  # the disk fills as the memory does
            is_short = seen.memory_available_mb < 1000
            self.give(inputs.DiskSeen(used_bytes=50 if is_short else 5, by_kind={"logs": 5}))
        if rng.random() < 0.2:
            self.give(seen)

    def _handlers_seen(self, name: StreamId, attempt: int) -> inputs.HandlersSeen:
        """Handlers have ended; now and then the look is one that got lost, or is too late."""
        asked = [s for s, handled in self.state.handlers.items() if handled.requested]
        if asked and self.rng.random() < 0.8:
            name = self.rng.choice(asked)
            attempt = self.state.streams[name].attempt
        known = self.state.handlers.get(name, Handled())
        since = known.book_offset - self.rng.choice((0, 0, 0, 7))
        ends = [
            ev.HandlerFinished(
                stream=name,
                attempt=max(1, attempt),
                handler=since + number,
                item="i",
                outcome=self.rng.choice(("succeeded", "failed")),
                exit_code=0,
                signal=None,
                reason="",
                seconds=0.1,
                began_at=self.now,
                slot=0,
                tries=1,
                book_offset=since + number,
            )
            for number in range(1, self.rng.randint(1, 4))
        ]
        to = ends[-1].book_offset if ends else since + 1
        return inputs.HandlersSeen(
            stream=name,
            attempt=max(1, attempt),
            since=since,
            book_offset=to,
            ended=tuple(ends),
            skipped=0 if ends else 1,
            left=self.rng.choice((0, 0, 2)),
            heard=tuple(one.cause for one in known.requested if self.rng.random() < 0.8),
            stopped=self.rng.choice(("", "", "too many have failed")),
        )

    def _about_one_handler(self, name: StreamId, attempt: int) -> inputs.Input:
        """A person wants one tried again; or what nobody has wanted is passed on."""
        fans = [
            p.id
            for p in self.plan.streams
            if p.fan is not None and self.state.streams[p.id].phase in (Phase.RUNNING, Phase.FAILED)
        ]
        stream_ = self.rng.choice([*fans, *fans, name])
        wanted = inputs.RecoverHandler(stream=stream_, handler=self.rng.randrange(3))
        passed_on = inputs.HandlerRequestPassedOn(name, attempt, 1)
        return self.rng.choice((wanted, wanted, passed_on))

    def command(self) -> None:
        """A person wants something."""
        rng, name = self.rng, self._name()
        open_breakers = self.state.breakers.tripped or ("command work",)
        self.give(
            rng.choice(
                (
                    lambda: inputs.StopStream(stream=name, reason="stopped"),
                    lambda: inputs.RetryStream(stream=name, reason="retried"),
                    lambda: inputs.RetryStream(stream=name, reason="retried"),
                    lambda: inputs.RecoverStream(
                        stream=name, remedy=rng.choice(("soft", "hard", "fallback"))
                    ),
                    lambda: inputs.RecoverStream(
                        stream=name, remedy=rng.choice(("hard", "fallback"))
                    ),
                    *(3 * (self._single_ones_again,)),
                    lambda: inputs.ResetBreaker(breaker=rng.choice(open_breakers)),
                    lambda: inputs.ApproveRun(),
                    *(2 * (lambda: inputs.AnswerQuestion(stream=self._who_asks(), answer="yes"),)),
                    lambda: inputs.SendInput(
                        stream=name, text="y", request=f"r{rng.randrange(1_000)}"
                    ),
                    lambda: inputs.LookAt(streams=(name,)),
                    lambda: inputs.AllowViolation(stream=name),
                    lambda: inputs.HandBack(stream=name),
                    lambda: inputs.TellConflict(streams=(name, self._name())),
                    lambda: inputs.ResumeRun(
                        reason="resumed", adopted=0, retry_failed=rng.random() < 0.6
                    ),
                    lambda: (
                        inputs.StopRun(reason="stopped")
                        if rng.random() < 0.2
                        else inputs.ApproveRun()
                    ),
                    lambda: inputs.ReopenConflict(
                        resolutions=tuple(self.state.resolutions.values())[:1]
                    ),
                    lambda: inputs.ResolveConflict(
                        resolutions=(
                            ev.Resolution(
                                path="f.txt",
                                base=None,
                                ours=None,
                                theirs=None,
                                choice="file",
                                blob="b",
                            ),
                        )
                    ),
                )
            )()
        )

    def _single_ones_again(self) -> inputs.Input:
        """A handler of a stream that has failed, or is about to; of another one if none has."""
        fans = [p.id for p in self.plan.streams if p.fan is not None]
        phases = (Phase.FAILED, Phase.CAPTURING, Phase.RUNNING)
        may = [s for s in fans if self.state.streams[s].phase in phases]
        wanted = self.rng.choice(may or fans or [self._name()])
        return inputs.RecoverHandler(stream=wanted, handler=self.rng.randrange(3))

    # --- time ------------------------------------------------------------------------------------

    def pass_time(self) -> None:
        """A little time passes, or much; timers ring in their order."""
        kind = self.rng.random()
        seconds = self.rng.uniform(0.0, 1.0) if kind < 0.85 else self.rng.uniform(2.0, 40.0)
        ends = self.now + seconds
        if self.rng.random() < 0.5:  # who runs is heard of
            self._beats()
        while self.timers and min(self.timers)[0] <= ends:
            at, cause = min(self.timers)
            self.timers.discard((at, cause))
            self.now = max(self.now, at)
            self.give(inputs.TimeReached(cause=cause))
        self.now = ends

    def _beats(self) -> None:
        for s in self.plan.streams:
            found = self.state.streams[s.id]
            if found.phase is Phase.RUNNING and s.id in self.state.locks.holders:
                caller = calls.Caller(s.id, found.attempt)
                self._requests += 1
                self.give(calls.Renew(caller=caller, request=f"q{self._requests}"))

    def calm_down(self) -> None:
        """From now on everything that is owed is done, and who runs and waits for nothing ends."""
        for _ in range(400):
            if self.state.has_ended:
                break
            to_do = [e for e in owed(self.state) if not isinstance(e, fx.WakeAt)]
            if to_do:
                self.answer(to_do[0], may_fail=False)
                continue
            going = [
                s.id
                for s in self.plan.streams
                if self.state.streams[s.id].phase is Phase.RUNNING
                and not called_waits(self.state, s.id)
            ]
            if going:
                self.exits(going[0])
            elif self._outside_goes() or self._somebody_is_answered():
                pass
            elif any(s.held for s in self.state.streams.values()):
                for s in self.state.streams.values():
                    self.give(inputs.StreamLetGo(stream=s.id, attempt=s.attempt))
            elif self.state.resources.shortage:
                self.give(inputs.MachineLoad(memory_available_mb=5e3, memory_pressure=0.0))
            elif self.state.resources.disk_shortage:
                self.give(inputs.DiskSeen(used_bytes=5, by_kind={}))
            elif self._operator_holds():
                pass
            elif blocked := [s.id for s in self.state.streams.values() if s.phase is Phase.BLOCKED]:
                self.give(inputs.RetryStream(stream=blocked[0], reason="decided"))
            elif self.timers:
                at, cause = min(self.timers)
                self.timers.discard((at, cause))
                self.now = max(self.now, at)
                self.give(inputs.TimeReached(cause=cause))
            else:
                oracles.hangs(self.state)
        else:
            oracles.hangs(self.state)

    def _outside_goes(self) -> bool:
        for joined in self.state.registry.joined.values():
            if joined.is_live and joined.is_ready and not called_waits(self.state, joined.id):
                caller = calls.Caller(joined.id, joined.attempt)
                self._requests += 1
                self.give(calls.Leave(caller=caller, request=f"q{self._requests}"))
                return True
        return False

    def _somebody_is_answered(self) -> bool:
        asked = next(all_open(self.state.questions), None)
        if asked is not None:
            self.give(inputs.AnswerQuestion(stream=asked.stream, answer="yes"))
        return asked is not None

    def _operator_holds(self) -> bool:
        holder = self.state.locks.holders.get(StreamId(""))
        if holder is None or not len(holder.held):
            return False
        caller = calls.OPERATOR
        self._requests += 1
        call = calls.Unlock(caller=caller, request=f"q{self._requests}", fence=min(holder.held))
        self.give(call)
        return True


def _pair(one: StreamId, other: StreamId) -> tuple[StreamId, StreamId]:
    return (min(one, other), max(one, other))


def conflict_of(streams: tuple[StreamId, ...]) -> ev.Conflict:
    """Return a conflict of some streams."""
    return ev.Conflict(streams=streams, paths=(ev.ConflictedPath(path="f.txt", kind="contents"),))
