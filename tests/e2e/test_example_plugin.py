"""The example plugin, from its folder into a run; and a hostile one, which harms nobody."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.program import Program
from tests.engine.repositories import git
from tests.plugins.wheels import write_wheel

EXAMPLE = Path(__file__).parents[2] / "plugins/example-quorum"
HOSTILE = """
import sys, time
from anabranch.core.strategies import Abandon, Converge, WaitForMore
from anabranch.hookspecs import hookimpl

class Quorum:
    name = "treacherous"
    def next_step(self, view, now):
        if "the-moment-comes" in view.arrived:
            {deed}
        if view.outstanding:
            return WaitForMore("not all are there")
        if not view.arrived:
            return Abandon("nobody came")
        return Converge(tuple(view.arrived), "all are there")

@hookimpl
def anabranch_convergence_types():
    return [Quorum()]
"""


def test_the_example_is_installed_from_its_folder_and_used(program: Program) -> None:
    """It conforms, passes its own tests, and merges two of three before the third is there."""
    tests = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(EXAMPLE)],
        env={**os.environ, "PYTHONPATH": str(EXAMPLE / "src"), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert tests.returncode == 0, tests.stdout
    program.asked(0, "plugins", "install", str(EXAMPLE), "--yes")
    gate = program.scratch / "gate"
    early = f"until test -e {gate}; do sleep 0.05; done; echo late > late.txt"
    opens = f"test -e early.txt && touch {gate}; true"
    program.plan(
        {
            "one": "echo one > one.txt",
            "two": "echo two > two.txt",
            "late": early,
            "opens": {"command": opens, "depends_on": {"one": {"condition": "converged"}}},
        },
        max_parallel=4,
        convergence={"final": {"type": "quorum", "options": {"k": 2}}},
    )
    (program.project / "early.txt").write_text("")
    git(program.project, "add", ".")
    git(program.project, "commit", "-q", "-m", "early")
    program.expect(0, "run", "--headless")
    merges = [e["merged"] for e in program.events() if e["type"] == "convergence_merged"]
    assert set(merges[0]) == {"one", "two"}
    assert set(merges[-1]) == {"one", "two", "late", "opens"}


@pytest.mark.parametrize(
    "deed", ["raise RuntimeError('no')", "sys.exit(3)", "time.sleep(60)", "return 'never'"]
)
def test_a_treacherous_plugin_is_named_and_the_run_converges(
    deed: str, program: Program, tmp_path: Path
) -> None:
    """It behaved when it was tried out; in a run the core decides instead."""
    wheel = write_wheel(tmp_path, "ab-treacherous", HOSTILE.format(deed=deed))
    program.asked(0, "plugins", "install", str(wheel), "--yes")
    program.plan({"the-moment-comes": "echo a > b.txt"}, convergence_type="treacherous")
    answer = program.run("run", "--headless")
    assert answer.code == 0, answer
    faults = [e for e in program.events() if e["type"] == "strategy_faulted"]
    assert {(f["plugin"], f["strategy"]) for f in faults} == {("ab_treacherous", "treacherous")}
    program.asked(0, "plugins", "remove", "ab-treacherous")
