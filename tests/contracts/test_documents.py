"""The documents say what the code says."""

from __future__ import annotations

import ast
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import click
import pytest
import tomli_w
from msgspec.structs import replace

from anabranch.config import LoadedPlan, StrategyNames, check_text, parse_plan
from anabranch.plugins import load_plugins
from anabranch_console.cli.main import cli
from tests.contracts import core_map
from tests.contracts.generated_docs import DOCS, PARTS

ROOT = Path(__file__).parents[2]
CLAIM = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


DOCUMENTS = ["README.md", "CONTRIBUTING.md", "SECURITY.md", "plugins/README.md"]
DOCUMENTS += [f"docs/{path.name}" for path in sorted(DOCS.glob("*.md"))]


def _blocks(language: str) -> list[tuple[str, str]]:
    """Return the blocks of code in one language, with the document that shows them."""
    fence = re.compile(rf"```{language}\n(.*?)```", re.DOTALL)
    return [
        (name, text)
        for name in DOCUMENTS
        for text in fence.findall((ROOT / name).read_text("utf-8"))
    ]


def _commands() -> list[tuple[str, str]]:
    """Return the command lines of the program that stand in the documents as code."""
    span = re.compile(r"`(anabranch [a-z-][^`\n]*)`|^(?:    )?(anabranch [a-z-].*)$", re.MULTILINE)
    found = [
        (name, first or second)
        for name in DOCUMENTS
        for first, second in span.findall((ROOT / name).read_text("utf-8"))
    ]
    return [(name, line) for name, line in dict.fromkeys(found) if "…" not in line]


@pytest.mark.parametrize("name", PARTS)
def test_generated_parts_are_up_to_date(name: str) -> None:
    """`make docs` has nothing to change."""
    assert (DOCS / name).read_text("utf-8") == PARTS[name]()


def test_the_map_of_the_core_leaves_no_module_out() -> None:
    assert core_map.unmapped() == []


def _promises(document: str) -> list[str]:
    """Return the rows of a table of promises."""
    lines = (ROOT / document).read_text("utf-8").splitlines()
    return [line for line in lines if line.startswith("| ") and "`tests/" in line]


def test_every_promise_names_a_test_that_exists() -> None:
    """What is guaranteed is proved by tests that are really there."""
    claims = CLAIM.findall("\n".join(_promises("docs/promises.md")))
    assert len(claims) >= 40
    for path, name in claims:
        tree = ast.parse((ROOT / path).read_text("utf-8"))
        names = {
            n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)
        }
        assert name in names, f"{path} has no {name}"


def test_the_readme_gives_ten_of_the_promises() -> None:
    given = _promises("README.md")
    assert len(given) == 10
    assert set(given) <= set(_promises("docs/promises.md"))
    assert f"ten of {len(_promises('docs/promises.md'))};" in (ROOT / "README.md").read_text(
        "utf-8"
    )


@pytest.mark.parametrize(("document", "text"), _blocks("toml"))
def test_every_plan_that_is_shown_is_valid(document: str, text: str) -> None:
    """What newcomers copy runs; a part of a plan is completed with what it names."""
    if document == "docs/themes.md":
        pytest.skip("a theme is no plan")
    plan: dict[str, Any] = {"version": 1, **tomllib.loads(text)}
    points = plan.get("convergence", {}).values()
    named = [name for point in points for name in point.get("streams", ())]
    plan.setdefault("streams", dict.fromkeys(named or ["a"], "true"))
    types = {point.get("type") for point in points} | {"majority"}
    types.add(plan.get("coordination", {}).get("convergence_type"))
    loaded = parse_plan(tomli_w.dumps(plan), known=_with_types({name for name in types if name}))
    assert isinstance(loaded, LoadedPlan), check_text(loaded)


def _with_types(types: set[str]) -> StrategyNames:
    """All that is built in, and what a document's own plugin brings."""
    found = load_plugins()
    known = StrategyNames.of(found.strategies, found.extensions.executors)
    names = {**known.names, "convergence": known.names["convergence"] | types}
    return replace(known, names=names)


@pytest.mark.parametrize(("document", "line"), _commands())
def test_every_command_that_is_shown_exists(document: str, line: str) -> None:
    """With every option, as the program itself has them."""
    words = shlex.split(line.partition(" -- ")[0].partition("#")[0], posix=False)[1:]
    command: click.Command = cli
    options = {option for param in cli.params for option in param.opts}
    while words and isinstance(command, click.Group):
        word = words.pop(0)
        if word == "-C":
            words.pop(0)
        elif not word.startswith("-"):
            below = command.get_command(click.Context(command), word)
            assert below is not None, f"{document}: there is no command {word!r} ({line})"
            command = below
            options |= {option for param in command.params for option in param.opts}
    shown = {word.strip("[].,;:").partition("=")[0] for word in words}
    unknown = {word for word in shown if word.startswith("--")} - options - {"--help", "--"}
    assert not unknown, f"{document}: {line}"


def test_every_path_that_a_document_names_is_there() -> None:
    """Files and folders of this repository, written as code."""
    ours = re.compile(r"`((?:tests|docs|coordination|console|plugins|themes|benchmarks)/[\w./-]+)")
    for document in [*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *ROOT.glob("plugins/*.md")]:
        for path in ours.findall(document.read_text("utf-8")):
            assert (ROOT / path).exists(), f"{document.name}: {path}"


def test_links_between_documents_lead_somewhere() -> None:
    """A relative link names a file that is there."""
    for document in [*ROOT.glob("*.md"), *DOCS.rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text("utf-8")):
            assert (document.parent / target).exists(), f"{document.name}: {target}"
