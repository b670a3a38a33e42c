"""The documents say what the code says."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from anabranch.config import LoadedPlan, parse_plan
from tests.contracts.generated_docs import DOCS, PARTS

ROOT = Path(__file__).parents[2]
CLAIM = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


@pytest.mark.parametrize("name", PARTS)
def test_generated_parts_are_up_to_date(name: str) -> None:
    """`make docs` has nothing to change."""
    assert (DOCS / name).read_text("utf-8") == PARTS[name]()


def test_every_claim_names_a_test_that_exists() -> None:
    """What the README guarantees is proved by tests that are really there."""
    claims = CLAIM.findall((ROOT / "README.md").read_text("utf-8"))
    assert len(claims) >= 8
    for path, name in claims:
        tree = ast.parse((ROOT / path).read_text("utf-8"))
        names = {
            n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)
        }
        assert name in names, f"{path} has no {name}"


def test_the_plan_in_the_readme_is_valid() -> None:
    """The plan that newcomers copy is one that runs."""
    text = (ROOT / "README.md").read_text("utf-8")
    plans = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    assert plans
    for plan in plans:
        assert isinstance(parse_plan(plan), LoadedPlan)


def test_links_between_documents_lead_somewhere() -> None:
    """A relative link names a file that is there."""
    for document in [*ROOT.glob("*.md"), *DOCS.glob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text("utf-8")):
            assert (document.parent / target).exists(), f"{document.name}: {target}"
