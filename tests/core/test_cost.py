"""What a decision costs: about as much in a plan of a thousand streams as in one of fifty."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import msgspec
import pytest

from anabranch.core import calls, inputs
from anabranch.core.deciding.decide import decide
from anabranch.core.ids import StreamId
from anabranch.core.plans.plan import StreamPlan
from anabranch.core.views.waiting import waits_of
from anabranch.testing import stream
from tests.core.given import STRATEGIES, given
from tests.core.talking import Talk

FEW, MANY = 50, 1_000
CALLS = 500


def instructions(work: Callable[[], object]) -> int:
    """Count the instructions of Python code that some work takes: no clock, no other program.

    Python 3.12 and 3.13 miss some of them the first time that code is traced.
    """
    traced(work)
    return traced(work)


def traced(work: Callable[[], object]) -> int:
    count = 0

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal count
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        count += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


def cost_in_a_plan_of(streams: int, step: str, **of_each: Any) -> int:
    """Return what a step of one stream costs to decide about while others wait for their turn."""
    plans: list[StreamPlan] = [stream(f"s{number}", **of_each) for number in range(streams)]
    run = given(*plans, max_parallel=4)
    run.succeed("s0")
    run.run("s1")
    if step == "result":
        run.exited("s1")
    now, about = run.clock(), run.stream("s1")
    facts: dict[str, inputs.Input] = {
        "exit": inputs.ProcessExited(
            stream=about.id,
            attempt=about.attempt,
            exit_code=0,
            signal=None,
            error=None,
            happened_at=now,
        ),
        "result": inputs.ResultReady(
            stream=about.id,
            attempt=about.attempt,
            commit="k",
            tree="k",
            files_changed=1,
            ref="r",
            cause=about.cause,
        ),
    }
    return instructions(lambda: decide(run.state, facts[step], now, STRATEGIES))


LARGE = {"resources": {"cpu_cores": 1.0}}


@pytest.mark.parametrize(
    ("step", "of_each", "for_each_other"),
    [
        ("exit", {}, 0),
        ("exit", LARGE, 0),
        ("result", {}, 0),
        ("result", LARGE, 32),  # who of those that wait for the machine has waited longest?
    ],
)
def test_a_decision_looks_at_whom_it_concerns_and_not_at_everybody(
    step: str, of_each: dict[str, Any], for_each_other: int
) -> None:
    few, many = (cost_in_a_plan_of(count, step, **of_each) for count in (FEW, MANY))
    assert many - few <= for_each_other * (MANY - FEW)


def cost_of_a_look_at_the_queue(streams: int) -> int:
    """Return what it costs to ask what the last of a queue waits for, after another one."""
    names = [f"s{number}" for number in range(streams)]
    state = given(*(stream(name) for name in names), max_parallel=4).state
    waits_of(state, StreamId(names[-2]))
    assert len(waits_of(state, StreamId(names[-1]))) == 4
    return instructions(lambda: waits_of(state, StreamId(names[-1])))


def test_what_all_who_are_queued_wait_for_is_found_once() -> None:
    assert cost_of_a_look_at_the_queue(MANY) == cost_of_a_look_at_the_queue(FEW)


def test_what_calls_leave_behind_is_nothing_for_the_collector_to_look_at() -> None:
    """A collection stops the engine while it looks at every object that may be in a ring.

    Events and states are frozen, and built from what was there before: they never are.
    """
    talk = Talk("a")
    with talk.in_bulk():
        talk.sets("a", "k", 1)
        gc.collect()
        before = len(gc.get_objects())
        for number in range(CALLS):
            talk.sets("a", "k", {"steps": [number]})
            talk.call(calls.Lock, "a", path="x")
            talk.call(calls.Unlock, "a", path="x")
        gc.collect()
        assert len(gc.get_objects()) - before < CALLS / 10


KEPT_BY_THE_THOUSAND = ("calls", "effects", "events", "inputs", "model")


def test_what_is_kept_by_the_thousand_says_so() -> None:
    """``gc=False`` on a frozen struct; its own may be missing in an example, not in a long run."""
    looked_at = [
        kind.__qualname__
        for kind in every_kind(msgspec.Struct)
        if kind.__module__.startswith("anabranch.core.")
        and kind.__module__.split(".")[2] in KEPT_BY_THE_THOUSAND
        and kind.__struct_config__.frozen
        and kind.__struct_config__.gc
    ]
    assert looked_at == []


def every_kind(kind: type[msgspec.Struct]) -> list[type[msgspec.Struct]]:
    return [kind, *(deeper for below in kind.__subclasses__() for deeper in every_kind(below))]
