"""The options of a load balancer are what it takes: in plan, check, schema and view."""

from __future__ import annotations

from typing import Any

import jsonschema
import msgspec
import pytest

from anabranch.config import LoadedPlan, PlanErrors, StrategyNames, check_report, parse_plan
from anabranch.config.model import plan_schema
from anabranch.core import inputs
from anabranch.core.strategies import LoadBalancer, Placement, Placing
from anabranch.plugins import load_plugins
from anabranch.testing import ByHand, plan_of, strategies_with, stream

INSTALLED = load_plugins().strategies
PLAN = 'version = 1\n[coordination]\nbalancer = "{name}"\n{options}\n[streams]\na = "true"\n'


def load(options: str, name: str = "affinity") -> LoadedPlan | PlanErrors:
    text = PLAN.format(name=name, options=f"balancer_options = {options}")
    return parse_plan(text, known=StrategyNames.of(INSTALLED))


@pytest.mark.parametrize(
    ("options", "key", "words", "hint"),
    [
        ("{ price_second = 3 }", ".price_second", "no such option", "`price_seconds`"),
        ("{ price_seconds = 'much' }", ".price_seconds", "Expected `float`, got `str`", ""),
        ("{ price_seconds = -1.0 }", ".price_seconds", "Expected `float` >= 0.0", ""),
    ],
)
def test_a_wrong_option_is_told_with_its_place(
    options: str, key: str, words: str, hint: str
) -> None:
    found = load(options)
    assert isinstance(found, PlanErrors)
    (error,) = found.errors
    assert (error.line, error.key) == (4, f"coordination.balancer_options{key}")
    assert words in error.message
    assert hint in error.hint


def test_one_without_options_takes_none() -> None:
    found = load("{ price_seconds = 3 }", "longest-first")
    assert isinstance(found, PlanErrors)
    (error,) = found.errors
    assert error.message == "`longest-first` takes no options"
    assert error.hint == "these take some: affinity, work-stealing"
    assert isinstance(load("{}", "longest-first"), LoadedPlan)


def test_the_check_shows_them_with_their_defaults() -> None:
    assert check_report(load("{}"))["balancer"] == {
        "balancer": "affinity",
        "options": {"price_seconds": 10.0},
    }
    assert check_report(load("{ price_seconds = 3 }"))["balancer"]["options"]["price_seconds"] == 3


def test_the_schema_holds_them() -> None:
    taken = INSTALLED.convergence_options, INSTALLED.balancer_options
    schema = jsonschema.Draft202012Validator(plan_schema(*taken))

    def faults(options: dict[str, Any]) -> int:
        coordination = {"balancer": "affinity", "balancer_options": options}
        plan = {"version": 1, "streams": {"a": "true"}, "coordination": coordination}
        return len(list(schema.iter_errors(plan)))

    assert faults({"price_seconds": 3}) == 0
    assert faults({"price_second": 3})
    assert faults({"price_seconds": "three"})
    assert faults({"reduce": "collect"})


class Depth(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Options as a plugin declares them."""

    depth: int = 1


class Seen:
    """A load balancer that shows which options it was given."""

    options_type: Any = Depth

    def __init__(self, name: str, options_type: Any = Depth) -> None:
        self.name, self.options_type = name, options_type
        self.views: list[Placing] = []

    def place(self, view: Placing, now: float) -> list[Placement]:
        self.views.append(view)
        return [Placement(view.queue[0].stream, view.slots[0].number, "first")]


class Other(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Options of another one."""

    width: int = 1


def test_options_go_to_the_one_that_they_are_for_and_its_like() -> None:
    """Another one that is chosen while the run goes on has them if it takes them."""
    seen = Seen("seen"), Seen("like", Depth), Seen("other", Other), Seen("plain", None)
    balancers: tuple[LoadBalancer, ...] = seen
    plan = plan_of(
        *(stream(name) for name in "abcde"),
        max_parallel=1,
        balancer="seen",
        balancer_options={"depth": 3},
    )
    run = ByHand(plan, strategies_with(*balancers))
    for name, done in (("like", "a"), ("other", "b"), ("plain", "c")):
        run.give(inputs.ChooseStrategy(kind="balancer", strategy=name))
        run.succeed(done)
    options = [one.views[-1].options for one in seen]
    assert options == [{"depth": 3}, {"depth": 3}, {}, {}]
    assert seen[0].views[-1].queue[0].options == {"depth": 3}
