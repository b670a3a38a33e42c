"""The options of a point are what its strategy takes: in the plan, the check and the schema."""

from __future__ import annotations

from typing import Any

import jsonschema
import msgspec
import pytest

from anabranch.config import (
    LoadedPlan,
    PlanErrors,
    StrategyNames,
    check_report,
    parse_plan,
)
from anabranch.config.model import plan_schema
from anabranch.core.strategies import Abilities

PLAN = 'version = 1\n[streams]\na = "true"\n[convergence.final]\ntype = "quorum"\n'


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Options as a plugin declares them."""

    k: int = 2
    deadline_seconds: float | None = None
    where: tuple[str, ...] = ()


class Raises(msgspec.Struct, frozen=True):
    """Options whose making fails for reasons of its own."""

    def __post_init__(self) -> None:
        raise RuntimeError("not today")


def known(options_type: Any = Options) -> StrategyNames:
    able = {"quorum": Abilities(options_type=options_type)}
    return StrategyNames(with_types("barrier", "quorum", "a-b:quorum"), able)


def with_types(*types: str) -> dict[str, frozenset[str]]:
    return {**StrategyNames().names, "convergence": frozenset(types)}


def load(options: str, options_type: Any = Options) -> LoadedPlan | PlanErrors:
    return parse_plan(f"{PLAN}options = {options}\n", known=known(options_type))


@pytest.mark.parametrize(
    ("options", "key", "words", "hint"),
    [
        ("{ kk = 3 }", "convergence.final.options.kk", "no such option", "`k`"),
        ("{ k = 'three' }", "convergence.final.options.k", "Expected `int`, got `str`", ""),
        ("{ where = ['a', 3] }", "convergence.final.options.where[1]", "Expected `str`", ""),
    ],
)
def test_a_wrong_option_is_told_with_its_place(
    options: str, key: str, words: str, hint: str
) -> None:
    found = load(options)
    assert isinstance(found, PlanErrors)
    (error,) = found.errors
    assert (error.line, error.key) == (6, key)
    assert words in error.message
    assert hint in error.hint


@pytest.mark.parametrize("options", ["{}", "{ k = 3 }", "{ reduce = 'collect', k = 1 }"])
def test_what_the_strategy_takes_is_taken(options: str) -> None:
    assert isinstance(load(options), LoadedPlan)


def test_a_type_that_raises_stops_nobody_from_reading_a_plan() -> None:
    assert isinstance(load("{}", Raises), LoadedPlan)


def test_the_check_shows_them_with_their_defaults() -> None:
    (point,) = check_report(load("{ k = 3 }"))["points"]
    assert point["type"] == "quorum"
    assert point["options"] == {"k": 3, "deadline_seconds": None, "where": []}


def test_the_schema_holds_them() -> None:
    schema = jsonschema.Draft202012Validator(plan_schema({"quorum": Options}))

    def faults(options: dict[str, Any]) -> int:
        point = {"type": "quorum", "options": options}
        plan = {"version": 1, "streams": {"a": "true"}, "convergence": {"final": point}}
        return len(list(schema.iter_errors(plan)))

    assert faults({"k": 3, "reduce": "collect"}) == 0
    assert faults({"kk": 3})
    assert faults({"k": "three"})


def test_a_name_that_several_bring_wants_an_id() -> None:
    names = StrategyNames(with_types("barrier", "a-b:quorum", "c-d:quorum"))
    found = parse_plan(PLAN, known=names)
    assert isinstance(found, PlanErrors)
    assert found.errors[0].hint == "write `a-b:quorum` or `c-d:quorum`"
