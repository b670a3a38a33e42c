"""A run to look at without an engine: the real core, a scripted world, a clock by hand.

Every event comes out of :func:`anabranch.core.deciding.decide.decide`, so what the console shows in
a test is what it shows in life. The script says when a process starts, speaks and ends.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future
from functools import cache
from pathlib import Path
from types import MappingProxyType

from msgspec.structs import replace as replaced

from anabranch.core import effects as fx
from anabranch.core import inputs
from anabranch.core.deciding.decide import decide
from anabranch.core.events import Conflict, ConflictedPath, Recorded, StreamEvent
from anabranch.core.ids import FINAL_POINT, RunId, StreamId
from anabranch.core.model.outcome import Refusal
from anabranch.core.model.state import State
from anabranch.core.plans.plan import Dependency, Plan, PointPlan, StreamPlan
from anabranch.core.strategies import Strategies
from anabranch.engine.guarded_strategies import StrategyUse
from anabranch.engine.pressure_samples import Sample
from anabranch.engine.source import Frame, Hosting, Overhead
from anabranch.engine.vitals import Vitals
from anabranch.plugins import load_plugins

WALL = 1_795_269_731.0
RUN = RunId("20261121-140211-k3f")


@cache
def strategies() -> Strategies:
    """Return the installed strategies, loaded once."""
    return load_plugins().strategies


def stream(name: str, *needs: str, command: str = "true", **facts: object) -> StreamPlan:
    """Return the plan of one stream."""
    plan = StreamPlan(
        StreamId(name),
        ("/bin/sh", "-c", command),
        command,
        tuple(Dependency(StreamId(n)) for n in needs),
    )
    return replaced(plan, **facts)


def plan_of(
    streams: list[StreamPlan], name: str = "split-auth", parallel: int = 4, **facts: object
) -> Plan:
    """Return a plan whose streams all meet at the final point."""
    final = PointPlan(FINAL_POINT, streams=tuple(s.id for s in streams))
    return replaced(Plan(name, tuple(streams), (final,), parallel), **facts)


class ScriptedSource:
    """A :class:`anabranch.engine.source.Source` that a test moves by hand."""

    def __init__(self, plan: Plan, folder: Path, *, hosting: Hosting = "here") -> None:
        self._folder = folder
        self.run_id = RUN
        (folder / "logs").mkdir(parents=True, exist_ok=True)
        self._now = 0.0
        self._state: State | None = None
        self._records: list[Recorded] = []
        self._vitals: dict[StreamId, Vitals] = {}
        self._owed: dict[StreamId, fx.Effect] = {}
        self._hosting = hosting
        self.commands: list[inputs.Command] = []
        self.share = 0.012
        self.trouble: str | None = None
        self.used: dict[str, StrategyUse] = {}
        self.conflict: Conflict | None = None
        self.sensitive = ""
        self.samples: tuple[Sample, ...] = ()
        self.looks_at_the_machine = 0
        self.feed(inputs.StartRun(RUN, "/src/shop", "anabranch.toml", plan, False, WALL))

    # --- the protocol ----------------------------------------------------------------------------

    @property
    def run(self) -> RunId:
        return self.run_id

    @property
    def folder(self) -> Path:
        return self._folder

    @property
    def hosting(self) -> Hosting:
        return self._hosting

    @property
    def state(self) -> State:
        assert self._state is not None
        return self._state

    def now(self) -> float:
        return self._now

    def take(self, cursor: int) -> Frame:
        fresh = tuple(self._records[cursor:])
        touched = {r.event.stream for r in fresh if isinstance(r.event, StreamEvent)}
        return Frame(len(self._records), self.state, frozenset(touched), fresh, 0)

    def vitals(self) -> MappingProxyType[StreamId, Vitals]:
        return MappingProxyType(self._vitals)

    def strategy_use(self) -> dict[str, StrategyUse]:
        return self.used

    @property
    def strategies(self) -> Strategies:
        return strategies()

    def overhead(self) -> Overhead:
        return Overhead({"workspaces": 1.1, "merging": 0.4}, 120.0, self.share)

    def pressure(self) -> tuple[Sample, ...]:
        self.looks_at_the_machine += 1
        return self.samples

    def submit(self, command: inputs.Command) -> Future[Refusal | None]:
        self.commands.append(command)
        answer: Future[Refusal | None] = Future()
        answer.set_result(self.feed(command))
        return answer

    # --- the script ------------------------------------------------------------------------------

    def feed(self, given: inputs.Input) -> Refusal | None:
        """Let the core decide, and perform what needs no script."""
        queue: deque[inputs.Input] = deque([given])
        while queue:
            outcome = decide(self._state, queue.popleft(), self._now, strategies())
            if isinstance(outcome, Refusal):
                return outcome
            self._state = outcome.state
            self._records += outcome.events
            for effect in outcome.effects:
                queue.extend(self._perform(effect))
            if outcome.answer is not None and outcome.answer.outcome == "refused":
                facts = outcome.answer.facts
                return Refusal(str(facts["reason"]), str(facts["hint"]))
        return None

    def pass_time(self, seconds: float) -> None:
        """Let the run clock go on."""
        self._now += seconds

    def wake(self) -> None:
        """Tell the core that its timers are due."""
        self.feed(inputs.TimeReached())

    def speak(self, name: str, *lines: str, **facts: object) -> None:
        """Let a stream write lines to its log and show vitals."""
        stream_id = StreamId(name)
        current = self.state.streams[stream_id]
        assert current.log is not None
        with open(current.log, "a", encoding="utf-8") as log:
            log.writelines(f"{line}\n" for line in lines)
        shown: dict[str, object] = {
            "cpu_percent": 41.0,
            "memory_bytes": 96 << 20,
            "processes": 3,
            "files_changed": 4,
            "last_line": lines[-1] if lines else "",
            "progress_age_seconds": 1.0,
            "alive": True,
            "busy": True,
            "evidence": "output 1 s ago, 3 processes, 41 % CPU",
            **facts,
        }
        self._vitals[stream_id] = Vitals(stream_id, current.attempt, **shown)  # type: ignore[arg-type]

    def finish(self, name: str, code: int = 0, files: int = 3) -> None:
        """Let the process of a stream end, and capture its work."""
        stream_id = StreamId(name)
        attempt = self.state.streams[stream_id].attempt
        self._files = files
        self.feed(
            inputs.ProcessExited(
                stream=stream_id,
                attempt=attempt,
                exit_code=code,
                signal=None,
                error=None,
                happened_at=self._now,
            )
        )

    def _perform(self, effect: fx.Effect) -> list[inputs.Input]:
        cause = effect.cause
        match effect:
            case fx.CaptureBase():
                return [
                    inputs.BaseFound(
                        cause=cause, commit="b" * 40, tree="t" * 40, branch="main", head="b" * 40
                    )
                ]
            case fx.PrepareWorkspace():
                path = f"/home/ada/.local/state/anabranch/shop/{RUN}/workspaces/{effect.stream}"
                return [
                    inputs.WorkspaceReady(
                        cause=cause,
                        stream=effect.stream,
                        attempt=effect.attempt,
                        path=path,
                        start_commit="b" * 40,
                        start_tree="t" * 40,
                    )
                ]
            case fx.StartProcess():
                return [self._started(effect)]
            case fx.StopProcess():
                return [
                    inputs.ProcessExited(
                        cause=cause,
                        stream=effect.stream,
                        attempt=effect.attempt,
                        exit_code=None,
                        signal=15,
                        error=None,
                        happened_at=self._now,
                    )
                ]
            case fx.CaptureResult():
                return [self._captured(effect)]
            case fx.MergeResults():
                return [self._merged(effect)]
            case fx.ApproveResult() if self.sensitive and not self.state.approval.allow_sensitive:
                named = f"the result changes what others run or obey: {self.sensitive}"
                refused = {"reason": named, "hint": "look at it", "kind": "sensitive"}
                return [inputs.ApprovalNotDone(cause=cause, **refused)]
            case fx.ApproveResult():
                return [
                    inputs.ApprovalDone(
                        cause=cause, branch="main", commit="m" * 40, message="main moved to mmmm"
                    )
                ]
            case _:
                return []

    def _started(self, effect: fx.StartProcess) -> inputs.Input:
        log = self._folder / "logs" / f"{effect.stream}.{effect.attempt}.log"
        log.touch()
        pid = 41_000 + self.state.topology.position[effect.stream]
        return inputs.ProcessStarted(
            cause=effect.cause,
            stream=effect.stream,
            attempt=effect.attempt,
            pid=pid,
            holder_pid=pid - 1,
            log=str(log),
            happened_at=self._now,
        )

    def _captured(self, effect: fx.CaptureResult) -> inputs.Input:
        files = getattr(self, "_files", 3)
        kind = "partial" if effect.is_partial else "streams"
        return inputs.ResultReady(
            cause=effect.cause,
            stream=effect.stream,
            attempt=effect.attempt,
            commit="c0ffee" + "0" * 34,
            tree="d" * 40,
            files_changed=files,
            ref=f"refs/anabranch/{RUN}/{kind}/{effect.stream}.{effect.attempt}",
        )

    def _merged(self, effect: fx.MergeResults) -> inputs.Input:
        merging = self.state.points[effect.point].merging
        conflicts = (self.conflict,) if self.conflict else ()
        return inputs.MergeFinished(
            cause=effect.cause,
            point=effect.point,
            commit=None if conflicts else "m" * 40,
            tree=None if conflicts else "t" * 40,
            branch=None if conflicts else f"anabranch/{RUN}",
            merged=() if conflicts else merging,
            conflicts=conflicts,
        )


class Stubborn(ScriptedSource):
    """A run whose processes take their time to end."""

    def _perform(self, effect: fx.Effect) -> list[inputs.Input]:
        return [] if isinstance(effect, fx.StopProcess) else super()._perform(effect)


def conflict_between(first: str, second: str, path: str) -> Conflict:
    """Return a conflict of two streams over one path."""
    return Conflict(
        streams=(StreamId(first), StreamId(second)),
        paths=(ConflictedPath(path=path, kind="contents"),),
    )


DEMO_STREAMS = [
    stream("lint", command="ruff check ."),
    stream("types", command="mypy --strict src"),
    stream("schema", command="alembic upgrade head", estimate_seconds=90.0),
    stream("auth-session", "schema", command="codemod rotate-sessions src/auth", max_retries=2),
    stream("auth-tokens", "schema", command="codemod tokens src/auth", max_retries=2),
    stream("billing-tax", command="codemod money src/billing", max_retries=1),
    stream("cart", "billing-tax", command="codemod cart src/cart"),
    stream("checkout-api", "cart", "auth-session", command="make checkout"),
    stream("docs", command="mdformat docs", optional=True),
    stream("unit", "lint", command="pytest -q tests/unit"),
    stream("integration", "unit", "checkout-api", command="pytest -q tests/integration"),
    stream("e2e", "integration", command="playwright test"),
    stream("release-notes", "docs", command="towncrier build"),
]

PYTEST = (
    "$ pytest -q tests/unit",
    "........................................................ [ 31%]",
    "........................................................ [ 61%]",
    "...............F",
    "=========================== FAILURES ===========================",
    "________________ test_rotate_on_login ________________",
    "",
    "    def test_rotate_on_login(client, clock):",
    "        old = client.login('ada').session",
    "        clock.tick(hours=13)",
    ">       assert client.get('/me').session != old",
    "E       AssertionError: assert 'a81f' != 'a81f'",
    "",
    "tests/auth/test_rotate.py:41: AssertionError",
    "1 failed, 67 passed in 3.12s",
    "rerunning 1 failed test (1 of 3)",
)


def demo_source(folder: Path, *, hosting: Hosting = "here") -> ScriptedSource:
    """Return a run in full swing: some done, one failed, one tried again, some running."""
    source = ScriptedSource(
        plan_of(DEMO_STREAMS, parallel=5, keep_going=True), folder, hosting=hosting
    )
    source.pass_time(4.2)
    source.speak("schema", "Running upgrade -> 3f9a, sessions", cpu_percent=12.0)
    source.speak("lint", "All checks passed!", cpu_percent=88.0)
    source.pass_time(3.9)
    source.finish("lint", files=2)
    source.pass_time(9.0)
    source.speak("types", "src/cart/model.py:39: error: Incompatible return value type [return]")
    source.finish("types", code=1, files=0)
    source.pass_time(12.0)
    source.finish("schema", files=5)
    source.speak("billing-tax", "rewriting src/billing/tax.py", cpu_percent=93.0)
    source.pass_time(20.0)
    source.finish("billing-tax", code=70, files=6)
    source.pass_time(1.0)
    source.finish("docs", files=11)
    source.pass_time(41.0)
    source.wake()
    source.speak(
        "auth-session",
        "rewriting src/auth/session.py: 12 call sites",
        cpu_percent=64.0,
        memory_bytes=310 << 20,
        files_changed=37,
    )
    source.speak(
        "auth-tokens",
        "waiting for the language server",
        cpu_percent=0.0,
        files_changed=2,
        progress_age_seconds=31.0,
        evidence="output 30 s ago, 2 processes, 0 % CPU",
    )
    source.speak("unit", *PYTEST, cpu_percent=97.0, files_changed=1)
    if source.state.streams[StreamId("billing-tax")].pid:
        source.speak("billing-tax", "rewriting src/billing/invoice.py", cpu_percent=71.0)
    source.pass_time(60.0)
    return source


def finish_everything(source: ScriptedSource) -> None:
    """Let every process end well until the run has ended."""
    for _ in range(200):
        if source.state.has_ended:
            return
        running = [s.id for s in source.state.streams.values() if s.phase == "running"]
        source.pass_time(5.0)
        for name in running:
            source.finish(name)
        source.wake()
