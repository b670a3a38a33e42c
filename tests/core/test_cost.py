"""What a decision costs: about as much in a plan of a thousand streams as in one of fifty."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from anabranch.core import inputs
from anabranch.core.deciding.decide import decide
from anabranch.core.plans.plan import StreamPlan
from anabranch.testing import stream
from tests.core.given import STRATEGIES, given

FEW, MANY = 50, 1_000


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
