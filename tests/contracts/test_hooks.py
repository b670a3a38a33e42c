"""Every hook, and every argument of what it brings, is documented and tested."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from anabranch.hookspecs import EngineHooks
from anabranch.plugin_store import scaffolding
from anabranch.plugins import EXTENSION_HOOKS, HOOKS
from anabranch_console.console_hooks import ConsoleHooks
from tests.contracts.generated_docs import DOCS
from tests.contracts.hook_docs import CONSOLE_PROOF, PROOFS, hook_names

ROOT = Path(__file__).parents[2]
GUIDE = ((DOCS / "hooks.md").read_text("utf-8"), (DOCS / "strategies.md").read_text("utf-8"))


@pytest.mark.parametrize("name", hook_names())
def test_a_hook_is_documented_and_tested(name: str) -> None:
    hook = getattr(EngineHooks, name)
    assert "versionadded::" in (inspect.getdoc(hook) or "")
    assert f"`{name}`" in GUIDE[0]
    proof = (ROOT / PROOFS[name]).read_text("utf-8")
    written = {kind.hook for kind in scaffolding.KINDS.values()}
    assert name in proof or name in written, "the test, or the package it writes, implements it"
    arguments = list(inspect.signature(hook).parameters)
    assert all(f"`{argument}`" in GUIDE[0] for argument in arguments if argument != "self")


@pytest.mark.parametrize("name", hook_names(ConsoleHooks))
def test_a_hook_of_the_console_is_documented_and_tested(name: str) -> None:
    hook = getattr(ConsoleHooks, name)
    assert "versionadded::" in (inspect.getdoc(hook) or "")
    assert f"`{name}`" in GUIDE[0]
    assert f"def {name}" in (ROOT / CONSOLE_PROOF).read_text("utf-8")
    assert list(inspect.signature(hook).parameters) == ["self"]


def test_all_hooks_are_asked_and_no_others() -> None:
    assert {*HOOKS.values(), *EXTENSION_HOOKS.values()} == set(hook_names()) == set(PROOFS)
