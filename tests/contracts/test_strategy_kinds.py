"""The kinds of strategies stand in one table: a new one is a row, and its interface."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from anabranch.core.strategies import Strategies, kinds
from anabranch.core.strategies.kinds import KINDS, Kind
from anabranch.hookspecs import EngineHooks
from anabranch.plugin_store import scaffolding
from anabranch.testing import laws, views

ROOT = Path(__file__).parents[2]
SOURCES = ("coordination", "console", "plugins")
LIST = 3
"""So many kinds named in one module, by one of their facts, are a list of them."""


def strings(path: Path) -> set[str]:
    """Return the texts that a module writes down."""
    tree = ast.parse(path.read_text("utf-8"))
    return {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


@pytest.mark.parametrize("fact", ["name", "field", "hook", "method"])
def test_nobody_else_lists_the_kinds(fact: str) -> None:
    methods = {question.method for kind in KINDS for question in kind.questions}
    wanted = methods if fact == "method" else {getattr(kind, fact) for kind in KINDS}
    lists = {
        str(path.relative_to(ROOT)): sorted(found)
        for source in SOURCES
        for path in (ROOT / source).rglob("*.py")
        if path != Path(kinds.__file__) and len(found := wanted & strings(path)) >= LIST
    }
    assert not lists


def test_each_kind_has_a_field_of_the_installed_ones() -> None:
    assert [kind.field for kind in KINDS] == list(Strategies.__struct_fields__)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_kind_has_its_interface(kind: Kind) -> None:
    """A hook that brings it, a method, laws and views to test it by, a template to begin with."""
    assert callable(getattr(EngineHooks, kind.hook))
    for question in kind.questions:
        assert callable(getattr(question.interface, question.method))
        assert callable(getattr(kind.instead, question.method))
        assert laws.LAWS[question.view]
        assert question.view in views.DRAWN
    assert scaffolding.template(f"{kind.name}.py")
    assert scaffolding.template(f"{kind.name}_test.py")
