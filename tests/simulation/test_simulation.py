"""The whole engine, simulated from seeds: every promise holds through every kind of trouble."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable

import msgspec
import pytest

from anabranch.core.events import event_types, wire_name
from anabranch.core.strategies import Strategies
from anabranch.testing import Faults, PromiseBroken, Simulation, plan_of, stream
from anabranch.testing.simulation import NO_TROUBLE
from anabranch.testing.trying import strategies_with
from tests.simulation.patient import Patient

SEEDS = int(os.environ.get("ANABRANCH_SEEDS", "1000"))
FIRST_SEED = int(os.environ.get("ANABRANCH_FIRST_SEED", "0"))
ENOUGH_FAILURES = 5
ENOUGH_TO_SEE_ALL = 1000

SOMETIMES = (
    "a capture failed",
    "a capture waited for room",
    "a checkpoint could not be merged at all",
    "a checkpoint could not be taken",
    "a checkpoint went on from the last one",
    "a check came to no result",
    "a check failed",
    "a check passed",
    "a check was remembered",
    "a command could not be run",
    "a crash before an append",
    "a crash between append and perform",
    "a holder was killed",
    "a line was sent into a terminal",
    "a file that was changed since was left alone",
    "a merge could not be done at all",
    "a process exited 0",
    "a process exited otherwise",
    "a process never began",
    "a process stood still",
    "a process was ended by a signal",
    "a process wrote a file from an old copy",
    "a process was reported twice",
    "a process went on while no engine was there",
    "a resolver settled a conflict",
    "a resolver settled nothing",
    "a request to start was lost in a crash",
    "a run ended converged",
    "a run ended failed",
    "a run ended stopped",
    "a running process was adopted",
    "a setup failed",
    "a setup was adopted",
    "a setup was done",
    "a setup was stopped",
    "a teardown failed",
    "a teardown was done",
    "a stop was ignored until the grace ended",
    "a stop was obeyed",
    "a stream was brought the others' work",
    "a stream went on in one begun alike",
    "a stream went on in the workspace of the one before",
    "a time of day came",
    "a victim was chosen and later succeeded",
    "a stream ran alone after it ran out of memory",
    "a workspace could not be made",
    "a workspace waited for room",
    "a workspace was prepared again after a crash",
    "an attempt went on from a checkpoint",
    "a stream was asked in its plan's way",
    "a failure was classified by its log",
    "an answer came twice",
    "an approval was refused by git",
    "an offer found no quiet moment",
    "results conflicted, and the policy was to ask",
    "results conflicted, and the policy was to quarantine",
    "results conflicted, and the policy was to stop",
    "snapshots conflicted",
    "the clock on the wall was set",
    "the journal's disk was full",
    "the operator adopted one of several",
    "the operator decided about a conflict",
    "the operator handed a conflict back",
    "the operator handed work back",
    "the operator took a result",
    "an attempt went on from what was handed back",
    "the operator sent ApproveRun",
    "the operator sent RecoverStream",
    "the operator sent ResumeRun",
    "the operator sent RetryStream",
    "the operator sent StopRun",
    "the operator sent StopStream",
    "the operator sent TellConflict",
    "the operator solved what needed him",
    "the operator took a decision back",
    "there was no base",
    "what a stream starts from did not merge",
)
NEVER_SIMULATED = {
    "old_runs_removed",
    "workspace_reclaimed",
    "strategy_faulted",
    "output_cut",
    "stream_held",
    "stream_let_go",
    *("convergence_aggregated", "convergence_withdrawn", "arrival_released"),
    *("arrival_wait_began", "arrival_wait_ended"),
    *("prompt_found", "prompt_gone"),
}
COME_OF_CALLS = ("locks", "questions", "sharing", "resources", "liveness", "handlers")
"""Modules of events that only calls and live facts bring about; this world's streams make none.

Locks and handlers have a simulation of their own beside this one, the others models in tests/core.
"""


@pytest.fixture(scope="module")
def strategies() -> Strategies:
    """The built-in strategies, and one that looks at the clock."""
    return strategies_with(Patient())


class Failure(msgspec.Struct, frozen=True):
    """A seed that broke a promise, and how many events it took."""

    events: int
    seed: int
    story: str


def simulate(seeds: Iterable[int], strategies: Strategies) -> tuple[Counter[str], list[Failure]]:
    """Run seeds until all are done or enough have failed; return what was seen and what failed."""
    seen: Counter[str] = Counter()
    failures: list[Failure] = []
    for seed in seeds:
        simulation = Simulation(seed, strategies)
        try:
            simulation.run()
        except Exception as error:
            text = str(error) if isinstance(error, PromiseBroken) else crashed(simulation, error)
            failures.append(Failure(len(simulation.store.records), seed, text))
            if len(failures) == ENOUGH_FAILURES:
                break
        seen += simulation.sometimes
    return seen, failures


def crashed(simulation: Simulation, error: Exception) -> str:
    """Tell of an engine that raised, with the same story that a broken promise brings."""
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    where = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else "nowhere"
    return f"seed {simulation.seed}: {error!r} at {where}\n{simulation.story()}"


def smallest(failures: list[Failure]) -> str:
    """Return the failure with the fewest events, and how to see it again."""
    first = min(failures, key=lambda failure: failure.events)
    again = f"ANABRANCH_FIRST_SEED={first.seed} ANABRANCH_SEEDS=1 pytest {__file__}"
    others = ", ".join(str(f.seed) for f in failures)
    return f"{first.story}\n\nseeds that failed: {others}\nthe smallest again: {again}"


@pytest.mark.timeout(60 + SEEDS)
def test_every_promise_holds_for_every_seed(strategies: Strategies) -> None:
    """No seed breaks a promise or hangs, and every fault and every event is met now and then."""
    seen, failures = simulate(range(FIRST_SEED, FIRST_SEED + SEEDS), strategies)
    assert not failures, smallest(failures)
    if SEEDS >= ENOUGH_TO_SEE_ALL:
        kinds = [k for k in event_types() if not k.__module__.endswith(COME_OF_CALLS)]
        events = {wire_name(kind.__name__) for kind in kinds} - NEVER_SIMULATED
        assert sorted({*SOMETIMES, *events} - seen.keys()) == []


def test_a_seed_always_tells_the_same_story(strategies: Strategies) -> None:
    """Two simulations of one seed bring the same events at the same times."""
    for seed in range(5):
        one, other = Simulation(seed, strategies), Simulation(seed, strategies)
        one.run()
        other.run()
        assert one.store.records == other.store.records


def test_a_calm_run_converges_with_everybodys_work(strategies: Strategies) -> None:
    """Without trouble a diamond converges, and its result holds what all four wrote."""
    diamond = plan_of(stream("a"), stream("b", "a"), stream("c", "a"), stream("d", "b", "c"))
    simulation = Simulation(1, strategies, diamond, NO_TROUBLE)
    state = simulation.run()
    assert state.phase == "converged"
    commit = next(iter(state.points.values())).commit
    assert commit is not None
    files = set(simulation.world.git.tree(commit))
    assert files == {"README", "a.txt", "b.txt", "c.txt", "d.txt"}


def test_a_broken_promise_is_told_as_a_story(
    strategies: Strategies, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A simulation that finds something names the seed, the promise and the latest events."""
    monkeypatch.setattr(
        "anabranch.testing.promises.broken_promises", lambda state: ["two and two are five"]
    )
    _, failures = simulate([7], strategies)
    found = smallest(failures)
    assert "seed 7: two and two are five" in found
    assert "run_started" in found
    assert "ANABRANCH_FIRST_SEED=7" in found


def test_faults_are_likelihoods() -> None:
    """Faults are off unless asked for."""
    assert set(msgspec.structs.astuple(Faults())) == {0.0}
